"""The discriminant against least squares solved row by row, and its sums in other orders and groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rfga.nn.foreground import SeedSums, discriminant, place_vectors, seed_error, seed_sums, seeds


def made_places(photographs: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors (B, 24, 7) of a 4x6 grid, and maps (B, 4, 6) whose ends are 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(photographs, 4, 6, generator=generator)
    maps[:, 0, 0], maps[:, -1, -1] = 0.0, 1.0
    return torch.randn(photographs, 24, 7, generator=generator), maps


@pytest.mark.parametrize("ridge", [0.0, 0.01, 1.0])
def test_discriminant_is_weighted_ridge_regression(ridge: float) -> None:
    vectors, maps = made_places()
    weights, signs = seeds(maps)
    found = discriminant(seed_sums(vectors, weights, signs), ridge)
    # The oracle: plain least squares on rows scaled by the root of their weight, with rows for the penalty.
    w = weights.double().flatten().numpy() / weights.double().sum().item()
    rows = vectors.double().reshape(-1, 7).numpy() * np.sqrt(w)[:, None]
    rows = np.concatenate([rows, np.sqrt(ridge) * np.eye(7)])
    targets = np.concatenate([signs.double().flatten().numpy() * np.sqrt(w), np.zeros(7)])
    assert found.numpy() == pytest.approx(np.linalg.lstsq(rows, targets, rcond=None)[0], abs=1e-9)


def test_seeds_of_each_kind_weigh_one_in_every_photograph() -> None:
    _, maps = made_places()
    weights, signs = seeds(maps, above=0.6, below=0.2)
    for photograph, map_ in enumerate(maps.flatten(1)):
        assert weights[photograph][map_ > 0.6].sum().item() == pytest.approx(1)
        assert weights[photograph][map_ < 0.2].sum().item() == pytest.approx(1)
        assert (signs[photograph] == (map_ > 0.6).float() - (map_ < 0.2).float()).all()
    assert (weights[signs == 0] == 0).all()


def test_a_photograph_without_sure_places_gives_none() -> None:
    weights, signs = seeds(torch.full((1, 3, 4), 0.3))
    sums = seed_sums(torch.randn(1, 12, 5), weights, signs)
    assert sums.weight.item() == 0
    assert (discriminant(sums) == 0).all()


def test_sums_add_up_whatever_the_order_and_the_batches() -> None:
    vectors, maps = made_places(photographs=6)
    weights, signs = seeds(maps)
    whole = seed_sums(vectors, weights, signs)
    order = [4, 0, 5, 2, 1, 3]
    parts = [seed_sums(vectors[[i]], weights[[i]], signs[[i]]) for i in order]
    added = parts[0]
    for part in parts[1:]:
        added = added + part
    for one, other in zip(whole, added, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-9)
    back = added - parts[0]
    assert torch.allclose(back.gram, sum((part.gram for part in parts[1:]), torch.zeros(7, 7)), atol=1e-9)


def test_the_error_is_that_of_the_seeds_one_by_one() -> None:
    vectors, maps = made_places()
    weights, signs = seeds(maps)
    sums = seed_sums(vectors, weights, signs)
    r = torch.linspace(-1, 1, 7, dtype=torch.float64)
    by_hand = (weights.double() * (vectors.double() @ r - signs).square())[weights > 0].sum()
    assert seed_error(r, sums).item() == pytest.approx(by_hand.item())
    best = discriminant(sums, ridge=0.0)
    assert seed_error(best, sums) <= seed_error(best + 1e-3 * r, sums)


def test_mixed_sums_lie_between_those_of_a_class_and_the_collection() -> None:
    vectors, maps = made_places(photographs=6)
    weights, signs = seeds(maps)
    of_classes = SeedSums(
        *(
            torch.stack(part)
            for part in zip(
                *(seed_sums(vectors[k::2], weights[k::2], signs[k::2]) for k in range(2)), strict=True
            )
        )
    )
    collection = of_classes.over(0)
    alone, own = discriminant(collection), discriminant(of_classes)
    assert torch.allclose(discriminant(collection.mixed(of_classes, 1.0)), alone.expand(2, -1))
    assert torch.allclose(discriminant(collection.mixed(of_classes, 0.0)), own)
    # A class without seeds takes what the collection has.
    empty = SeedSums(
        *(part * torch.tensor([1.0, 0.0]).view(2, *[1] * (part.ndim - 1)) for part in of_classes)
    )
    assert torch.allclose(discriminant(collection.mixed(empty, 0.3))[1], discriminant(collection), atol=1e-2)


def test_places_are_named_row_by_row() -> None:
    stage = torch.zeros(1, 2, 2, 3)
    stage[0, 0, 1, 2] = 5.0
    vectors = place_vectors([stage], (2, 3))
    assert vectors[0, :, 0].tolist() == [0, 0, 0, 0, 0, 10.0]
    assert (vectors[0, :, -1] == 1).all()
