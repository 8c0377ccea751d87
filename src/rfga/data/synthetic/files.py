"""Writes the synthetic data set out as class folders with truth, for people who want to see or reuse it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from rfga.data.synthetic.dataset import SyntheticDataset, tight_box
from rfga.types import SPLITS, Sample, UserError


def write_class_folders(dataset: SyntheticDataset, out: Path) -> None:
    """Writes ``train/CLASS/*.png``, ``val/CLASS/*.png``, ``val_boxes.json`` (COCO), ``val_masks/CLASS/*``.

    The test split is written as the val split is; a split without pictures is left out.

    Everything is written beside ``out`` first and moved in one step: a broken run leaves nothing there.

    Raises:
        UserError: ``out`` exists already and is no empty folder, or cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     birds = SyntheticDataset(train_per_class=1, val_per_class=1, test_per_class=0)
        ...     write_class_folders(birds, Path(folder) / "birds")
        ...     sorted(path.name for path in (Path(folder) / "birds").iterdir())
        ['train', 'val', 'val_boxes.json', 'val_masks']
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"expected a new or empty folder to write to, found {out} in use: name another")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise UserError(
            f"expected a folder to write to, found that {out} cannot be ({error}): name another"
        ) from error
    try:
        for split in SPLITS:
            if dataset.samples(split):
                _write_split(dataset, split, unfinished)
        unfinished.chmod(0o755)  # temporary folders are private, this one is meant to be shared
        if out.exists():
            out.rmdir()  # empty, as was checked; some systems do not replace folders
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_split(dataset: SyntheticDataset, split: str, folder: Path) -> None:
    samples = dataset.samples(split)
    for sample in samples:
        _save(dataset.image(sample), folder / split / sample.image_id)
        if split != "train":
            _save(Image.fromarray(dataset.mask(sample)), folder / f"{split}_masks" / sample.image_id)
    if split != "train":
        coco = _coco(dataset, samples)
        (folder / f"{split}_boxes.json").write_text(json.dumps(coco), encoding="utf-8")


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _coco(dataset: SyntheticDataset, samples: Sequence[Sample]) -> dict[str, Any]:
    images, annotations = [], []
    for number, sample in enumerate(samples, 1):
        mask = dataset.mask(sample)
        x0, y0, x1, y1 = tight_box(mask).tolist()
        height, width = mask.shape
        images.append({"id": number, "file_name": sample.image_id, "width": width, "height": height})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": sample.label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int((mask > 0).sum()),
                "iscrowd": 0,
            }
        )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(dataset.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}
