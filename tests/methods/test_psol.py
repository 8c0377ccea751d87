"""PSOL against its steps written out, and a square that it has to find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone
from rfga.geometry.levelsets import component_boxes
from rfga.methods.base import Batch, Method
from rfga.methods.psol import PSOL, box_shares
from rfga.types import FloatArray

SIDE, CLASSES = 12, 2


class Colours(nn.Module):
    """Features that are the image's colours, on the image's own grid."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.last(images))


def made() -> PSOL:
    network = Colours()
    return PSOL(Backbone(network, network.forward, {"last": ("last", 3)}), CLASSES, grid=SIDE, kept=3).eval()


def squares(count: int, seed: int = 0) -> tuple[Tensor, Tensor, FloatArray]:
    """Images with a square of the class's colour on dim noise, their classes, and edges as shares."""
    rng = np.random.default_rng(seed)
    images, labels, boxes = rng.uniform(0, 0.2, (count, 3, SIDE, SIDE)), [], []
    for number, image in enumerate(images):
        x, y = rng.integers(0, SIDE - 5, 2)
        width, height = rng.integers(3, 6, 2)
        labels.append(number % CLASSES)
        image[number % CLASSES, y : y + height, x : x + width] += 3
        boxes.append([x / SIDE, y / SIDE, (x + width) / SIDE, (y + height) / SIDE])
    return torch.from_numpy(images).float(), torch.tensor(labels), np.array(boxes)


def learn(method: Method, images: Tensor, labels: Tensor, size: int = 4) -> None:
    """All looks, in batches."""
    for number in range(len(method.passes())):
        looks = method.passes()[number]
        sums = [one.zeros() for one in looks]
        for first in range(0, len(images), size):
            part = slice(first, first + size)
            for one, own in zip(looks, sums, strict=True):
                one.add(own, Batch(images[part], labels[part], torch.zeros(len(labels[part]))))
        for one, own in zip(looks, sums, strict=True):
            one.solve(own)


def test_the_regressor_is_ridge_regression_to_boxes_of_descriptors() -> None:
    images, labels, _ = squares(40)
    method = made()
    learn(method, images, labels)
    places = images.permute(0, 2, 3, 1).double().numpy()
    mean = places.reshape(-1, 3).mean(0)
    wanted, seen = [], []
    for image, label in zip(places, labels.tolist(), strict=True):
        of_class = places[labels.numpy() == label].reshape(-1, 3)
        covariance = np.cov(of_class.T, bias=True)
        first = np.linalg.eigh(covariance)[1][:, -1]
        sizes = np.linalg.norm(of_class, axis=1)
        if np.cov(of_class @ first, sizes)[0, 1] < 0:
            first = -first
        values = np.clip((image - of_class.mean(0)) @ first, 0, None)
        x0, y0, x1, y1 = component_boxes(values / values.max(), 0.0)[0]
        wanted.append([x0 / SIDE, y0 / SIDE, (x1 + 1) / SIDE, (y1 + 1) / SIDE])
        seen.append((image - mean).reshape(-1))
    x, y = np.array(seen) - np.mean(seen, 0), np.array(wanted) - np.mean(wanted, 0)
    # In whatever directions the components lie, ridge regression from all of them is the same.
    unit = (x**2).sum() / x.size
    fits = []
    for strength in 10.0 ** (np.arange(-6, 5) / 2):
        inverse = np.linalg.inv(x @ x.T + strength * len(x) * unit * np.eye(len(x)))
        hat = x @ x.T @ inverse
        freedom = 1 - (1 + np.trace(hat)) / len(x)
        fits.append((((y - hat @ y) ** 2).sum() / freedom**2, strength, inverse))
    _, _, inverse = min(fits, key=lambda fit: fit[0])
    others, _, _ = squares(6, seed=1)
    new = others.permute(0, 2, 3, 1).double().numpy().reshape(6, -1) - np.tile(mean, SIDE * SIDE)
    expected = (new - np.mean(seen, 0)) @ x.T @ inverse @ y + np.mean(wanted, 0)
    found = method._seen(others) @ method.regressor + method.middle
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_squares_are_found_and_what_shows_no_object_counts_nothing() -> None:
    images, labels, boxes = squares(200)
    plain, beside = made(), made()
    learn(plain, images, labels)
    empty = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    learn(beside, torch.cat([images, empty]), torch.cat([labels, torch.full((4,), -1)]))
    torch.testing.assert_close(beside.regressor, plain.regressor)
    new, new_labels, true = squares(30, seed=2)
    found = plain.localize(new)
    assert (found.labels[:, 0] == new_labels).float().mean() > 0.9
    edges = (plain._seen(new) @ plain.regressor + plain.middle).numpy()
    assert np.abs(edges - true).mean() < np.abs(boxes.mean(0) - true).mean() / 2


@pytest.mark.parametrize("box", [(0.1, 0.2, 0.6, 0.9), (0.0, 0.0, 1.0, 1.0), (0.5, 0.25, 0.75, 0.5)])
def test_maps_are_cut_along_the_box(box: tuple[float, ...]) -> None:
    (shares,) = box_shares(torch.tensor([box], dtype=torch.float64), (200, 100)).numpy()
    x0, y0, x1, y1 = component_boxes(shares, 0.5)[0]
    assert [x0 / 100, y0 / 200, (x1 + 1) / 100, (y1 + 1) / 200] == pytest.approx(box, abs=0.01)


def test_a_box_without_extent_is_a_small_one() -> None:
    (shares,) = box_shares(torch.tensor([[0.6, 0.4, 0.4, 0.6]]), (101, 101)).numpy()
    x0, _, x1, _ = component_boxes(shares, 0.5)[0]
    assert 0 <= x1 - x0 <= 2
