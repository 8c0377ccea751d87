"""Spreading maps along self-similarity: shares of the places, against loops written from the definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rfga.nn.self_similarity import self_similarity, spread


def by_loops(features: Tensor, power: float) -> Tensor:
    """The shares of every place of one image (C, h, w), one pair of places at a time."""
    places = [features[:, i, j] for i in range(features.shape[1]) for j in range(features.shape[2])]
    rows = []
    for a in places:
        row = []
        for b in places:
            cosine = float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
            row.append(max(cosine, 0.0) ** power)
        rows.append([value / sum(row) for value in row])
    return torch.tensor(rows, dtype=features.dtype)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_shares_are_those_of_the_definition(power: float) -> None:
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = self_similarity(features, power)
    for image, shares in zip(features, found, strict=True):
        torch.testing.assert_close(shares, by_loops(image, power), atol=2e-6, rtol=1e-4)


def test_evidence_reaches_the_places_alike_and_no_others() -> None:
    # A wide picture: an object of one feature at columns 1 to 3, background of another everywhere else.
    features = torch.zeros(1, 2, 2, 6)
    features[:, 0] = 1
    features[:, :, :, 1:4] = torch.tensor([0.0, 2.0])[:, None, None]
    evidence = torch.zeros(1, 1, 2, 6)
    evidence[..., 0, 1] = 6.0  # at one place of the object's six
    spread_out = spread(evidence, self_similarity(features))
    expected = torch.zeros(2, 6)
    expected[:, 1:4] = 1.0
    torch.testing.assert_close(spread_out[0, 0], expected, atol=1e-4, rtol=0)


def test_constant_maps_stay_and_no_map_leaves_its_range() -> None:
    generator = torch.Generator().manual_seed(1)
    similarity = self_similarity(torch.randn(3, 7, 4, 5, generator=generator))
    torch.testing.assert_close(
        spread(torch.full((3, 2, 4, 5), 0.3), similarity, 3), torch.full((3, 2, 4, 5), 0.3)
    )
    maps = torch.rand(3, 2, 4, 5, generator=generator)
    after = spread(maps, similarity, 2)
    assert float(after.min()) >= float(maps.min())
    assert float(after.max()) <= float(maps.max())
    assert torch.equal(spread(maps, similarity, 0), maps)


def test_a_place_without_features_keeps_what_it_has() -> None:
    features = torch.zeros(1, 3, 1, 2)
    features[0, 0, 0, 0] = 1.0
    maps = torch.tensor([[[[0.2, 0.7]]]])
    torch.testing.assert_close(spread(maps, self_similarity(features), 2), maps)


def test_order_of_places_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(2)
    features, maps = torch.randn(1, 4, 3, 5, generator=generator), torch.rand(1, 1, 3, 5, generator=generator)
    plain = spread(maps, self_similarity(features), 2)
    turned = spread(maps.transpose(2, 3), self_similarity(features.transpose(2, 3)), 2)
    torch.testing.assert_close(plain.transpose(2, 3), turned)
