"""The RFGA layer against values recorded from the authors' layer, and against a plain second writing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rfga.nn.rfga import CALIBRATIONS, EXPANSIONS, GATES, RFGA, VIEWS

SUBSETS = [views for n in (1, 2, 3) for views in combinations(VIEWS, n)]


def load_golden(path: Path) -> tuple[RFGA, dict[str, Tensor]]:
    recorded = {name: torch.from_numpy(value) for name, value in np.load(path).items()}
    layer = RFGA(recorded["x"].shape[1])
    names = {name.replace(".", "_"): name for name in layer.state_dict()}
    layer.load_state_dict(
        {
            names[key.removeprefix("param_")]: value
            for key, value in recorded.items()
            if key.startswith("param_")
        }
    )
    return layer, recorded


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_agrees_with_the_authors_layer(shared: Path, mode: str) -> None:
    layer, recorded = load_golden(shared / "golden" / f"rfga_{mode}.npz")
    layer.train(mode == "train")
    x = recorded["x"].clone().requires_grad_()
    y = layer(x)
    torch.autograd.backward(y, recorded["grad_y"])
    assert_close(y.detach(), recorded["y"], 1e-5)
    assert x.grad is not None
    assert_close(x.grad, recorded["grad_x"], 1e-5)
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        tolerance = 1e-4 if name == "channel_conv.weight" else 1e-5
        assert_close(parameter.grad, recorded["grad_" + name.replace(".", "_")], tolerance)
    state = layer.state_dict()
    after = [name for name in state if "after_" + name.replace(".", "_") in recorded]
    assert len([name for name in after if "running" in name]) == 6
    for name in after:
        assert_close(state[name].float(), recorded["after_" + name.replace(".", "_")].float(), 1e-5)


def plain(layer: RFGA, x: Tensor) -> Tensor:
    """The layer written a second time, element by element of its definition, for evaluation mode."""

    def normalised(view: str, z: Tensor) -> Tensor:
        norm = getattr(layer, f"{view}_norm")
        z = (z - norm.running_mean[:, None]) / (norm.running_var[:, None] + norm.eps).sqrt()
        scaled: Tensor = z * norm.weight[:, None] + norm.bias[:, None]
        return scaled

    def gate(z: Tensor, axis: int) -> Tensor:
        return 1 / (1 + (-z).exp()) if layer.gate == "sigmoid" else z.exp() / z.exp().sum(axis, keepdim=True)

    parts = []
    if "channel" in layer.views:
        z = layer.get_submodule("channel_conv")(x.mean((2, 3))[:, None]).permute(0, 2, 1)
        parts.append(gate(normalised("channel", z), 1)[:, :, :, None].expand_as(x))
    if "height" in layer.views:
        z = layer.get_submodule("height_conv")(x.mean(3))
        parts.append(gate(normalised("height", z), 2)[:, :, :, None].expand_as(x))
    if "width" in layer.views:
        z = layer.get_submodule("width_conv")(x.mean(2))
        parts.append(gate(normalised("width", z), 2)[:, :, None, :].expand_as(x))
    stacked = torch.stack(parts)
    m = {"sum": stacked.sum(0), "mean": stacked.mean(0), "product": stacked.prod(0)}[layer.expansion]
    if layer.calibration == "gradual":
        start = {"sum": 0.5 * len(parts), "mean": 0.5, "product": 0.5 ** len(parts)}[layer.expansion]
        return x + layer.get_parameter("gain")[:, :, None] * x * (m - start)
    return {"residual": x + x * m, "plain": x * m, "weighted": x * (0.35 + 0.65 * m)}[layer.calibration]


def randomised(layer: RFGA) -> RFGA:
    for name, value in layer.state_dict().items():
        if "num_batches" not in name:
            nn.init.uniform_(value, 0.2, 1.0)
    return layer.double().eval()


@pytest.mark.parametrize("views", SUBSETS)
@pytest.mark.parametrize("expansion", list(EXPANSIONS))
@pytest.mark.parametrize("calibration", list(CALIBRATIONS))
@pytest.mark.parametrize("gate", list(GATES))
def test_every_switch_does_what_its_definition_says(
    views: tuple[str, ...], expansion: str, calibration: str, gate: str
) -> None:
    torch.manual_seed(0)
    layer = randomised(RFGA(6, views=views, expansion=expansion, calibration=calibration, gate=gate))
    x = torch.randn(3, 6, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), plain(layer, x))


def test_switches_change_the_result() -> None:
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    results = []
    every_options: list[dict[str, Any]] = [
        {},
        {"expansion": "product"},
        {"calibration": "plain"},
        {"gate": "softmax"},
        {"views": ["width"]},
    ]
    for options in every_options:
        torch.manual_seed(0)
        results.append(RFGA(6, **options).double().eval()(x))
    for one, other in combinations(results, 2):
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("expansion", list(EXPANSIONS))
def test_the_gradual_form_starts_as_an_identity_and_its_gains_learn(expansion: str) -> None:
    layer = RFGA(6, calibration="gradual", expansion=expansion).train()
    x = torch.randn(3, 6, 5, 4)
    y = layer(x)
    torch.testing.assert_close(y, x)
    (y * torch.randn_like(y)).sum().backward()
    gradient = layer.get_parameter("gain").grad
    assert gradient is not None
    assert int((gradient != 0).sum()) == 6


def test_every_element_has_a_value_of_its_own_between_zero_and_three() -> None:
    torch.manual_seed(0)
    attention = RFGA(8).eval().attention(torch.randn(2, 8, 5, 3) * 10)
    assert attention.shape == (2, 8, 5, 3)
    assert attention.min() > 0
    assert attention.max() < 3
    assert len(set(attention.flatten().tolist())) == attention.numel()


def test_weight_counts_of_dense_and_light_forms() -> None:
    def convolution_weights(layer: RFGA) -> int:
        return sum(
            p.numel()
            for name, p in layer.named_parameters()
            if name in ("height_conv.weight", "width_conv.weight")
        )

    with torch.device("meta"):
        assert convolution_weights(RFGA(2048)) == 2 * 3 * 2048**2
        assert convolution_weights(RFGA(2048, groups=2048)) == 2 * 3 * 2048
        assert convolution_weights(RFGA(64, kernel_size=5)) == 2 * 5 * 64**2


def test_one_image_per_device_in_training_names_the_remedies() -> None:
    x = torch.randn(1, 4, 5, 3)
    with pytest.raises(ValueError, match=r"larger batch.*SyncBatchNorm"):
        RFGA(4)(x)
    assert RFGA(4).eval()(x).shape == x.shape
    assert RFGA(4, views=("height", "width"))(x).shape == x.shape


@pytest.mark.parametrize(
    "options",
    [{"views": ()}, {"views": ("depth",)}, {"expansion": "max"}, {"calibration": "none"}, {"gate": "tanh"},
     {"kernel_size": 4}, {"groups": 3}],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        RFGA(4, **options)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected features \(B, 4, H, W\), found \(2, 5, 3, 3\)"):
        RFGA(4)(torch.zeros(2, 5, 3, 3))
