"""CutMix: the box, the share of each class in the loss, and the distribution that sizes it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rfga.backbones.build import build_backbone
from rfga.methods.cam import CAM
from rfga.methods.cutmix import CutMix, draw_beta, draw_box
from tests.contract_cases import made_images

HEIGHT, WIDTH = 64, 96


def made(**options: Any) -> CutMix:
    torch.manual_seed(0)
    method = CutMix(build_backbone("test_resnet"), 5, **options)
    torch.nn.init.normal_(method.head.weight)  # so that the classes have different losses
    return method


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat_images() -> tuple[Tensor, Tensor]:
    """Three images that are 1, 2 and 3 everywhere, of the classes 4, 0 and 2."""
    return torch.arange(1.0, 4).view(3, 1, 1, 1).expand(3, 3, HEIGHT, WIDTH).clone(), torch.tensor([4, 0, 2])


def mixed_and_loss(method: CutMix, seed: int) -> tuple[Tensor, Tensor]:
    """The images that the network was given (B, H, W), and the loss."""
    seen: list[Tensor] = []
    hook = method.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images, labels = flat_images()
    loss = method.loss(images, labels, seeded(seed))
    hook.remove()
    assert torch.equal(images, flat_images()[0])
    return seen[0], loss


@pytest.mark.parametrize("seed", range(8))
def test_a_box_comes_from_another_image_and_classes_count_by_true_area(seed: int) -> None:
    method = made().eval()
    mixed, loss = mixed_and_loss(method, seed)
    _, labels = flat_images()
    logits = method.head(method.backbone(mixed).mean((2, 3)))
    expected, boxes = 0.0, set()
    for i, image in enumerate(mixed):
        assert torch.equal(image[0], image[1])
        foreign = image[0] != i + 1
        values = set(image[0].unique().tolist())
        assert len(values) <= 2
        other = int((values - {i + 1.0} or {i + 1.0}).pop()) - 1
        if foreign.any():
            ys, xs = foreign.nonzero().T
            boxes.add((ys.min().item(), ys.max().item(), xs.min().item(), xs.max().item()))
            assert foreign.sum() == (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
        own = 1 - foreign.float().mean().item()
        target = torch.zeros(5)
        target[labels[i]] += own
        target[labels[other]] += 1 - own
        expected += float(-(target * logits[i].log_softmax(0)).sum().detach()) / 3
    assert len(boxes) <= 1  # the same place in all of the batch
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_without_mixing_it_is_cam() -> None:
    method = made(probability=0.0).eval()
    mixed, loss = mixed_and_loss(method, 0)
    images, labels = flat_images()
    assert torch.equal(mixed, images)
    torch.testing.assert_close(loss, F.cross_entropy(method.localize(images).logits, labels))


def test_batches_are_mixed_as_often_as_asked_for() -> None:
    method = made(probability=0.3).eval()
    images = flat_images()[0]
    changed = sum(not torch.equal(mixed_and_loss(method, seed)[0], images) for seed in range(60))
    assert 8 <= changed <= 27  # 18 expected, less those whose permutation leaves each image with itself


def test_a_lone_image_is_mixed_with_itself() -> None:
    method = made().eval()
    images, labels = made_images(count=1)
    torch.testing.assert_close(
        method.loss(images, labels, seeded()), CAM.loss(method, images, labels, seeded())
    )


def test_boxes_have_the_images_proportions_and_stay_inside() -> None:
    generator, whole = seeded(), []
    centres = torch.zeros(2)
    for _ in range(3000):
        y0, y1, x0, x1 = draw_box((HEIGHT, WIDTH), 0.75, generator)
        assert 0 <= y0 <= y1 <= HEIGHT
        assert 0 <= x0 <= x1 <= WIDTH
        assert y1 - y0 <= 32
        assert x1 - x0 <= 48  # sqrt(1 - 0.75) = 1/2 of either side
        whole.append((y1 - y0, x1 - x0) == (32, 48))
        centres += torch.tensor([y0 + y1, x0 + x1]) / 2 / 3000
    assert sum(whole) / 3000 == pytest.approx(1 / 4, abs=0.03)  # the centre in the inner half, either way
    assert centres.tolist() == pytest.approx([32, 48], abs=1.5)
    y0, y1, x0, x1 = draw_box((HEIGHT, WIDTH), 1.0, generator)
    assert (y1 - y0) * (x1 - x0) == 0


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.999, 1.0, 2.0, 7.5])
def test_beta_draws_have_its_distribution(alpha: float) -> None:
    n, generator = 4000, seeded(1)
    drawn = torch.tensor([draw_beta(alpha, generator) for _ in range(n)], dtype=torch.float64).sort().values
    assert 0 <= drawn[0] <= drawn[-1] <= 1
    torch.manual_seed(0)
    other = torch.distributions.Beta(torch.tensor(alpha, dtype=torch.float64), alpha).sample((100_000,))
    at = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    below, expected = (torch.searchsorted(x.sort().values, at) / len(x) for x in (drawn, other))
    assert (below - expected).abs().max() < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov at 0.1 %
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


@pytest.mark.parametrize(
    "options", [{"alpha": 0.0}, {"alpha": math.inf}, {"probability": 1.1}, {"probability": -0.1}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: 1 is the paper's"):
        made(**options)
