"""The scaling and padding that a file of weights was trained with, found from photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from rfga.backbones.probe import SCALINGS, InputSettings, hear_witnesses, probe_input
from rfga.backbones.weights import read_weights


def photographs(count: int, side: int) -> Tensor:
    """Smooth coloured pictures (count, 3, side, side) uint8, of different brightness and contrast."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator) * torch.rand(count, 1, 1, 1, generator=generator)
    return (nn.functional.interpolate(coarse, (side, side), mode="bilinear") * 255).byte()


@pytest.fixture
def real_photographs(shared: Path) -> Tensor:
    """(16, 3, 224, 224) uint8 out of all classes; half of what training takes is enough here, and faster."""
    paths = sorted((shared / "photos" / "objects10" / "train").rglob("*.*"))
    pictures = []
    for path in paths[:: len(paths) // 16][:16]:
        with Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


@pytest.mark.slow
def test_the_settings_of_real_weights_are_found(shared: Path, real_photographs: Tensor) -> None:
    weights = read_weights(shared / "weights" / "mobilenetv2_100.safetensors")
    found = probe_input("mobilenetv2_100", weights, real_photographs)
    assert found == InputSettings((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "same")
    body = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
    without_classifier = probe_input("mobilenetv2_100", body, real_photographs[::2])
    assert without_classifier == InputSettings((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), None)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_statistics_recorded_under_a_scaling_name_it(scaling: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_resnet").train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean of all batches
    mean, std = SCALINGS[scaling]
    pixels = photographs(16, 64)
    images = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        network(images)
    found = probe_input("test_resnet", dict(network.state_dict()), pixels)
    assert found == InputSettings(mean, std, None)


def test_the_divergence_is_that_of_all_photographs_at_once() -> None:
    """Against torch's own divergence of what comes into each layer; six photographs are a part and a half."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet").eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    came: dict[nn.Module, Tensor] = {}
    for norm in norms:
        nn.init.uniform_(norm.get_buffer("running_mean"), -1, 1)
        nn.init.uniform_(norm.get_buffer("running_var"), 0.5, 2)
        norm.register_forward_pre_hook(lambda module, args: came.update({module: args[0]}))
    pixels = photographs(6, 64)
    network(pixels / 255)

    def diverges(norm: nn.BatchNorm2d) -> Tensor:
        maps, eps = came[norm].transpose(0, 1).flatten(1).double(), norm.eps
        seen = Normal(maps.mean(1), (maps.var(1, correction=0) + eps).sqrt())
        recorded = Normal(norm.get_buffer("running_mean"), (norm.get_buffer("running_var") + eps).sqrt())
        return kl_divergence(seen, recorded).mean()

    heard = hear_witnesses("test_resnet", dict(network.state_dict()), pixels)
    assert heard is not None
    expected = torch.stack([diverges(norm) for norm in norms]).median().item()
    assert heard.divergence["x/255"] == pytest.approx(expected, rel=1e-4)


def test_a_network_without_batch_statistics_cannot_tell() -> None:
    network = timm.create_model("test_convnext")
    assert probe_input("test_convnext", dict(network.state_dict()), photographs(4, 64)) is None


def test_a_classifier_of_other_classes_decides_too() -> None:
    """Padding is told by the classifier in the file, whatever number of classes it was fine-tuned for."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=7)
    found = probe_input("test_efficientnet", dict(network.state_dict()), photographs(4, 64))
    assert found is not None
    assert found.pad_type in ("", "same")


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the name of a timm network, found 'mobilenet_v9'"):
        probe_input("mobilenet_v9", {}, photographs(2, 64))
