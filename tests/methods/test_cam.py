"""CAM against the sum of its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods.base import Batch
from rfga.methods.cam import CAM, RidgeCAM
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


def test_a_photograph_of_two_classes_counts_once() -> None:
    """It comes once for each class, in different batches, and is learned as one photograph that has both."""
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", weights="none").eval()
    images = torch.rand(4, 3, 64, 96)
    method = RidgeCAM(backbone, 3).eval()
    (classes,), (surprise,) = method.passes()
    found = classes.zeros()
    with torch.no_grad():
        pooled = backbone(images).mean((2, 3)).double()
        classes.add(found, Batch(images[:3], torch.tensor([0, 1, 2]), torch.zeros(3), {2: (1, 2)}))
        classes.add(found, Batch(images[2:], torch.tensor([1, 0]), torch.zeros(2), {0: (1, 2)}))
        classes.solve(found)
        sums = surprise.zeros()
        surprise.add(sums, Batch(images[2:3], torch.tensor([2]), torch.zeros(1), {0: (1, 2)}))
    truth = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 0, 0]]).double()
    assert found["photographs"] == 4
    torch.testing.assert_close(found["classes"], truth.sum(0))
    torch.testing.assert_close(found["moments"], pooled.T @ truth)
    torch.testing.assert_close(found["gram"], pooled.T @ pooled)
    assert (sums["surprises"] > 0).all()
