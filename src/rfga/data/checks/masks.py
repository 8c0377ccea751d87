"""Masks of another size or with other values than truth has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rfga.data.checks.coverage import TruthOf, coverage_findings, remark_findings
from rfga.data.checks.findings import Finding, Shot
from rfga.data.images import opened, upright_grey
from rfga.data.truth.readers import gather_masks
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, UserError

_GREY = ("1", "L")  # Pillow's modes


def mask_findings(path: Path, of: TruthOf) -> Iterator[Finding]:
    """What is wrong with a folder of masks as truth of a split.

    Args:
        path: the folder; the mask of ``tench/a.jpg`` is ``tench/a.png`` or ``tench/a.jpg.png``.
        of: the photographs.
    """
    gathered = gather_masks(path, of.split_folder, list(of.positions))
    for image_id, mask in gathered.by_id.items():
        index = of.index(image_id)
        for kind, said in _wrong(mask, tuple(of.survey.sizes_hw[index].tolist())):
            shot = Shot(of.survey.place(index), mask=None if kind == "mask_unreadable" else mask)
            yield Finding(
                kind, of.survey.file(index), said, others=(str(mask.relative_to(path)),), shots=(shot,)
            )
    remarks = gathered.remarks.listed()
    yield from remark_findings(path, remarks)
    yield from coverage_findings(path, of, {*map(of.index, gathered.by_id)}, gathered.missing, remarks)


def _wrong(mask: Path, size_hw: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Kind and sentence of all that is wrong with one mask."""
    try:
        with opened(mask) as image:
            mode, pixels = image.mode, np.asarray(upright_grey(image))
    except UserError as error:
        yield "mask_unreadable", str(error)
        return
    height, width = pixels.shape
    if any(size_hw) and pixels.shape != size_hw:
        turned = size_hw == (width, height)
        remedy = "apply the photograph's EXIF orientation before marking" if turned else "make it anew"
        said = f"expected a mask of the photograph's {size_hw[1]}x{size_hw[0]} pixels, found {width}x{height}"
        yield "mask_size", f"{said}: {remedy}"
    counts = np.bincount(pixels.ravel(), minlength=256)
    values = np.flatnonzero(counts).tolist()
    known = {MASK_OBJECT, MASK_BACKGROUND, MASK_IGNORED}
    if mode not in _GREY:
        yield "mask_values", f"expected 8-bit grey, found mode {mode}: save it as grey with 255, 0 and 128"
    elif not known.issuperset(values):
        remedy = (
            "multiply it by 255" if set(values) <= {0, 1} else "save it without smoothing or other labels"
        )
        yield "mask_values", f"expected the values 255, 0 and 128, found {values!s:.60}: {remedy}"
    elif not counts[MASK_OBJECT]:
        yield "mask_empty", f"expected an object ({MASK_OBJECT}), found none: mark it, or drop the mask"
