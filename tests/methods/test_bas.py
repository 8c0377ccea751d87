"""BAS against its loss written out on a network of one multiplication, and what learns from which part."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rfga.backbones.base import Backbone
from rfga.methods.bas import BAS
from tests.contract_cases import made_images, made_method

LABELS = torch.tensor([1, 0])


class Doubling(nn.Module):
    """Two stages on two channels: the first passes the image's first two colours on, the second doubles."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Identity(), nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.second.weight.copy_(2 * torch.eye(2)[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.second(self.first(images[:, :2])))


def made() -> BAS:
    network = Doubling()
    backbone = Backbone(network, network.forward, {"first": ("first", 2), "second": ("second", 2)})
    torch.manual_seed(0)
    method = BAS(backbone, 2, foreground=0.25, background=2.0, area=0.125)
    with torch.no_grad():
        method.head.weight.copy_(torch.tensor([[1.0, -0.5], [0.5, 2.0]])[:, :, None, None])
    return method


def test_the_loss_is_that_of_the_paper() -> None:
    method, images = made(), torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    features = images[:, :2]
    maps = torch.sigmoid(F.conv2d(features, method.generator.weight, method.generator.bias, padding=1))
    expected = torch.zeros(())
    for i, label in enumerate(LABELS.tolist()):
        mask = maps[i, label]
        weight = method.head.weight[:, :, 0, 0]

        def scores(of: Tensor, weight: Tensor = weight) -> Tensor:
            return torch.einsum("kc,chw->khw", weight, 2 * of)

        whole, kept, left = (scores(features[i] * m) for m in (torch.ones_like(mask), mask, 1 - mask))
        ratio = left[label].clamp_min(0).mean() / whole[label].clamp_min(0).mean()
        surprise = [-part.mean((1, 2)).log_softmax(0)[label] for part in (whole, kept)]
        one = surprise[0] + 0.25 * surprise[1] + 2.0 * ratio.clamp_max(1) + 0.125 * mask.mean()
        expected = expected + one / 2
    torch.testing.assert_close(method.loss(images, LABELS, torch.Generator()), expected)


def test_weights_learn_nothing_from_the_background_and_the_gate_opens_again() -> None:
    method, images = made(), torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    gradients = []
    for background in (0.0, 5.0):
        method.background = background
        method.zero_grad()
        torch.autograd.backward(method.loss(images, LABELS, torch.Generator()))
        gradients.append([p.grad.clone() for p in method.parameters() if p.grad is not None])
        assert method.gate.mask is None
    named = [name for name, _ in method.named_parameters()]
    for name, plain, more in zip(named, *gradients, strict=True):
        assert torch.allclose(plain, more) == (not name.startswith("generator")), name
    assert all(p.requires_grad for p in method.parameters())


def test_maps_are_of_the_stage_before_the_last_and_in_the_unit_range() -> None:
    method = made_method("bas", "test_resnet").eval()
    images, labels = made_images()
    assert method.map_stage == "layer3"
    found = method.localize(images, labels)
    assert found.maps.min() > 0
    assert found.maps.max() < 1
