"""A sitting of review: which photographs come when, what holds of each, and what changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

import numpy as np

from rfga.engine.reviewing.corrections import Box, Corrections, Mark, Step, box_of
from rfga.engine.reviewing.found import Found
from rfga.output.letters import legible
from rfga.types import FloatArray, IntArray, Prediction, UserError

PAGE = 60
"""Photographs of the list that a browser is given at once."""

State = Literal["open", "right", "corrected", "nothing", "wrong"]
Shown = Literal["all", "open", "right", "corrected", "nothing", "wrong", "warned", "empty"]

_MOST_BOXES = 1000  # of a photograph


@dataclass(frozen=True)
class Choice:
    """Which photographs the list shows.

    Args:
        shown: a state; all; warned: with a warning of localize; empty: nothing was found.
        label: index of the class that was looked for in them; None for all.
    """

    shown: Shown = "all"
    label: int | None = None

    def __post_init__(self) -> None:
        if self.shown not in get_args(Shown):
            raise UserError("expected a choice of the page, found another: choose one of the page")


class Review:
    """What is found and what is said of it, as the page asks for it. Numbers are those of ``found``.

    Args:
        found: the boxes.
        said: the corrections.
    """

    def __init__(self, found: Found, said: Corrections) -> None:
        self.found, self.said = found, said
        self._order: IntArray = np.asarray(found.worst_first, dtype=np.int64)
        self._rank = np.argsort(self._order)
        self._turn = Lock()
        used = {box[4] for step in said.current.values() for box in step.boxes}
        self._states: dict[int, State] = {}  # of photographs that a person has looked at
        self._counts: Counter[State] = Counter()
        numbers = found.numbers
        for number in found.reviewed | {numbers[name] for name in said.current if name in numbers}:
            self._note(number)
        self.classes = (*found.place.classes, *sorted(used - set(found.place.classes)))

    def state(self, number: int) -> State:
        """What a person has said of a photograph, in one word."""
        step = self.said.current.get(self.found.names[number])
        if step is None:
            if number not in self.found.reviewed:
                return "open"
            return "nothing" if number in self.found.empty else "right"
        return step.mark if step.boxes or step.mark == "wrong" else "nothing"

    def page(self, choice: Choice, page: int = 0, at: int | None = None) -> dict[str, Any]:
        """A page of the list, worst first.

        Args:
            choice: of the list.
            page: from 0; one beyond the last gives the last.
            at: the photograph whose page is wanted instead, or that which it would be on.
        """
        listed = self._listed(choice)
        if at is not None:
            page = int(np.searchsorted(self._rank[listed], self._rank[self._checked(at)])) // PAGE
        pages = max(1, -(-len(listed) // PAGE))
        page = min(max(page, 0), pages - 1)
        items = [self.entry(int(number)) for number in listed[page * PAGE : (page + 1) * PAGE]]
        return {"total": len(listed), "page": page, "pages": pages, "items": items, **self.progress()}

    def step_from(self, choice: Choice, number: int | None, by: int, *, unseen: bool = False) -> int | None:
        """The photograph before (``by`` = -1) or after another in the list; None where there is none.

        Args:
            choice: of the list.
            number: the other one, which need not be in the list; None for the place before the first.
            by: 1 or -1.
            unseen: pass over those of which something was said.
        """
        listed = self._listed(choice)
        rank = -1 if number is None else int(self._rank[self._checked(number)])
        ranks = self._rank[listed]
        rest = listed[np.searchsorted(ranks, rank, "right") :]
        if by < 0:
            rest = listed[: np.searchsorted(ranks, rank)][::-1]
        return next((n for n in rest.tolist() if not unseen or n not in self._states), None)

    def entry(self, number: int) -> dict[str, Any]:
        """What the list and the stage show of a photograph; classes are indices."""
        found, name = self.found[self._checked(number)], self.found.names[number]
        return {
            "number": number,
            "name": legible(name),
            "class": found.label,
            "size": [found.size_hw[1], found.size_hw[0]],
            "confidence": self.found.confidences[number],
            "warnings": list(found.warnings),
            "state": self.state(number),
            "boxes": [
                {"edges": box[:4], "class": self.classes.index(box[4]), "score": score}
                for box, score in self._boxes(found)
            ],
        }

    def progress(self) -> dict[str, Any]:
        """How far the review is."""
        states = {state: count for state, count in self._counts.items() if count}
        states["open"] = len(self.found) - len(self._states)
        return {"states": states, "undo": self.said.steps, "redo": self.said.undone}

    def change(self, number: int, mark: Mark, boxes: Sequence[Box] = ()) -> dict[str, Any]:
        """Say something of a photograph; it is kept when this returns.

        Args:
            number: of the photograph.
            mark: what is said.
            boxes: with ``corrected``, all that the photograph holds.

        Raises:
            UserError: boxes outside of the photograph or of unknown classes, or they cannot be kept.
        """
        with self._turn:
            found = self.found[self._checked(number)]
            if mark == "right":
                boxes = [box for box, _ in self._boxes(found)]
            elif mark != "corrected":
                boxes = ()
            if len(boxes) > _MOST_BOXES:
                raise UserError(f"expected at most {_MOST_BOXES} boxes, found {len(boxes)}: draw fewer")
            step = Step(found.image_id, mark, tuple(self._within(box, found) for box in boxes))
            confirmed = mark == "right" and self.state(number) in ("right", "corrected", "nothing")
            if not confirmed and step != self.said.current.get(found.image_id, Step(found.image_id, "open")):
                self.said.add(step)
                self._note(number)
        return self.entry(number) | self.progress()

    def undo(self) -> dict[str, Any]:
        """Take back the last thing that was said, of whichever photograph."""
        with self._turn:
            return self._after(self.said.undo())

    def redo(self) -> dict[str, Any]:
        """Say again what was taken back last."""
        with self._turn:
            return self._after(self.said.redo())

    def photograph(self, number: int) -> Path | None:
        """Its file, if it is there."""
        return self.found.place.photograph(self.found.names[self._checked(number)])

    def corrected(self, number: int) -> Prediction | None:
        """The photograph as it is to go out; None where its boxes are wrong and nobody has drawn others."""
        found, state = self.found[number], self.state(number)
        if state == "open":
            return found
        if state == "wrong":
            return None
        index = {name: label for label, name in enumerate(self.classes)}
        held = [box for box, _ in self._boxes(found)]
        return Prediction(
            image_id=found.image_id,
            size_hw=found.size_hw,
            label=found.label,
            probability=found.probability,
            boxes=np.array([box[:4] for box in held], dtype=np.float64).reshape(-1, 4),
            scores=np.ones(len(held)),
            score_map=None,
            threshold=found.threshold,
            box_labels=tuple(index[box[4]] for box in held),
            reviewed=True,
        )

    def _after(self, name: str | None) -> dict[str, Any]:
        number = None if name is None else self.found.numbers.get(name)
        if number is None:
            return self.progress()
        self._note(number)
        return self.entry(number) | self.progress()

    def _note(self, number: int) -> None:
        """Count a photograph as what it is now."""
        if number in self._states:
            self._counts[self._states.pop(number)] -= 1
        if (state := self.state(number)) != "open":
            self._states[number] = state
            self._counts[state] += 1

    def _boxes(self, found: Prediction) -> list[tuple[Box, float | None]]:
        """What a photograph holds now, each with the confidence of a box that no person has confirmed."""
        step = self.said.current.get(found.image_id)
        if step is not None and step.mark != "wrong":
            return [(self._within(box, found), None) for box in step.boxes]
        scores: list[float | None] = [None if found.reviewed else score for score in found.scores.tolist()]
        classes = self.found.place.classes
        return [
            (box_of(edges.tolist(), classes[label]), score)
            for edges, label, score in zip(found.boxes, found.labels, scores, strict=True)
        ]

    def _within(self, box: Box, found: Prediction) -> Box:
        """A box without what of it lies outside of the photograph."""
        height, width = found.size_hw
        edges: FloatArray = np.clip(np.array(box[:4]), 0, np.array([width, height] * 2))
        x0, y0, x1, y1 = edges.tolist()
        if not (x0 < x1 and y0 < y1 and box[4] in self.classes):
            raise UserError(
                f"expected boxes of known classes in {width} x {height} pixels, found {box} for "
                f"{found.image_id}: draw them on the photograph"
            )
        return (x0, y0, x1, y1, box[4])

    def _listed(self, choice: Choice) -> IntArray:
        """The numbers of the list, worst first."""
        keep = np.ones(len(self.found), dtype=np.bool_)
        if choice.label is not None:
            keep &= np.asarray(self.found.labels) == choice.label
        if choice.shown == "open":
            keep[list(self._states)] = False
        elif choice.shown != "all":
            chosen = {"warned": self.found.warned, "empty": self.found.empty}.get(choice.shown)
            if chosen is None:
                chosen = {number for number, state in self._states.items() if state == choice.shown}
            others = np.ones_like(keep)
            others[list(chosen)] = False
            keep &= ~others
        return self._order[keep[self._order]]

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self.found):
            raise UserError("expected a photograph of the list, found another number: load the page again")
        return number
