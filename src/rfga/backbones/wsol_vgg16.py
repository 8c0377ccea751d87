"""VGG16 as the benchmark defines it: fewer pools, and convolutions instead of its fully connected layers."""

from __future__ import annotations

from torch import nn

from rfga.backbones.base import Backbone, Taps
from rfga.backbones.narrow import scaled
from rfga.backbones.starts import start_he, start_xavier
from rfga.backbones.variant import convolution, source_network

POOLS = {"features.4": 2, "features.9": 4, "features.16": 8, "features.23": 16, "features.30": 32}
"""timm's name of each pool -> the stride of the maps that VGG16 has after it."""
STAGES = {
    "features.3": 64,
    "features.8": 128,
    "features.15": 256,
    "features.22": 512,  # conv4_3 with its ReLU
    "features.29": 512,  # conv5_3
}


class WsolVgg16(Backbone):
    """VGG16 (Simonyan and Zisserman, ICLR 2015) without its last pool (14x14) or its last two (28x28).

    Its neck is a 3x3 convolution to 1024 channels with ReLU, started by He's rule. For a method with heads of
    its own there is none: pools are 3x3 and overlap, those that do not halve the maps have stride 1, and an
    average pool follows. With side branches the fourth pool of 14x14 is 3x3, and the neck is two 3x3
    convolutions to 512 channels with ReLU, started by Xavier's rule.

    Args:
        pretrained: load timm's ``vgg16.tv_in1k``, downloading it where it is not cached.
        output_stride: 16 (14x14 maps of 224x224 pixels) or 8 (28x28).
        width: fraction of all channels.

    Raises:
        ValueError: another stride, a width that leaves parts of channels, or weights for a narrow network.

    Example:
        >>> import torch
        >>> net = WsolVgg16(output_stride=8, width=1 / 16)
        >>> net.stages[-2:], net(torch.zeros(1, 3, 64, 96)).shape
        (('features.29', 'neck'), torch.Size([1, 64, 8, 12]))
    """

    def __init__(self, *, pretrained: bool = False, output_stride: int = 16, width: float = 1.0) -> None:
        network = source_network(
            "vgg16.tv_in1k",
            ("pre_logits", "head"),
            pretrained=pretrained,
            output_stride=output_stride,
            width=width,
            # The fully connected layers go: where no weights are to fit them, they need not be made wide.
            **({} if pretrained else {"mlp_ratio": 1 / 4096}),
        )
        stages = {name: (name, scaled(channels, width)) for name, channels in STAGES.items()}
        config = network.pretrained_cfg
        super().__init__(network, network.forward_features, stages, mean=config["mean"], std=config["std"])
        self._output_stride = output_stride
        for name, stride in POOLS.items():
            if stride > output_stride:
                network.set_submodule(name, nn.Identity())
        conv6 = start_he(convolution(self.out_channels, scaled(1024, width)))
        self._set_neck(nn.Sequential(conv6, nn.ReLU()), conv6.out_channels)
        self._tap_width = scaled(512, width)

    @property
    def erasing_places(self) -> tuple[str, ...]:
        """After the third pool, conv4_3 and conv5_3."""
        return "features.16", "features.22", "features.29"

    def leave_out_neck(self) -> None:
        """Let all pools overlap, none dropped, and an average pool follow."""
        super().leave_out_neck()
        for name, stride in POOLS.items():
            step = 2 if stride <= self._output_stride else 1
            self.network.set_submodule(name, nn.MaxPool2d(3, step, padding=1))
        self._set_neck(nn.AvgPool2d(3, 1, padding=1), self.out_channels)

    def open_taps(self) -> Taps:
        """Tap what follows the fourth pool, and the fifth stage; let two convolutions follow these."""
        if self._output_stride == 16:
            self.network.set_submodule("features.23", nn.MaxPool2d(3, 2, padding=1))
        channels = self.channels["features.29"]
        layers = [convolution(channels, channels), nn.ReLU(), convolution(channels, channels), nn.ReLU()]
        self._set_neck(start_xavier(nn.Sequential(*layers)), channels)
        return Taps(("features.23", channels), ("features.29", channels), self._tap_width)
