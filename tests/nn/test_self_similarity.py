"""Spreading maps along self-similarity: shares of the places, against loops written from the definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.nn.self_similarity import joined_features, similarity, spread, spread_along


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def places_of(features: Tensor) -> list[Tensor]:
    return [features[:, i, j] for i in range(features.shape[1]) for j in range(features.shape[2])]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def by_loops(features: Tensor, others: Tensor, power: float) -> Tensor:
    """The shares of every place of one image (C, h, w), one pair of places at a time."""
    rows = []
    for a in places_of(features):
        row = [max(cosine(a, b), 0.0) ** power for b in places_of(others)]
        rows.append([value / sum(row) for value in row])
    return torch.tensor(rows, dtype=features.dtype)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
def test_shares_are_those_of_the_definition(power: float) -> None:
    features, others = random(2, 5, 3, 4), random(2, 5, 2, 2, seed=1)
    features[:, 0], others[:, 0] = 2, 2  # so that every place is a little like some other
    for to in (features, others):
        for image, other, shares in zip(features, to, similarity(features, to, power), strict=True):
            torch.testing.assert_close(shares, by_loops(image, other, power), atol=1e-5, rtol=1e-4)


def test_the_cosine_of_joined_features_is_a_mean_in_which_each_stage_counts_half_of_the_one_before() -> None:
    stages = [random(1, 4, 2, 3), random(1, 6, 2, 3, seed=1), random(1, 3, 2, 3, seed=2)]
    joined = places_of(joined_features(stages, (2, 3))[0])
    apart = [places_of(stage[0]) for stage in stages]
    for i in range(6):
        for j in range(6):
            late, middle, early = (cosine(stage[i], stage[j]) for stage in apart)
            assert cosine(joined[i], joined[j]) == pytest.approx((4 * late + 2 * middle + early) / 7)
        assert float(joined[i].norm()) == pytest.approx(1)


def test_stages_of_other_sizes_are_averaged_or_interpolated() -> None:
    large, small = random(1, 4, 4, 6), random(1, 2, 1, 2, seed=1)
    joined = joined_features([large, small], (2, 3))
    averaged = F.normalize(F.avg_pool2d(large, 2), dim=1) * math.sqrt(2 / 3)
    between = F.interpolate(small, size=(2, 3), mode="bilinear", align_corners=False)
    expected = torch.cat([averaged, F.normalize(between, dim=1) * math.sqrt(1 / 3)], dim=1)
    torch.testing.assert_close(joined, expected)


def test_evidence_reaches_the_places_alike_and_no_others() -> None:
    # A wide picture: an object of one feature at columns 1 to 3, background of another everywhere else.
    features = torch.zeros(1, 2, 2, 6)
    features[:, 0] = 1
    features[:, :, :, 1:4] = torch.tensor([0.0, 2.0])[:, None, None]
    evidence = torch.zeros(1, 1, 2, 6)
    evidence[..., 0, 1] = 6.0  # at one place of the object's six
    spread_out = spread(evidence, similarity(features, features))
    expected = torch.zeros(2, 6)
    expected[:, 1:4] = 1.0
    torch.testing.assert_close(spread_out[0, 0], expected, atol=1e-4, rtol=0)


def test_a_finer_stage_gives_the_map_its_edge() -> None:
    # Four coarse places; in the finer grid the object begins in the middle of one of them.
    fine = torch.zeros(1, 2, 1, 8)
    fine[:, 0, :, :3] = 1
    fine[:, 1, :, 3:] = 1
    coarse = F.interpolate(fine, size=(1, 4), mode="area")
    maps = torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]])
    after = spread_along(maps, [coarse, fine], times=1)[0, 0, 0]
    assert after.shape == (8,)
    assert float(after[3] - after[2]) > 0.5
    torch.testing.assert_close(after[3:], after[3:4].expand(5), atol=0.2, rtol=0)


def test_constant_maps_stay_and_no_map_leaves_its_range() -> None:
    stages = [random(3, 7, 4, 5), random(3, 6, 8, 10, seed=1), random(3, 2, 16, 20, seed=2)]
    constant = torch.full((3, 2, 4, 5), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        spread_along(constant, stages, times=3), torch.full((3, 2, 8, 10), 0.3).double()
    )
    maps = random(3, 2, 4, 5, seed=3)
    after = spread_along(maps, stages)
    assert float(after.min()) >= float(maps.min())
    assert float(after.max()) <= float(maps.max())
    assert torch.equal(spread_along(maps, stages, times=0), maps)


def test_the_last_time_alone_is_onto_the_finer_grid() -> None:
    stages, maps = [random(2, 7, 4, 5), random(2, 6, 8, 10, seed=1)], random(2, 1, 4, 5, seed=2)
    coarse, fine = joined_features(stages, (4, 5)), joined_features(stages, (8, 10))
    once = spread(maps, similarity(coarse, coarse, 1.5))
    expected = spread(once, similarity(fine, coarse, 1.5), (8, 10))
    torch.testing.assert_close(spread_along(maps, stages, 1.5, 2), expected)
    of_one = spread(once, similarity(coarse, coarse, 1.5))
    torch.testing.assert_close(spread_along(maps, [coarse], 1.5, 2), of_one)
    finer_maps = random(2, 1, 16, 20, seed=3)  # finer than any stage: they stay so
    assert spread_along(finer_maps, stages).shape == finer_maps.shape


def test_a_place_without_features_takes_what_is_there_where_it_lies() -> None:
    features = torch.zeros(1, 3, 1, 2)
    features[0, 0, 0, 0] = 1.0
    maps = torch.tensor([[[[0.2, 0.7]]]])
    torch.testing.assert_close(spread_along(maps, [features]), maps)
    nothing = torch.zeros(1, 3, 2, 4)
    after = spread(maps, similarity(nothing, features), (2, 4))
    torch.testing.assert_close(after, maps.repeat_interleave(2, 3).expand(1, 1, 2, 4))


def test_order_of_places_does_not_matter() -> None:
    features, maps = random(1, 4, 3, 5), random(1, 1, 3, 5, seed=1)
    plain = spread_along(maps, [features])
    turned = spread_along(maps.transpose(2, 3), [features.transpose(2, 3)])
    torch.testing.assert_close(plain.transpose(2, 3), turned)
