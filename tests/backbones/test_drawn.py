"""The weights that come with the package fit their network and know a bird from a scene without one."""

from __future__ import annotations

import torch
from PIL import Image

from rfga.backbones.build import build_backbone
from rfga.backbones.drawn import DRAWN_WEIGHTS
from rfga.backbones.weights import read_weights
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.individual import render
from rfga.data.transforms import eval_transform

HALF = (0.5, 0.5, 0.5)


def test_the_file_is_small_and_whole() -> None:
    assert DRAWN_WEIGHTS.stat().st_size < 500_000
    weights = read_weights(DRAWN_WEIGHTS)
    real = [values for values in weights.values() if values.is_floating_point()]
    assert {values.dtype for values in real} == {torch.float16}
    assert all(values.isfinite().all() for values in real)


def test_it_is_named_as_any_other_network() -> None:
    backbone = build_backbone("drawn_birds", weights=str(DRAWN_WEIGHTS)).eval()
    with torch.no_grad():
        last, middle = backbone.forward_places(torch.zeros(1, 3, 64, 96), backbone.middle_places[:3])
    assert last.shape == (1, backbone.out_channels, 4, 6)
    assert [tuple(maps.shape[2:]) for maps in middle] == [(4, 6), (8, 12), (16, 24)]


def test_mean_features_part_birds_from_scenes() -> None:
    """Of drawings that it was not trained on; by the nearer of two means, of the first half."""
    birds = SyntheticDataset(seed=4, train_per_class=8)
    samples = birds.samples("train")
    pictures = [birds.image(sample) for sample in samples]
    pictures += [Image.fromarray(render(birds.individual(sample), None)[0]) for sample in samples]
    squares = torch.stack([eval_transform(picture, 160) for picture in pictures])
    backbone = build_backbone("drawn_birds", weights=str(DRAWN_WEIGHTS), photographs=squares[::3]).eval()
    assert (backbone.mean, backbone.std) == (HALF, HALF)  # whatever photographs seem to say
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    with torch.no_grad():
        parts = [
            backbone((part.float() / 255 - mean) / std).mean((2, 3)) for part in torch.split(squares, 16)
        ]
    pooled = torch.cat(parts).view(2, len(samples), -1)
    known, new = pooled[:, ::2], pooled[:, 1::2]
    nearer = torch.cdist(new, known.mean(1)).argmin(2)
    assert (nearer == torch.tensor([[0], [1]])).float().mean() > 0.9
