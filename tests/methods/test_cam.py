"""CAM against the sum of its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods.cam import CAM
from tests.contract_cases import made_images


def made(seed: int = 0) -> CAM:
    torch.manual_seed(seed)
    method = CAM(build_backbone("test_resnet"), 5)
    torch.nn.init.normal_(method.head.weight)
    torch.nn.init.normal_(method.head.bias, 3)
    return method


def weighted_sum(features: Tensor, weight: Tensor) -> Tensor:
    """Sum over c of weight[c] * features[c] at each position, written out."""
    out = torch.zeros(features.shape[1:], dtype=torch.float64)
    for c in range(len(weight)):
        for i in range(features.shape[1]):
            for j in range(features.shape[2]):
                out[i, j] += weight[c].double() * features[c, i, j].double()
    return out


@torch.no_grad()
def test_a_map_is_the_weighted_sum_of_the_features() -> None:
    method = made().eval()
    images, _ = made_images()
    labels = torch.tensor([[4, 0], [2, 2]])
    features = method.backbone(images)
    assert features.shape[2:] == (4, 6)
    found = method.localize(images, labels)
    for image in range(2):
        for place in range(2):
            expected = weighted_sum(features[image], method.head.weight[labels[image, place]])
            torch.testing.assert_close(found.maps[image, place].double(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_logits_are_the_maps_mean_and_the_bias() -> None:
    method = made().eval()
    images, _ = made_images()
    found = method.localize(images, torch.arange(5).repeat(2, 1))
    torch.testing.assert_close(found.logits, found.maps.mean((2, 3)) + method.head.bias)
    torch.testing.assert_close(found.logits, method.head(method.backbone(images).mean((2, 3))))


def test_the_loss_is_the_cross_entropy_of_the_logits() -> None:
    method = made().eval()
    images, labels = made_images()
    logits = method.localize(images).logits
    loss = method.loss(images, labels, torch.Generator())
    expected = -(logits.softmax(1)[torch.arange(2), labels].log()).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels))


def test_training_a_few_steps_teaches_it_the_classes() -> None:
    torch.manual_seed(0)
    method = CAM(build_backbone("test_resnet"), 3).train()
    images, labels = made_images(count=3)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = method.loss(images, labels, torch.Generator())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(torch.tensor(3.0).log().item(), abs=0.2)
    assert losses[-1] < 0.3 * losses[0]


def test_it_takes_a_backbone_with_layers_attached() -> None:
    method = made().eval()
    images, labels = made_images()
    before = method.localize(images, labels).maps
    method.backbone.attach(-1, torch.nn.ReLU())
    method.backbone.attach("layer1", torch.nn.Tanh())
    assert not torch.allclose(method.localize(images, labels).maps, before)
