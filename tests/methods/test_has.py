"""HaS: what is hidden, how often, from which generator; and that all else is CAM."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rfga.backbones.build import build_backbone
from rfga.methods.cam import CAM
from rfga.methods.has import HaS, hide_patches
from tests.contract_cases import made_images


def made(**options: Any) -> HaS:
    torch.manual_seed(0)
    return HaS(build_backbone("test_resnet"), 5, **options)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_whole_patches_of_the_grid_are_hidden_and_the_rest_stays() -> None:
    images = torch.rand(3, 3, 10, 23) + 1
    kept = images.clone()
    hidden = hide_patches(images, [4, 4, 7], 0.5, seeded())
    assert torch.equal(images, kept)
    for image, before, side in zip(hidden, images, (4, 4, 7), strict=True):
        states = set()
        for y in range(0, 10, side):
            for x in range(0, 23, side):
                patch, original = (p[:, y : y + side, x : x + side] for p in (image, before))
                assert torch.equal(patch, original) or not patch.any()
                states.add(bool(patch.any()))
        assert states == {True, False}
    assert not torch.equal(hidden[0] == 0, hidden[1] == 0)  # each image has draws of its own


def test_patches_are_hidden_as_often_as_asked_for() -> None:
    images = torch.ones(20, 1, 40, 60)
    for probability in (0.0, 0.2, 0.5, 0.9):
        hidden = hide_patches(images, [2] * 20, probability, seeded())
        assert 1 - hidden.mean().item() == pytest.approx(probability, abs=0.015)  # 12,000 draws
    assert torch.equal(hide_patches(images, [0] * 20, 0.9, seeded()), images)


def test_the_loss_is_that_of_cam_on_hidden_images() -> None:
    method = made(patch_sizes="24", hide_probability=0.4).eval()
    images, labels = made_images()
    seen: list[torch.Tensor] = []
    method.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    loss = method.loss(images, labels, seeded(3))
    [given, *_] = seen
    pixels = (given == 0).all(1)
    assert pixels.any()
    assert not pixels.all()
    assert torch.equal(given[~pixels[:, None].expand_as(given)], images[~pixels[:, None].expand_as(given)])
    torch.testing.assert_close(loss, CAM.loss(method, given, labels, seeded()))


def test_the_side_is_drawn_for_each_image() -> None:
    method = made(patch_sizes="16+8+0", hide_probability=0.5).eval()
    found: set[int] = set()
    method.backbone.register_forward_pre_hook(
        lambda module, args: found.update(_side(image) for image in args[0])
    )
    for seed in range(6):
        method.loss(torch.ones(4, 3, 64, 96), torch.zeros(4, dtype=torch.long), seeded(seed))
    assert found == {16, 8, 0}


def _side(image: torch.Tensor) -> int:
    """The largest side of patches that the hidden pixels of an image of ones fill."""
    hidden = image[0] == 0
    if not hidden.any():
        return 0
    coarse = hidden.view(4, 16, 6, 16)
    uniform = (coarse == coarse[:, :1, :, :1]).all()
    return 16 if uniform else 8


def test_maps_are_cams_of_the_whole_image() -> None:
    method = made().eval()
    images, labels = made_images()
    plain = CAM(method.backbone, 5).eval()
    plain.load_state_dict(method.state_dict())
    assert torch.equal(method.localize(images, labels).maps, plain.localize(images, labels).maps)


def test_other_draws_give_another_loss() -> None:
    method = made().eval()
    images, labels = made_images()
    losses = [float(method.loss(images, labels, seeded(seed)).detach()) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("patch_sizes", "sides"), [("56+44+32+16", (56, 44, 32, 16)), (32, (32,)), ("0", (0,))]
)
def test_sides_as_text_or_number(patch_sizes: int | str, sides: tuple[int, ...]) -> None:
    assert made(patch_sizes=patch_sizes).patch_sizes == sides


@pytest.mark.parametrize(
    "options",
    [
        {"patch_sizes": ""},
        {"patch_sizes": "32,16"},
        {"patch_sizes": -4},
        {"patch_sizes": "16+"},
        {"hide_probability": 1.0},
        {"hide_probability": -0.1},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: give"):
        made(**options)
