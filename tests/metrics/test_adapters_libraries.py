"""What pytorch-grad-cam and torchcam really return goes straight into the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rfga import LocalizationMetrics, Truth
from rfga.geometry.maps import score_maps
from rfga.metrics.adapters import from_grad_cam, from_torchcam
from rfga.types import FloatArray, UserError

# Looked for and not imported, which every process of the tests would pay for with 50 MB.
pytestmark = [
    pytest.mark.skipif(find_spec("pytorch_grad_cam") is None, reason="the extra grad-cam is not installed"),
    pytest.mark.skipif(find_spec("torchcam") is None, reason="torchcam is not installed"),
]

SIZE_HW = (96, 160)
BOXES = ((40, 16, 104, 64), (8, 32, 56, 88), (96, 8, 152, 40))  # where each image is bright: x0, y0, x1, y1


class Brightness(nn.Module):
    """Two stages of maps and two classes: class 1 is whatever is bright, class 0 whatever is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(3, 4, 4, stride=4, bias=False)
        self.late = nn.Conv2d(4, 8, 2, stride=2, bias=False)
        self.head = nn.Linear(8, 2)
        with torch.no_grad():
            for layer in (self.early, self.late):
                layer.weight.copy_(torch.rand_like(layer.weight) / layer.weight[0].numel())
            self.head.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 8))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.late(self.early(images).relu()).relu()
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


@pytest.fixture
def network() -> Brightness:
    torch.manual_seed(0)
    return Brightness().eval()


@pytest.fixture
def images() -> Tensor:
    made = torch.zeros(len(BOXES), 3, *SIZE_HW)
    for image, (x0, y0, x1, y1) in zip(made, BOXES, strict=True):
        image[:, y0:y1, x0:x1] = 1
    return made


def measured(maps: FloatArray) -> float:
    """MaxBoxAccV2 of maps against the boxes where the images are bright."""
    metrics = LocalizationMetrics(step=0.01, num_classes=2)
    truths: Sequence[Truth | None] = [Truth(SIZE_HW, boxes=np.array([box], dtype=float)) for box in BOXES]
    metrics.update([f"{i}.jpg" for i in range(len(BOXES))], maps, truths)
    value: float = metrics.compute()["metrics"]["MaxBoxAccV2"][0]["value"]
    return value


def grad_cam_maps(tool: str, network: Brightness, images: Tensor, label: int = 1) -> Any:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with getattr(pytorch_grad_cam, tool)(model=network, target_layers=[network.late]) as cam:
        return cam(input_tensor=images, targets=[ClassifierOutputTarget(label)] * len(images))


def torchcam_maps(tool: str, network: Brightness, images: Tensor, label: int = 1) -> list[Tensor]:
    from torchcam import methods

    with getattr(methods, tool)(network, [network.early, network.late]) as extractor:
        found: list[Tensor] = extractor(label, network(images))
    return found


@pytest.mark.parametrize("tool", ["GradCAM", "HiResCAM", "LayerCAM", "XGradCAM"])
def test_grad_cam_finds_what_is_bright(tool: str, network: Brightness, images: Tensor) -> None:
    given = grad_cam_maps(tool, network, images)
    assert (given.shape, given.dtype) == ((3, *SIZE_HW), np.float32)
    maps = from_grad_cam(given)
    np.testing.assert_array_equal(maps, score_maps(given))
    assert measured(maps) == 1
    assert measured(maps[::-1]) < 1  # of other images
    assert measured(from_grad_cam(given.transpose(0, 2, 1))) < 1  # height and width changed about


@pytest.mark.parametrize("tool", ["GradCAM", "GradCAMpp", "LayerCAM", "XGradCAM"])
def test_torchcam_finds_what_is_bright(tool: str, network: Brightness, images: Tensor) -> None:
    given = torchcam_maps(tool, network, images)
    assert [tuple(layer.shape) for layer in given] == [(3, 24, 40), (3, 12, 20)]
    for layer in (0, 1):
        maps = from_torchcam(given, layer)
        np.testing.assert_array_equal(maps, score_maps(given[layer].numpy()))
        assert measured(maps) == 1
        assert measured(maps[::-1]) < 1
        assert measured(from_torchcam([layer.mT for layer in given], layer)) < 1
    np.testing.assert_array_equal(from_torchcam(given), from_torchcam(given, 1))
    with pytest.raises(UserError, match="one of 2 layers"):
        from_torchcam(given, 2)


def test_the_two_tools_agree(network: Brightness, images: Tensor) -> None:
    # One brings its maps to the size of the images, the other leaves them small: edges differ a little.
    one = from_grad_cam(grad_cam_maps("LayerCAM", network, images))
    other = from_torchcam(torchcam_maps("LayerCAM", network, images))
    together = np.corrcoef([*one.reshape(3, -1), *other.reshape(3, -1)])[:3, 3:]
    assert together.diagonal().min() > 0.98
    assert together[~np.eye(3, dtype=bool)].max() < 0.8


def test_maps_of_nothing_are_taken_too(network: Brightness, images: Tensor) -> None:
    # Nothing speaks for darkness where it is bright: maps of zeros, which have no box but the whole image.
    for maps in (
        from_grad_cam(grad_cam_maps("GradCAM", network, images, label=0)),
        from_torchcam(torchcam_maps("GradCAM", network, images, label=0)),
    ):
        assert maps.shape == (3, 224, 224)
        assert not maps.any()
        assert measured(maps) < 1


def test_a_single_image(network: Brightness, images: Tensor) -> None:
    assert from_grad_cam(grad_cam_maps("GradCAM", network, images[:1])).shape == (1, 224, 224)
    assert from_torchcam(torchcam_maps("GradCAM", network, images[:1])).shape == (1, 224, 224)
