"""BagCAMs against the equation written out in loops, on features and gradients that autograd itself keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rfga.methods.bagcam import BagCAMs, MiddleBagCAMs, bagged
from rfga.methods.base import Method
from rfga.types import FloatArray
from tests.contract_cases import made_images, made_method


class Kept(nn.Module):
    """Keeps what passes, and its gradient."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        x.retain_grad()
        self.seen = x
        return x


def written_out(features: FloatArray, gradients: FloatArray) -> FloatArray:
    total = np.zeros(features.shape[1:])
    for one, of_it in zip(features, gradients, strict=True):
        voters = [g * f + 1 for f, g in zip(one.ravel(), of_it.ravel(), strict=True)]
        total += np.maximum(sum(voters) / len(voters) * of_it * one, 0)
    return total


@pytest.mark.parametrize(("reader", "place"), [(BagCAMs, -1), (MiddleBagCAMs, "layer3")])
@pytest.mark.parametrize("name", ["cam", "ridge", "acol"])
def test_maps_follow_the_equation(reader: type[BagCAMs], place: int | str, name: str) -> None:
    method: Method = made_method(name, "test_resnet").eval()
    images, _ = made_images()
    labels = torch.tensor([[2, 0], [1, 1]])
    found = reader(method).localize(images, labels)
    kept = Kept()
    method.backbone.attach(place, kept)
    for i, j in ((0, 0), (0, 1), (1, 0)):
        features = method.backbone(images[i : i + 1])
        head = method.get_submodule("head_a" if name == "acol" else "head")
        logits = head(features).mean((2, 3)) if name == "acol" else head(features.mean((2, 3)))
        probability = torch.exp(logits[0, labels[i, j]]) / torch.exp(logits[0]).sum()
        torch.autograd.backward(torch.log(probability))
        assert kept.seen.grad is not None
        a, g = (part[0].detach().double().numpy() for part in (kept.seen, kept.seen.grad))
        expected = written_out(a, g)
        read = found.maps[i, j].double().numpy()
        np.testing.assert_allclose(read, expected, rtol=2e-3, atol=2e-4 * expected.max())
    assert torch.equal(found.maps[1, 0], found.maps[1, 1])


def test_a_transformers_middle_tokens_become_maps() -> None:
    method = made_method("cam", "test_vit").eval()
    images, labels = made_images()
    found = MiddleBagCAMs(method).localize(images, labels)
    assert found.maps.shape == (2, 1, 4, 6)
    assert (found.maps >= 0).all()
    assert found.maps.max() > 0


def test_features_that_are_remembered_do_not_hide_the_middle() -> None:
    method = made_method("ridge", "test_resnet").eval()
    images, labels = made_images()
    expected = MiddleBagCAMs(method).localize(images, labels)
    with method.backbone.remembering():
        method.localize(images, labels)
        found = MiddleBagCAMs(method).localize(images, labels)
    assert torch.equal(found.maps, expected.maps)


def test_places_against_the_class_do_not_count() -> None:
    assert bagged(torch.tensor([[[[-0.5, -0.25]]]])).tolist() == [[[0.0, 0.0]]]
