"""ResNet50 as the benchmark defines it: finer maps from smaller strides, without dilation."""

from __future__ import annotations

from torch import nn

from rfga.backbones.base import Backbone, Taps
from rfga.backbones.narrow import scaled
from rfga.backbones.starts import Layers, start_he
from rfga.backbones.variant import source_network

STAGES = {"act1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}


class WsolResnet50(Backbone):
    """ResNet50 (He et al., CVPR 2016) whose stage 4 has stride 1 (14x14 maps), stage 3 too (28x28).

    It has no neck; heads of a method start by He's rule.

    Args:
        pretrained: load timm's ``resnet50.tv_in1k``, downloading it where it is not cached.
        output_stride: 16 (14x14 maps of 224x224 pixels) or 8 (28x28).
        width: fraction of all channels.

    Raises:
        ValueError: another stride, a width that leaves parts of channels, or weights for a narrow network.

    Example:
        >>> import torch
        >>> net = WsolResnet50(output_stride=8, width=1 / 16)
        >>> net(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 128, 8, 12])
    """

    def __init__(self, *, pretrained: bool = False, output_stride: int = 16, width: float = 1.0) -> None:
        network = source_network(
            "resnet50.tv_in1k", (), pretrained=pretrained, output_stride=output_stride, width=width
        )
        for stage in ("layer4", "layer3") if output_stride == 8 else ("layer4",):
            for module in network.get_submodule(stage).modules():
                if isinstance(module, nn.Conv2d):
                    module.stride = (1, 1)
        stages = {name: (name, scaled(channels, width)) for name, channels in STAGES.items()}
        config = network.pretrained_cfg
        super().__init__(network, network.forward_features, stages, mean=config["mean"], std=config["std"])

    @property
    def erasing_places(self) -> tuple[str, ...]:
        """After the first block of stage 3, and the first and last block of stage 4."""
        return "layer3.0", "layer4.0", "layer4.2"

    def open_taps(self) -> Taps:
        """Tap the first block of stage 3 and the whole of it; branches are as wide as they are."""
        channels = self.channels["layer3"]
        return Taps(("layer3.0", channels), ("layer3", channels), width=channels)

    def start_heads(self, heads: Layers) -> Layers:
        """He's rule."""
        return start_he(heads)
