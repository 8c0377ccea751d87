"""Whether objects are small, and where their maps are cut: on maps drawn by hand, with a rim."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.engine.thresholds.scale import FRACTIONS, boxes_at, level_at, seen_twice, shrinking, steadiest
from rfga.methods.base import Method, ScoreMaps
from rfga.nn.foreground import as_share

RIM = 36  # pixels of the network's input, whatever the object's size


class Rimmed(nn.Module):
    """What is white has a share of 1; around it shares fall from 0.75 to nothing over ``RIM`` pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = SimpleNamespace(
            mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), layout=SimpleNamespace(fitting=round)
        )
        self.register_buffer("nothing", torch.zeros(1))

    def localize(self, images: Tensor, labels: Tensor) -> ScoreMaps:
        white = (images.mean(1) > 0).byte().numpy()
        away = [cv2.distanceTransform(1 - one, cv2.DIST_C, 3) if one.any() else one + RIM for one in white]
        shares = [np.where(one == 0, 1, 0.75 * np.clip(1 - (one - 1) / RIM, 0, 1)) for one in away]
        maps = torch.from_numpy(np.array(shares, np.float32))[:, None]
        return ScoreMaps(torch.zeros(len(images), 1), maps, labels[:, None])


def rimmed() -> Method:
    return cast(Method, Rimmed())


def drawn(folder: Path, side: int) -> Dataset:
    """Three photographs of 336 x 336 pixels with a white square in different places, and one of nothing."""
    (folder / "square").mkdir(parents=True)
    for number, corner in enumerate((60, 120, 159, None)):
        pixels = np.zeros((336, 336), np.uint8)
        if corner is not None:
            pixels[corner : corner + side, corner + 9 : corner + 9 + side] = 255
        Image.fromarray(pixels).save(folder / "square" / f"{number}.png")
    return open_dataset(str(folder), class_name="square")


@pytest.mark.parametrize(("side", "small"), [(12, True), (150, False)])
def test_boxes_of_small_objects_shrink_and_others_do_not(tmp_path: Path, side: int, small: bool) -> None:
    dataset = drawn(tmp_path, side)
    plain, larger = seen_twice(rimmed(), dataset, dataset.samples("train"), 224, FRACTIONS)
    times = shrinking(plain[:, 0], larger[:, 0])
    # At half of the maximum the rim is a third of its width, on both sides.
    rim = 2 * RIM / 3
    expected = (side * 2 / 3 + rim) / (side * 2 / 3 + rim / 1.5)
    assert times == pytest.approx(expected, rel=0.08)
    assert (times > 1.2) == small


def test_small_objects_are_cut_where_no_rim_is_left(tmp_path: Path) -> None:
    dataset = drawn(tmp_path, 12)
    plain, larger = seen_twice(rimmed(), dataset, dataset.samples("train"), 224, FRACTIONS)
    fraction = steadiest(plain, larger)
    assert FRACTIONS[fraction] == 0.8
    sides = plain[:3, :, 2] - plain[:3, :, 0]
    assert (np.abs(sides[:, fraction] - 8) <= 1).all()
    assert (sides[:, 0] > 2 * 8).all()
    level = level_at(FRACTIONS[fraction], torch.tensor(0.3))
    shares = as_share(torch.tensor([0.71, 0.73]), level)
    assert (shares > 0.5).tolist() == [False, True]  # 0.72 has a share of 0.8 at a level of 0.3


def test_a_photograph_without_box_does_not_count(tmp_path: Path) -> None:
    dataset = drawn(tmp_path, 30)
    found: Any = boxes_at(rimmed(), dataset, dataset.samples("train"), 224, [0.8])
    assert found.shape == (4, 1, 4)
    assert not found[3].any()
    assert (found[:3, 0, 2] - found[:3, 0, 0] == 20).all()
    assert shrinking(found[:, 0], np.zeros((4, 4))) == 1.0
