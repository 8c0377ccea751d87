"""The output folder of ``localize``: what is written for each photograph, and what may be replaced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from rfga.data.images import read_image
from rfga.engine.localizing.journal import FILE_NAME, SUMMARY_NAME, journal_parts
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.localizing.refiners import Refiner
from rfga.engine.localizing.review_sheet import REVIEW_NAME
from rfga.engine.run.config import RunPolicy
from rfga.engine.run.options import resolve
from rfga.files import claimed, held_in, make_folder, remove_leftovers, replacing
from rfga.geometry.refine import mask_of
from rfga.output.export.formats import FORMATS, MASKS
from rfga.output.pictures import overlay, write_picture
from rfga.types import Prediction, UserError
from rfga.untrusted import place_below

# The journal comes last, for it is the sign by which the folder is known.
_OUTPUTS = (SUMMARY_NAME, "pictures", "maps", MASKS, REVIEW_NAME, FILE_NAME)


@contextmanager
def prepared_output(out: Path, policy: RunPolicy) -> Iterator[None]:
    """Make ``out`` ready without ever losing somebody's files, and keep it from other calls in the block.

    Raises:
        UserError: it cannot be written, holds something that may not be gone on with or replaced, or another
            process works there.
    """
    _require_room(out, policy)
    with claimed(out, "rfga localize"):
        _require_room(out, policy)  # another one may have ended meanwhile
        _clear(out, policy)
        yield


def _require_room(out: Path, policy: RunPolicy) -> None:
    make_folder(out)
    held = held_in(out)
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


def _clear(out: Path, policy: RunPolicy) -> None:
    remove_leftovers(out)
    for name in ("pictures", "maps", MASKS):
        for folder, _, _ in os.walk(out / name):
            remove_leftovers(Path(folder))
    if policy.overwrite:
        for part in journal_parts(out):
            part.unlink()
        for name in (*_names_of_formats(), *_OUTPUTS):
            target = out / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)


def _names_of_formats() -> list[str]:
    """The names in an output folder that the formats use, found by having each write no prediction."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            resolve(FORMATS, name, "format")((), ("a class",), Path(folder))
        return sorted(path.name for path in Path(folder).iterdir())


def write_files(
    prediction: Prediction,
    photograph: Path,
    out: Path,
    options: LocalizeOptions,
    refine: Refiner | None = None,
) -> None:
    """Picture, score map and mask of one photograph, as far as the options ask for them.

    Each is named as the photograph with a further ending, so that ``a.jpg`` and ``a.png`` do not meet.

    Raises:
        UserError: a file cannot be written.
    """
    score_map, name = prediction.score_map, prediction.image_id
    if score_map is None:
        raise ValueError(f"expected the score map of {name}, found none: keep it until the files are written")
    picture, map_place = place_below(out / "pictures", name, ".jpg"), place_below(out / "maps", name, ".npy")
    mask_place = place_below(out / MASKS, name, ".png")
    pixels = cache(lambda: np.asarray(read_image(photograph)))  # decoded once, where it is needed
    if options.pictures:
        write_picture(picture, overlay(pixels(), score_map, prediction.boxes, None))
    if options.maps:
        with replacing(map_place, one_of_many=True) as temporary, temporary.open("wb") as stream:
            # In full precision, so that the metrics find the same boxes in the file as in the network.
            np.save(stream, score_map)
    if options.masks or refine:
        plain = mask_of(score_map, prediction.threshold, prediction.size_hw)
        mask = refine(pixels(), prediction) if refine else plain
        with replacing(mask_place, one_of_many=True) as temporary:
            Image.fromarray(mask).save(temporary, format="PNG")
