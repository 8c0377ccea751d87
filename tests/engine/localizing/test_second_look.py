from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rfga.data import open_dataset
from rfga.data.transforms import eval_transform
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.second_look import enlarged, second_look
from rfga.types import FloatArray


def test_a_box_is_cut_out_mirrored_and_enlarged() -> None:
    photograph = torch.zeros(3, 40, 60, dtype=torch.uint8)
    photograph[0, 10:30, 30:45] = 200  # red in the left half of the box
    part = enlarged(photograph, np.array([0.5, 0.25, 1.0, 0.75]))
    assert part.shape == photograph.shape
    assert part[0, :, :25].max() == 0
    assert part[0, :, 35:].min() == 200
    assert enlarged(photograph, np.array([0.999, 0.999, 1.0, 1.0])).shape == photograph.shape


def test_each_box_has_its_own_pass() -> None:
    passes: list[Tensor] = []

    def look(pixels: Tensor, labels: Tensor) -> tuple[FloatArray, FloatArray]:
        passes.append(pixels)
        maps = np.zeros((len(pixels), 224, 224))
        maps[:, :, : 56 * len(passes)] = 1.0  # a quarter of the first boxes, half of the second ones
        return maps, maps

    half = np.array([0.0, 0.0, 0.5, 1.0])
    boxes = [np.zeros((0, 4)), np.array([half, 1 - half[[2, 3, 0, 1]]]), half[None]]
    pixels = torch.full((3, 3, 16, 16), 90, dtype=torch.uint8)
    found = second_look(look, pixels, torch.tensor([0, 1, 2]), boxes, 0.5)
    assert found.shape == (3, 2, 2)
    assert found[:, :, 0].tolist() == [[0.0, 0.0], [0.25, 0.5], [0.25, 0.0]]
    assert found[1, :, 1].tolist() == [0.25, 0.5]
    assert [[bool(row.any()) for row in seen] for seen in passes] == [
        [False, True, True],
        [False, True, False],
    ]
    flat = second_look(
        lambda p, _: (np.zeros((3, 2, 2)), np.zeros((3, 224, 224))), pixels, torch.zeros(3), boxes, 0.5
    )
    assert not flat.any()
    assert second_look(look, pixels, torch.zeros(3), [np.zeros((0, 4))] * 3, 0.5).shape == (3, 0, 2)


def test_what_is_seen_of_a_photograph_does_not_depend_on_its_neighbours(tiny_run: Path, birds: Path) -> None:
    data = open_dataset(birds)
    pixels = torch.stack([eval_transform(data.image(sample), 64) for sample in data.samples("val")[:4]])
    localizer = Localizer.load(tiny_run, device="cpu").with_second_look(max_boxes=2)
    alone = torch.zeros_like(pixels)
    alone[2] = pixels[2]
    labels = torch.tensor([0, 1, 2, 3])
    together, apart = localizer.score(pixels, labels), localizer.score(alone, labels)
    assert together.looks is not None
    assert apart.looks is not None
    count = min(together.looks.shape[1], apart.looks.shape[1])
    assert (together.looks[2, :count] == apart.looks[2, :count]).all()
    assert together.looks[2].any()
    part = together.rows([2]).looks
    assert part is not None
    assert np.array_equal(part, together.looks[2:3])
    plain = Localizer.load(tiny_run, device="cpu").score(pixels, labels)
    assert plain.looks is None
    assert (plain.maps == together.maps).all()
    size_hw = [(60, 80)] * 4
    judged, unjudged = (
        [p.scores for p in localizer.predictions(scored, list("abcd"), size_hw)]
        for scored in (together, plain)
    )
    assert judged != unjudged
