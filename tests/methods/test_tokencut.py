"""TokenCut and LOST against their definitions in plain loops, on wide maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rfga.methods.base import MapReader
from rfga.methods.lost import LOST, expand_seed
from rfga.methods.tokencut import TokenCut, cut
from rfga.nn.components import component
from rfga.types import FloatArray
from tests.contract_cases import made_images, made_method


def keys_of(seed: int, noise: float = 0.6) -> torch.Tensor:
    """(2, 8, 5, 7): two directions, one in a patch and one elsewhere, with noise."""
    generator = torch.Generator().manual_seed(seed)
    keys = noise * torch.randn(2, 8, 5, 7, generator=generator)
    keys[:, 0] += 1
    keys[0, :, 1:4, 2:5] += torch.tensor([-1.5, 1, 0, 0, 0, 0, 0, 0])[:, None, None]
    keys[1, :, 2:4, 0:3] += torch.tensor([-1.5, 0, 1, 0, 0, 0, 0, 0])[:, None, None]
    return keys


def seeds_component(inside: Any, seed: int) -> Any:
    """Flooded from the seed, place by place."""
    found = np.zeros_like(inside)
    waiting = [divmod(seed, inside.shape[1])]
    while waiting:
        row, column = waiting.pop()
        within = 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]
        if within and inside[row, column] and not found[row, column]:
            found[row, column] = True
            waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return found


def token_cut(keys: FloatArray) -> Any:
    """The object (h, w) of bool."""
    tokens = keys.reshape(len(keys), -1).T
    n = len(tokens)
    weights = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            cosine = tokens[i] @ tokens[j] / np.linalg.norm(tokens[i]) / np.linalg.norm(tokens[j])
            weights[i, j] = 1.0 if cosine > 0.2 else 1e-5
    degrees = np.diag(weights.sum(1))
    values, vectors = np.linalg.eig(np.linalg.inv(degrees) @ (degrees - weights))
    second = vectors[:, np.argsort(values.real)[1]].real
    seed = int(np.abs(second).argmax())
    above = second > second.mean()
    if not above[seed]:
        above = ~above
    return seeds_component(above.reshape(keys.shape[1:]), seed)


def lost(keys: FloatArray) -> Any:
    tokens = keys.reshape(len(keys), -1).T
    products = tokens @ tokens.T
    degrees = [sum(value > 0 for value in row) for row in products]
    order = sorted(range(len(tokens)), key=lambda i: degrees[i])[:100]
    seed = order[0]
    summed = sum(tokens[q] for q in order if products[q, seed] > 0)
    inside = np.array([token @ summed > 0 for token in tokens]).reshape(keys.shape[1:])
    return seeds_component(inside, seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_object_is_that_of_the_definition(seed: int) -> None:
    keys = keys_of(seed)
    for one, shares, also in zip(keys, cut(keys), expand_seed(keys), strict=True):
        plain = one.double().numpy()
        np.testing.assert_array_equal(shares.numpy() > 0.5, token_cut(plain))
        np.testing.assert_array_equal(also.numpy() > 0.5, lost(plain))
    assert cut(keys).shape == (2, 5, 7)
    for shares in (cut(keys), expand_seed(keys)):
        assert shares.amax((1, 2)).tolist() == [1, 1]
        assert (shares >= 0).all()


def test_a_patch_apart_is_found() -> None:
    found = cut(keys_of(0, noise=0.05)) > 0.5
    expected = torch.zeros(2, 5, 7, dtype=torch.bool)
    expected[0, 1:4, 2:5] = expected[1, 2:4, 0:3] = True
    assert torch.equal(found, expected)


def test_a_component_goes_round_corners() -> None:
    drawn = ["##..#", ".#..#", ".####", "#...."]
    inside = torch.tensor([[[letter == "#" for letter in row] for row in drawn]])
    found = component(inside, torch.tensor([4]))
    expected = inside.clone()
    expected[0, 3, 0] = False  # a corner is no side
    assert torch.equal(found, expected)
    assert not component(inside, torch.tensor([2])).any()


@pytest.mark.parametrize("reader", [TokenCut, LOST])
@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
def test_maps_are_the_same_for_every_class_and_of_the_keys_grid(
    reader: type[MapReader], network: str
) -> None:
    method = made_method("ridge", network).train()
    images, labels = made_images()
    found = reader(method).localize(images, torch.stack([labels, 1 - labels], 1))
    assert found.maps.shape == (2, 2, 4, 6)
    assert torch.equal(found.maps[:, 0], found.maps[:, 1])
    assert method.backbone.network.training
    turned = reader(method).localize(images.flip(0), labels)
    torch.testing.assert_close(turned.maps[:, 0], found.maps[:, 0].flip(0), rtol=1e-3, atol=1e-3)


def test_a_convolutional_networks_features_are_centred() -> None:
    method = made_method("ridge", "test_resnet").eval()
    images, _ = made_images()
    features = method.backbone(images)
    features = features - features.mean((2, 3), keepdim=True)
    assert torch.equal(TokenCut(method).localize(images).maps[:, 0], cut(features.detach()))
