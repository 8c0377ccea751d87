"""Finer maps look at the same pixels as the coarse ones: at common positions they hold the same values."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from rfga.backbones.stride import limit_stride
from rfga.backbones.timm_network import timm_backbone

IMAGES = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))


def chain() -> nn.Sequential:
    """Strides 2, 4, 8, 16 with odd windows throughout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, 3),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 4, 5, 2, 2, groups=2),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.Conv2d(4, 4, 3, 1, 2, dilation=2),
        nn.Conv2d(4, 5, 1, bias=False),
    ).eval()


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
@torch.no_grad()
def test_a_chain_keeps_its_values_at_common_positions(stride: int) -> None:
    coarse, fine = chain(), chain()
    limit_stride(fine, stride)
    step = max(1, 16 // stride)
    found, expected = fine(IMAGES), coarse(IMAGES)
    assert found.shape[2:] == (6 * step, 10 * step)
    torch.testing.assert_close(found[:, :, ::step, ::step], expected)


def test_strides_and_dilations_written_out() -> None:
    network = chain()
    limit_stride(network, 4)
    expected: dict[int, dict[str, Any]] = {
        0: {"stride": (2, 2), "dilation": (1, 1), "padding": (3, 3)},
        1: {"stride": 2, "dilation": 1, "padding": 1},
        2: {"stride": (1, 1), "dilation": (1, 1), "padding": (2, 2)},  # itself still reads stride 4
        3: {"stride": (1, 1), "dilation": (2, 2), "padding": (2, 2)},
        4: {
            "stride": (1, 1),
            "dilation": (8, 8),
            "padding": (8, 8),
        },  # 2 of its own, 4 for the left out strides
        5: {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0)},
    }
    for place, settings in expected.items():
        assert {key: getattr(network[place], key) for key in settings} == settings


def test_a_stride_of_four_is_left_out_in_part_or_whole() -> None:
    for pool in (nn.MaxPool2d(5, 4, 2), nn.AvgPool2d(5, 4, 2), nn.Conv2d(4, 4, 5, 4, 2)):
        for wanted in (8, 4, 2):
            network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), pool)
            limit_stride(network, wanted)
            assert network(IMAGES).shape[2:] == (96 // wanted, 160 // wanted)


def test_a_module_that_runs_twice_is_changed_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.shared = nn.Conv2d(3, 3, 3, 4, 1), nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.shared(self.shared(self.down(x))))

    network = Twice()
    limit_stride(network, 2)
    assert network.shared.dilation == (2, 2)


def test_no_weight_and_no_mode_changes() -> None:
    network = chain().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    limit_stride(network, 2)
    assert network.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "mobilenetv2_100", "test_convnext", "test_efficientnet"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50", "regnety_002")),
    ],
)
@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_the_rule_is_timms_own_where_timm_has_one(name: str) -> None:
    """Same weights, same outputs: the strided convolution itself stays undilated in both."""
    for stride in (16, 8):
        theirs: Any = timm.create_model(name, num_classes=0, output_stride=stride).eval()
        ours: Any = timm.create_model(name, num_classes=0).eval()
        ours.load_state_dict(theirs.state_dict())
        limit_stride(ours, stride)
        torch.testing.assert_close(ours.forward_features(IMAGES), theirs.forward_features(IMAGES))


def features(
    name: str, stride: int, weights: dict[str, Tensor] | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    backbone = timm_backbone(name, output_stride=stride).eval()
    if weights is not None:
        backbone.network.load_state_dict(weights)
    with torch.no_grad():
        return backbone(IMAGES), dict(backbone.network.state_dict())


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("resnet18", (16, 8)),
        ("mobilenetv2_100", (16, 8)),
        pytest.param("resnet50", (16, 8), marks=pytest.mark.slow),
        # At 8 timm dilates an even window, which moves it by a pixel.
        pytest.param("convnext_tiny", (16,), marks=pytest.mark.slow),
    ],
)
def test_fine_features_hold_the_coarse_ones(name: str, strides: tuple[int, ...]) -> None:
    coarse, weights = features(name, 32)
    assert coarse.std() > 0
    for stride in strides:
        fine, _ = features(name, stride, weights)
        step = 32 // stride
        torch.testing.assert_close(
            fine[:, :, ::step, ::step], coarse, rtol=1e-4, atol=1e-6 * float(coarse.abs().max())
        )


def test_squeeze_and_excitation_sees_more_positions_when_the_map_is_finer() -> None:
    """It averages over the whole map, so there the values differ; hence it is not in the list above."""
    coarse, weights = features("test_efficientnet", 32)
    fine, _ = features("test_efficientnet", 16, weights)
    assert fine.shape[2:] == (6, 10)
    assert not torch.allclose(fine[:, :, ::2, ::2], coarse)


@pytest.mark.slow  # of its size, not its time
@torch.no_grad()
def test_vgg_keeps_its_resolution_by_leaving_pools_out() -> None:
    torch.manual_seed(0)
    half = timm_backbone("vgg16", output_stride=16).eval()
    stages = half.forward_stages(IMAGES)
    assert stages["features.30"].shape == (1, 512, 6, 10)
    assert torch.equal(stages["features.29"], stages["features.30"])
    fine = timm_backbone("vgg16", output_stride=8).eval()
    fine.network.load_state_dict(half.network.state_dict())
    finer = fine.forward_stages(IMAGES)
    assert finer["features.30"].shape == (1, 512, 12, 20)
    torch.testing.assert_close(finer["features.22"], stages["features.22"])
    convolution = fine.network.get_submodule("features.24")
    assert isinstance(convolution, nn.Conv2d)
    assert (convolution.dilation, convolution.padding) == ((2, 2), (2, 2))


def test_layers_without_padding_that_cross_a_power_of_two_keep_their_stride() -> None:
    patches = nn.Conv2d(3, 3, 16, 16)  # to maps 16 wide, then 11, then 10
    network = nn.Sequential(patches, nn.Conv2d(3, 3, 6), nn.MaxPool2d(2, 1))
    limit_stride(network, 16)
    assert network(torch.zeros(1, 3, 256, 256)).shape[2:] == (10, 10)
