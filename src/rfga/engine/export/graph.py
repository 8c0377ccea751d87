"""A trained method as exporters take it: one module of pixels to logits and the maps of all classes."""

from __future__ import annotations

import copy
import json

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from rfga.engine.localizing.localizer import Localizer
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.methods.base import Method
from rfga.types import UserError
from rfga.version import __version__

INPUT, OUTPUTS = "images", ("logits", "maps")
TRACED_BATCH = 2  # any but one, which exporters take for a constant


class AllMaps(nn.Module):
    """Pixels of photographs -> logits of every class and the raw map of every class.

    Args:
        method: the trained network; it is put into evaluation mode.

    Shape:
        images (B, 3, S, S) float32, RGB from 0 to 255 -> logits (B, K), maps (B, K, h, w).

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> from rfga.methods.cam import CAM
        >>> module = AllMaps(CAM(build_backbone("test_resnet"), num_classes=3))
        >>> [tuple(found.shape) for found in module(torch.zeros(2, 3, 64, 64))]
        [(2, 3), (2, 3, 4, 4)]
    """

    mean: Tensor
    std: Tensor
    classes: Tensor

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self.register_buffer("mean", torch.tensor(method.backbone.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(method.backbone.std).view(3, 1, 1))
        self.register_buffer("classes", torch.arange(method.num_classes))
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and raw maps (B, K, h, w) of pixels (B, 3, S, S) from 0 to 255."""
        every = self.classes.expand(images.shape[0], -1)
        found = self.method.localize((images / 255 - self.mean) / self.std, every)
        return found.logits, found.maps


def module_of(localizer: Localizer) -> AllMaps:
    """A copy of a localizer's network on the CPU, in the memory layout that exporters expect."""
    return AllMaps(copy.deepcopy(localizer.method)).cpu().to(memory_format=torch.contiguous_format)


def record(module: AllMaps, image_size: int) -> ExportedProgram:
    """The operations of ``module`` for batches of any size, photographs of one size.

    Raises:
        UserError: the network does something that cannot be recorded.
    """
    images = random_pixels(TRACED_BATCH, image_size)
    try:
        with torch.no_grad():
            program = torch.export.export(module, (images,), dynamic_shapes={INPUT: {0: Dim("batch")}})
    except Exception as error:  # of any type, from anywhere in the exporter
        raise cannot_export(error) from error
    for graph in program.graph_module.modules():
        if isinstance(graph, torch.fx.GraphModule):
            for node in graph.graph.nodes:
                node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


def random_pixels(batch: int, image_size: int, seed: int = 0) -> Tensor:
    """Noise as the exported models take it: (batch, 3, S, S) float32, whole numbers from 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 3, image_size, image_size)
    return torch.randint(0, 256, shape, generator=generator).float()


def metadata_of(localizer: Localizer) -> dict[str, str]:
    """What a program needs to know beside the network, as the texts that a model file holds."""
    config, (height, width) = localizer.config, EVAL_SIZE_HW
    return {
        "rfga_version": __version__,
        "method": config.method,
        "backbone": config.backbone,
        "classes": json.dumps(list(localizer.classes), ensure_ascii=False),
        "image_size": str(config.image_size),
        "input": "images (B, 3, S, S) float32: RGB from 0 to 255, upright, resized bilinearly to S x S",
        "outputs": "logits (B, K); maps (B, K, h, w), raw, one for each class",
        "map_size": f"{height} x {width}: maps are resized to it (bicubic, float64), then normalised",
        "normalisation": config.normalisation,
        "threshold": repr(float(localizer.threshold.value)),
        "threshold_source": localizer.threshold.source,
        "foreground": "u > int(threshold * max(u)) with u = uint8(255 * normalised map)",
        "boxes": "edges x0, y0, x1, y1 in pixels of the photograph, x1 and y1 exclusive",
    }


def cannot_export(error: Exception) -> UserError:
    """The sentence for a network that an exporter refuses."""
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return UserError(
        f"expected a network that torch can export, found that it cannot ({first[:200]}): "
        "use --format folder, which holds weights and settings"
    )
