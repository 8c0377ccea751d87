from __future__ import annotations

from typing import Literal

import torch

from rfga.backbones.build import build_backbone
from rfga.methods.base import Batch
from rfga.methods.foreground import Foreground

CLASSES = 3


def solved(seeds: Literal["class", "norm"], labels: torch.Tensor, num_classes: int = CLASSES) -> torch.Tensor:
    """The one discriminant of a collection of six wide pictures, from features by chance."""
    images = torch.rand(6, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    backbone = build_backbone("test_resnet", weights="none").eval()
    method = Foreground(backbone, num_classes, discriminant="collection", seeds=seeds).eval()
    batch = Batch(images, labels, torch.arange(6) % 5)
    with torch.no_grad():
        for look in method.passes():
            sums = [one.zeros() for one in look]
            for one, held in zip(look, sums, strict=True):
                one.add(held, batch)
            for one, held in zip(look, sums, strict=True):
                one.solve(held)
    return method.discriminants[0]


def test_seeds_from_norms_ask_for_no_class() -> None:
    """Other labels, the same discriminant: that of a collection of one class; class maps follow them."""
    first, other = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([2, 1, 0, 2, 1, 0])
    norm = solved("norm", first)
    torch.testing.assert_close(solved("norm", other), norm)
    torch.testing.assert_close(solved("class", torch.zeros_like(first), num_classes=1), norm)
    assert not torch.allclose(solved("class", first), solved("class", other), atol=1e-3)
    assert norm.abs().max() > 0.01
