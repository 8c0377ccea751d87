"""The output folder of ``localize``: what is written for each photograph, and what may be replaced."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from rfga.data.images import read_image
from rfga.engine.config import RunPolicy, require_batch_size
from rfga.engine.journal import FILE_NAME
from rfga.files import is_leftover, make_folder, remove_leftovers, replacing
from rfga.geometry.levelsets import foreground
from rfga.output.export import MASKS
from rfga.output.pictures import overlay, write_picture
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, ByteArray, FloatArray, Prediction, UserError

# The journal comes last, for it is the sign by which the folder is known.
OUTPUTS = (
    *("coco.json", "boxes.csv", "yolo", "voc", "labelstudio.json", "labelstudio_config.xml"),
    *("summary.json", "pictures", "maps", MASKS, FILE_NAME),
)

Placing = Literal["link", "copy", "none"]


@dataclass(frozen=True)
class LocalizeOptions:
    """What ``localize`` writes, and how.

    Args:
        formats: names out of ``rfga.output.export.FORMATS``.
        labels: "folder", "predicted", a file, or None to choose by what the folders are called.
        max_boxes: boxes per photograph at most.
        pictures: write photographs with heat map and boxes.
        maps: write the score maps.
        masks: write what is above the threshold as masks.
        batch_size: photographs at a time.
        photographs: put photographs beside the boxes as links or copies, in formats that want them there.

    Raises:
        UserError: a number is out of its range.
    """

    formats: Sequence[str] = ("coco",)
    labels: str | None = None
    max_boxes: int = 1
    pictures: bool = True
    maps: bool = False
    masks: bool = False
    batch_size: int = 32
    photographs: Placing = "link"

    def __post_init__(self) -> None:
        if self.max_boxes < 1:
            raise UserError(f"expected --max-boxes of at least 1, found {self.max_boxes}: give 1 or more")
        require_batch_size(self.batch_size)


def prepare_output(out: Path, policy: RunPolicy) -> None:
    """Make ``out`` ready without ever losing somebody's files.

    Raises:
        UserError: it cannot be written, or holds something that may not be gone on with or replaced.
    """
    make_folder(out)
    held = [path.name for path in out.iterdir() if not is_leftover(path.name)]
    if held and not (policy.resume or policy.overwrite):
        raise UserError(
            f"expected a new folder for the boxes, found {out} with {len(held)} entries: "
            "add --resume to go on, --overwrite to replace it, or choose another --out"
        )
    if held and FILE_NAME not in held:
        wish = "overwrite" if policy.overwrite else "go on with"
        raise UserError(
            f"expected output of rfga localize to {wish}, found other files in {out}: choose another --out"
        )
    remove_leftovers(out)
    if policy.overwrite:
        for name in OUTPUTS:
            target = out / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


def write_files(prediction: Prediction, photograph: Path, out: Path, options: LocalizeOptions) -> None:
    """Picture, score map and mask of one photograph, as far as the options ask for them.

    Each is named as the photograph with a further ending, so that ``a.jpg`` and ``a.png`` do not meet.

    Raises:
        UserError: a file cannot be written.
    """
    score_map, name = prediction.score_map, prediction.image_id
    if score_map is None:
        raise ValueError(f"expected the score map of {name}, found none: keep it until the files are written")
    if options.pictures:
        picture = overlay(np.asarray(read_image(photograph)), score_map, prediction.boxes, None)
        write_picture(out / "pictures" / f"{name}.jpg", picture)
    if options.maps:
        with replacing(out / "maps" / f"{name}.npy") as temporary, temporary.open("wb") as stream:
            # In full precision, so that the metrics find the same boxes in the file as in the network.
            np.save(stream, score_map)
    if options.masks:
        mask = mask_of(score_map, prediction.threshold, prediction.size_hw)
        with replacing(out / MASKS / f"{name}.png") as temporary:
            Image.fromarray(mask).save(temporary, format="PNG")


def mask_of(score_map: FloatArray, threshold: float, size_hw: tuple[int, int]) -> ByteArray:
    """What is above the threshold as a mask (H, W) uint8, 255 object and 0 background, in original pixels.

    Example:
        >>> mask_of(np.array([[0.0, 1.0]]), 0.5, (1, 4))
        array([[  0,   0, 255, 255]], dtype=uint8)
    """
    pixels = np.where(foreground(score_map, threshold), MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
    resized = Image.fromarray(pixels).resize((size_hw[1], size_hw[0]), Image.Resampling.NEAREST)
    return np.asarray(resized)
