"""``benchmark.json``: what a grid was asked for and what came of each cell, rewritten after each one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rfga.engine.benchmark.plan import RUNS, Plan, Task
from rfga.engine.benchmark.schedule import DONE, Outcome
from rfga.engine.run.config import RunPolicy
from rfga.files import make_folder, mark_output, remove_leftovers, require_writable, write_json
from rfga.types import UserError
from rfga.version import __version__

TABLE_MD, TABLE_CSV = "table.md", "table.csv"
WAITING, IMPOSSIBLE = "waiting", "not possible"  # the ``state`` of a cell without an outcome


@dataclass(frozen=True)
class GridKind:
    """What a grid is called, and how its files are."""

    noun: str
    folders: tuple[str, ...] = (RUNS,)  # below the grid's, where its cells leave what they make

    @property
    def record(self) -> str:
        """The name of its numbers' file."""
        return f"{self.noun}.json"

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.noun}.html"


BENCHMARK = GridKind("benchmark")


class GridRecord:
    """The numbers of a grid, in the order of its tasks.

    Args:
        out: the grid's folder.
        plan: its tasks.
        about: of the data set, for readers: name, classes, images.
        policy: about an earlier grid in the folder.
        kind: of the grid.

    Raises:
        UserError: the folder holds something and neither going on nor overwriting was asked for, holds
            another's files, or its grid was begun with other settings.
    """

    def __init__(
        self,
        out: Path,
        plan: Plan,
        about: Mapping[str, Any],
        policy: RunPolicy,
        kind: GridKind = BENCHMARK,
    ) -> None:
        self.out, self.path = out, out / kind.record
        earlier = _earlier(out, policy, kind)
        asked = _asked(plan)
        if policy.overwrite:
            _clear(out, kind)
        elif earlier:
            _require_same(f"{kind.noun} in {out}", asked, plan, earlier)
        remove_leftovers(out)
        source = plan.tasks[0].source.record()
        kept = earlier.get("cells", []) if policy.resume else []
        cells = {cell["name"]: cell for cell in kept if cell.get("measured") == source}
        self.held: dict[str, Any] = {
            "version": __version__,
            **about,
            **source,
            **asked,
            "options": {**(earlier.get("options", {}) if policy.resume else {}), **plan.options},
            "normalisations": list(plan.normalisations),
            # Cells of an earlier, larger grid stay in the record.
            "cells": [
                *(cells.pop(task.name, None) or _empty(task) for task in plan.tasks),
                *cells.values(),
            ],
        }

    def rest_of(self, task: Task) -> Task | None:
        """What is still to be done of a task: all, or other normalisations; None where nothing is."""
        cell = self._cell(task)
        if cell["state"] == IMPOSSIBLE:
            return None
        whole = all((self.out / name).is_file() for name in task.products)
        if cell["state"] != DONE or not whole:
            return task
        missing = tuple(how for how in task.normalisations if how not in cell["evaluations"])
        return replace(task, normalisations=missing) if missing else None

    def begin(self, task: Task) -> None:
        """Forget what is known of a task that is done anew."""
        cell = self._cell(task)
        if cell["evaluations"].keys() & set(task.normalisations):
            cell.update(_empty(task))

    def add(self, task: Task, outcome: Outcome) -> None:
        """Record what came of a task, on disk too; numbers under other normalisations are kept."""
        cell = self._cell(task)
        known = cell["evaluations"] if outcome["state"] == DONE else {}
        cell.clear()
        cell.update({**_empty(task), "measured": task.source.record(), **outcome})
        cell["evaluations"] = {**known, **cell["evaluations"]}
        self.save()

    def exclude(self, task: Task, reason: str) -> None:
        """Record that a task cannot be done here, and why."""
        self._cell(task).update({**_empty(task), "state": IMPOSSIBLE, "reason": reason})

    def save(self) -> None:
        """Write the record's file."""
        write_json(self.path, self.held)

    def _cell(self, task: Task) -> dict[str, Any]:
        found: dict[str, Any] = next(cell for cell in self.held["cells"] if cell["name"] == task.name)
        return found


def _empty(task: Task) -> dict[str, Any]:
    return {**task.identity, "state": WAITING, "reason": None, "evaluations": {}}


def _asked(plan: Plan) -> dict[str, Any]:
    """What must not change while a grid goes on."""
    few_shot = {} if plan.few_shot_epochs is None else {"few_shot_epochs": plan.few_shot_epochs}
    plain: dict[str, Any] = json.loads(json.dumps({"settings": plan.settings, **few_shot}))
    return plain


def _earlier(out: Path, policy: RunPolicy, kind: GridKind) -> dict[str, Any]:
    """The record of an earlier grid in the folder; empty where there is none."""
    require_writable(out / kind.record)
    make_folder(out)
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if not names:
        mark_output(out)
        return {}
    if not (policy.resume or policy.overwrite):
        raise UserError(
            f"expected a new folder for the {kind.noun}, found {out} with {len(names)} entries: add --resume "
            "to go on with it, --overwrite to start anew, or choose another --out"
        )
    try:
        held = json.loads((out / kind.record).read_text(encoding="utf-8"))
        return {**held, "cells": list(held["cells"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"expected an earlier {kind.noun} in {out}, found other files and no sound {kind.record}: choose "
            "another --out"
        ) from error


def _require_same(what: str, asked: Mapping[str, Any], plan: Plan, earlier: Mapping[str, Any]) -> None:
    held = earlier.get("settings", {})
    changed = [
        f"{name} {value} instead of {held.get(name)}"
        for name, value in asked["settings"].items()
        if held.get(name) != value
    ]
    if earlier.get("few_shot_epochs") != asked.get("few_shot_epochs"):
        was = earlier.get("few_shot_epochs")
        changed.append(f"few-shot epochs {asked.get('few_shot_epochs')} instead of {was}")
    options = json.loads(json.dumps(plan.options))
    for method, before in earlier.get("options", {}).items():
        now = options.get(method, before)
        changed += [f"{method}.{key} {now[key]} instead of {before.get(key)}" for key in _unlike(now, before)]
    if changed:
        raise UserError(
            f"expected to go on with the {what} with its own settings, found "
            f"{', '.join(changed)}: repeat its command, or start anew with --overwrite"
        )


def _unlike(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    return [key for key in now if now[key] != before.get(key)]


def _clear(out: Path, kind: GridKind) -> None:
    # The record goes last, for it is the sign by which a grid is known.
    for name in (*kind.folders, TABLE_MD, TABLE_CSV, kind.page, kind.record):
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
