"""Ridge regression against solving it anew without each photograph, and against other strengths."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from rfga.nn.ridge import STRENGTHS, ClassSums, class_sums, solve_ridge


def made_features(photographs: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(photographs) % 3
    means = torch.randn(3, 8, generator=generator)
    return means[labels] + torch.randn(photographs, 8, generator=generator), labels


def test_scores_are_those_of_ridge_regression() -> None:
    x, labels = made_features()
    ridge = solve_ridge(class_sums(x, F.one_hot(labels, 3)), strength=0.3)
    centred = x.double() - x.double().mean(0)
    truth = F.one_hot(labels, 3).double()
    penalty = 0.3 * len(x) * centred.square().mean(0).mean()
    gram = centred.T @ centred + penalty * torch.eye(8, dtype=torch.float64)
    weights = torch.linalg.solve(gram, centred.T @ (truth - truth.mean(0)))
    assert torch.allclose(ridge.scores(x.double()), centred @ weights + truth.mean(0), atol=1e-9)


def test_leaving_one_out_is_exact() -> None:
    x, labels = made_features()
    ridge = solve_ridge(class_sums(x, F.one_hot(labels, 3)), strength=0.3)
    left_out = ridge.left_out(x.double(), F.one_hot(labels, 3))
    penalty = 0.3 * len(x) * (x.double() - x.double().mean(0)).square().mean(0).mean()
    for i in (0, 7, 29):
        others = torch.arange(len(x)) != i
        mean = x[others].double().mean(0)
        centred, truth = x[others].double() - mean, F.one_hot(labels[others], 3).double()
        gram = centred.T @ centred + penalty * torch.eye(8, dtype=torch.float64)
        weights = torch.linalg.solve(gram, centred.T @ (truth - truth.mean(0)))
        assert torch.allclose(left_out[i], (x[i].double() - mean) @ weights + truth.mean(0), atol=1e-9)


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    x, labels = made_features()
    whole = class_sums(x, F.one_hot(labels, 3))
    parts = [
        class_sums(x[rows], F.one_hot(labels[rows], 3)) for rows in (slice(20, 30), slice(0, 1), slice(1, 20))
    ]
    added = ClassSums(*(sum(values, torch.zeros(())) for values in zip(*parts, strict=True)))
    for one, other in zip(whole, added, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-9)


def test_the_chosen_strength_has_the_least_error_of_generalised_cross_validation() -> None:
    x, labels = made_features()
    sums = class_sums(x, F.one_hot(labels, 3))
    truth = F.one_hot(labels, 3).double()

    def gcv(strength: float) -> float:
        ridge = solve_ridge(sums, strength)
        centred = x.double() - ridge.mean
        freedom = 1 + torch.trace(centred @ ridge.inverse @ centred.T)
        residual = (truth - ridge.scores(x.double())).square().sum()
        return float(residual / (1 - freedom / len(x)) ** 2)

    assert solve_ridge(sums).strength == min(STRENGTHS, key=gcv)


def test_one_photograph_and_constant_features_are_solved_without_a_fuss() -> None:
    ridge = solve_ridge(class_sums(torch.ones(1, 4), torch.tensor([[0, 1]])))
    assert ridge.scores(torch.ones(1, 4).double())[0].tolist() == pytest.approx([0.0, 1.0])
    assert ridge.weights.isfinite().all()
