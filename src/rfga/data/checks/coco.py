"""Every wrong box of a COCO file, where reading it as truth leaves them out one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rfga.data.checks.boxes import XYWH, MarkedBox, box_findings
from rfga.data.checks.coverage import TruthOf, coverage_findings, remark_findings
from rfga.data.checks.findings import Finding
from rfga.data.truth.coco import CocoImage, box_numbers, gather_coco, read_coco
from rfga.data.truth.marked import OwnClass, tell_turned
from rfga.types import UserError


def coco_findings(path: Path, of: TruthOf) -> Iterator[Finding]:
    """What is wrong with a COCO file as truth of a split, entry by entry.

    Args:
        path: the file.
        of: the photographs.
    """
    try:
        coco = read_coco(path)
    except UserError as error:
        yield Finding("truth_unusable", path.name, str(error))
        return
    gathered = gather_coco(coco, list(of.positions), of.split_folder)
    own_class = OwnClass(coco.class_names, gathered)
    marked, sizes_hw, known = list[MarkedBox](), list[tuple[float, float]](), set[int]()
    for image_id, image in gathered.by_id.items():
        index = of.index(image_id)
        size_hw = tuple(of.survey.sizes_hw[index].tolist())
        yield from _size_findings(path, of, index, image)
        named = [(box.class_name, box) for box in image.boxes]
        own = own_class.boxes(image_id, named)
        yield from _class_findings(of, index, [name for name, _ in named], bool(own))
        usable = False
        for _, box in named:
            numbers = box_numbers(box)
            if numbers is None:
                said = f"expected bbox as four finite numbers, found {box.numbers!s:.60} in {box.where}"
                yield _finding(of, "box_malformed", index, f"{said}: correct it")
                continue
            usable = True
            if size_hw[0]:  # else the photograph cannot be read, which is said elsewhere
                # Judged in the pixels that the file speaks of: a wrong size is one mistake, not two.
                sizes_hw.append(image.size_hw or (float(size_hw[0]), float(size_hw[1])))
                marked.append(MarkedBox(index, numbers, box.where))
        if usable:
            known.add(index)
    sizeless = [image_id for image_id, image in gathered.by_id.items() if image.size_hw is None]
    tell_turned(gathered.remarks, of.split_folder, sizeless)
    yield from box_findings(of.survey, marked, np.array(sizes_hw).reshape(-1, 2), XYWH, path.name)
    remarks = [(kind, sentence) for kind, sentence in gathered.remarks.listed() if kind != "other_class"]
    yield from remark_findings(path, remarks)
    yield from coverage_findings(path, of, known, gathered.missing, remarks)


def _size_findings(path: Path, of: TruthOf, index: int, image: CocoImage) -> Iterator[Finding]:
    height, width = of.survey.sizes_hw[index].tolist()
    if image.size_hw not in (None, (height, width)) and height:
        turned = image.size_hw == (width, height)
        remedy = "apply its EXIF orientation before marking" if turned else "use the marked photograph"
        stated = "x".join(f"{side:g}" for side in reversed(image.size_hw or ()))
        said = f"expected the photograph's {width}x{height} pixels, found {stated} in {path.name}: {remedy}"
        yield _finding(of, "truth_size", index, said)


def _class_findings(of: TruthOf, index: int, names: list[str], has_own: bool) -> Iterator[Finding]:
    if names and not has_own:
        own, there = of.image_id(index).partition("/")[0], ", ".join(sorted(set(names)))
        said = f"expected a box of {own}, found only boxes of {there}: correct the class or the folder"
        yield _finding(of, "other_class", index, said)


def _finding(of: TruthOf, kind: str, index: int, sentence: str) -> Finding:
    return Finding(kind, of.survey.file(index), sentence, shots=of.survey.shots(index))
