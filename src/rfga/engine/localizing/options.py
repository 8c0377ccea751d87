"""What ``rfga localize`` is asked for; the command line makes its flags of it, without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rfga.engine.localizing.refiners import NO_REFINER
from rfga.engine.run.config import RunPolicy, require_batch_size
from rfga.types import UserError

Placing = Literal["link", "copy", "none"]


@dataclass(frozen=True)
class LocalizeOptions:
    """What ``localize`` writes, and how.

    Args:
        labels: class to box: folder, predicted, or a file.
        max_boxes: boxes per photograph at most.
        second_look: judge each box by another pass, for better confidence.
        witness: a foreground network beside the run's maps, which was learned from masks (extra rembg).
        witness_weights: ONNX file of such a network (U2-Net or its kin), in place of the library's.
        formats: names out of ``rfga.output.export.formats.FORMATS``.
        photographs: how yolo/images gets the photographs, without which YOLO does not find their boxes.
        review: photographs on the review sheet at most; 0 for no sheet.
        pictures: write photographs with their boxes.
        maps: write score maps as .npy.
        masks: write what is above the threshold as masks.
        refine: write masks, refined in this way.
        sam_weights: folder of the model of sam.
        batch_size: photographs at a time; a CPU sees four at most.

    Raises:
        UserError: a number is out of its range.
    """

    labels: str | None = field(default=None, metadata={"group": "maps and boxes"})
    max_boxes: int = 1
    second_look: bool = False
    witness: Literal["none", "rembg"] = "none"
    witness_weights: Path | None = field(default=None, metadata={"metavar": "FILE"})
    formats: Sequence[str] = field(default=("coco",), metadata={"flag": "format", "group": "what is written"})
    photographs: Placing = "link"
    review: int = 500
    pictures: bool = True
    maps: bool = False
    masks: bool = False
    refine: str = NO_REFINER
    sam_weights: Path | None = field(default=None, metadata={"metavar": "DIR"})
    batch_size: int = field(default=32, metadata={"group": "machine"})

    def __post_init__(self) -> None:
        if self.max_boxes < 1:
            raise UserError(f"expected --max-boxes of at least 1, found {self.max_boxes}: give 1 or more")
        if self.review < 0:
            raise UserError(f"expected --review of 0 (no sheet) or more, found {self.review}: give 500")
        require_batch_size(self.batch_size)


@dataclass(frozen=True)
class LocalizeCommand:
    """What ``rfga localize`` was asked for.

    Args:
        run: folder that ``rfga train`` made.
        paths: photographs, folders and lists.
        out: folder for everything that is written.
        options: what is written.
        threshold: fraction of the map's maximum; auto: chosen on boxes of val, else estimated without boxes.
        normalisation: of score maps, instead of the run's own.
        maps_from: a post-hoc way to read maps, instead of the method's own.
        policy: about earlier output in the folder.
    """

    run: Path
    paths: Sequence[Path]
    out: Path
    options: LocalizeOptions = field(default_factory=LocalizeOptions)
    threshold: str = field(default="auto", metadata={"group": "maps and boxes"})
    normalisation: str | None = None
    maps_from: str | None = None
    policy: RunPolicy = field(default_factory=RunPolicy)
