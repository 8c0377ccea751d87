"""The photographs that visitors of the page have dropped, and what is found in them."""

from __future__ import annotations

import shutil
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from rfga.data.transforms import eval_transform
from rfga.engine.localizing.localizer import Localizer, Scored
from rfga.engine.serve.limits import Choices, Limits, plain_name, read_upload
from rfga.engine.thresholds.threshold import FIXED
from rfga.geometry.boxes import scale_boxes
from rfga.output.export.coco import write_coco
from rfga.output.pictures import fit, overlay, write_picture
from rfga.types import ByteArray, Prediction, UserError

SHOWN_PIXELS = 1024
"""The longer side of a photograph on the page; what is larger is shown smaller, its aspect kept."""

_VIEWS = 2  # of a visitor whose files stay: a browser may still load those of the one before


@dataclass(frozen=True, eq=False)
class Read:
    """What is needed of a photograph to show it and to look at it again, without its file."""

    name: str
    size_hw: tuple[int, int]  # of the original
    picture: ByteArray  # (h, w, 3), the longer side at most ``SHOWN_PIXELS``
    pixels: Tensor  # (3, S, S) uint8, as the network sees it


@dataclass(frozen=True, eq=False)
class Kept(Read):
    """A photograph with what the network said of it."""

    scored: Scored  # of the class that was looked for last


@dataclass(frozen=True, eq=False)
class View:
    """What the page shows of a visitor's photographs."""

    pictures: list[Path]  # with heat map and boxes, in the order of ``predictions``
    predictions: list[Prediction]
    coco: Path | None  # None where there is no photograph
    left_out: list[str] = field(default_factory=list)  # a sentence for each file that could not be taken


@dataclass
class _Visitor:
    folder: Path
    kept: list[Kept] = field(default_factory=list)
    label: int | None = None  # that the maps are of
    views: deque[Path] = field(default_factory=deque)


class Desk:
    """Runs the network for one visitor at a time, and keeps maps so that thresholds need no network.

    Args:
        localizer: the trained model.
        limits: how much is taken in and kept.
        folder: for the pictures of the page; what is made there is removed again.
    """

    def __init__(self, localizer: Localizer, limits: Limits, folder: Path) -> None:
        self.localizer, self.limits, self.folder = localizer, limits, folder
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._turn = Lock()

    def add(self, visitor: str, uploads: Sequence[tuple[Path, str]], choices: Choices) -> View:
        """Look at further photographs, all of one call as one batch.

        Args:
            visitor: who dropped them.
            uploads: file and name of each; the files are removed.
            choices: what to show.
        """
        with self._turn:
            mine = self._visitor(visitor)
            try:
                read, left_out = self._read(mine, uploads)
            finally:
                for path, _ in uploads:
                    path.unlink(missing_ok=True)
            self._look_for(mine, choices.label)
            if read:
                scored = self._score([one.pixels for one in read], choices.label)
                mine.kept += [Kept(**vars(one), scored=scored.rows([row])) for row, one in enumerate(read)]
            return replace(self._view(mine, choices), left_out=left_out)

    def warm_up(self) -> None:
        """Look at an empty picture, since the first look of a process compiles what later ones use."""
        size = self.localizer.config.image_size
        scored = self._score([torch.zeros(3, size, size, dtype=torch.uint8)], None)
        self.localizer.predictions(scored, [""], [(size, size)])

    def show(self, visitor: str, choices: Choices) -> View:
        """The photographs under other choices; the network runs again only for another class."""
        with self._turn:
            mine = self._visitor(visitor)
            self._look_for(mine, choices.label)
            return self._view(mine, choices)

    def forget(self, visitor: str) -> None:
        """Keep nothing of a visitor."""
        with self._turn:
            gone = self._visitors.pop(visitor, None)
            if gone is not None:
                shutil.rmtree(gone.folder, ignore_errors=True)

    def _visitor(self, name: str) -> _Visitor:
        if name not in self._visitors:
            self._visitors[name] = _Visitor(self.folder / uuid4().hex)
        self._visitors.move_to_end(name)
        while len(self._visitors) > self.limits.max_visitors:
            _, oldest = self._visitors.popitem(last=False)
            shutil.rmtree(oldest.folder, ignore_errors=True)
        return self._visitors[name]

    def _read(self, mine: _Visitor, uploads: Sequence[tuple[Path, str]]) -> tuple[list[Read], list[str]]:
        """The photographs, and a sentence for each file that is left out."""
        read: list[Read] = []
        left_out = []
        for path, given in uploads:
            taken = [*mine.kept, *read]
            name = plain_name(given, [one.name for one in taken])
            try:
                if len(taken) >= self.limits.max_photographs:
                    raise UserError(
                        f"expected at most {self.limits.max_photographs} photographs on the page, found "
                        f"{name} beyond them: clear the page, or use rfga localize"
                    )
                image = read_upload(path, name, self.limits)
            except UserError as error:
                left_out.append(str(error))
                continue
            # At its full size a photograph is held one at a time.
            picture = fit(np.asarray(image), SHOWN_PIXELS)
            pixels = eval_transform(image, self.localizer.config.image_size)
            read.append(Read(name, (image.height, image.width), picture, pixels))
        return read, left_out

    def _look_for(self, mine: _Visitor, label: int | None) -> None:
        """Make the maps of all photographs those of the class."""
        if mine.kept and label != mine.label:
            scored = self._score([one.pixels for one in mine.kept], label)
            mine.kept = [replace(one, scored=scored.rows([row])) for row, one in enumerate(mine.kept)]
        mine.label = label

    def _score(self, pixels: Sequence[Tensor], label: int | None) -> Scored:
        labels = None if label is None else torch.full((len(pixels),), label)
        return self.localizer.score(torch.stack(list(pixels)), labels)

    def _view(self, mine: _Visitor, choices: Choices) -> View:
        localizer = self.localizer.with_threshold(choices.threshold, FIXED)
        predictions = [
            prediction
            for one in mine.kept
            for prediction in localizer.predictions(one.scored, [one.name], [one.size_hw], choices.max_boxes)
        ]
        if not predictions:
            return View([], [], None)
        folder = mine.folder / uuid4().hex
        mine.views.append(folder)
        while len(mine.views) > _VIEWS:
            shutil.rmtree(mine.views.popleft(), ignore_errors=True)
        pictures = []
        for number, (one, found) in enumerate(zip(mine.kept, predictions, strict=True), start=1):
            pictures.append(folder / f"{number}.jpg")
            write_picture(pictures[-1], _drawn(one, found, choices.heat))
        return View(pictures, predictions, write_coco(predictions, self.localizer.classes, folder))


def _drawn(one: Kept, found: Prediction, heat: bool) -> ByteArray:
    shown_hw = (one.picture.shape[0], one.picture.shape[1])
    boxes = scale_boxes(found.boxes, one.size_hw, shown_hw)
    return overlay(one.picture, found.score_map if heat else None, boxes)
