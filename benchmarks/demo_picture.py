"""The documentation's first picture: six of the demo's birds, a class map's box above the package's.

python benchmarks/demo_picture.py demo docs/demo.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from rfga.data import open_dataset
from rfga.engine.building.demo import CLASS_MAP, PICTURES, first_of_each, read_boxes
from rfga.output.pictures import overlay
from rfga.types import ByteArray

CELL, GAP = 200, 6  # pixels


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder that rfga demo wrote")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    birds = asked.demo / PICTURES
    truth = open_dataset(birds, birds / "test_boxes.json", "test")
    rows = []
    for folder in (asked.demo / CLASS_MAP, asked.demo):
        boxes = read_boxes(folder / "boxes" / "coco.json")
        shown = [
            overlay(np.asarray(truth.image(one)), None, boxes[one.image_id], truth.truth(one))
            for one in first_of_each(truth)
        ]
        rows.append(np.hstack([_cell(picture) for picture in shown]))
    Image.fromarray(np.vstack(rows)).save(asked.out, quality=82, optimize=True)


def _cell(picture: ByteArray) -> ByteArray:
    """The whole picture in the middle of a white square."""
    scale = (CELL - GAP) / max(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    cell = Image.new("RGB", (CELL, CELL), "white")
    drawn = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    cell.paste(drawn, ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return np.asarray(cell)


if __name__ == "__main__":
    main()
