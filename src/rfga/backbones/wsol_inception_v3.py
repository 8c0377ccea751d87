"""InceptionV3 as the benchmark defines it: cut after Mixed_6e, two convolutions added."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rfga.backbones.base import Backbone, Taps
from rfga.backbones.chance import Dropout
from rfga.backbones.narrow import scaled
from rfga.backbones.starts import start_xavier
from rfga.backbones.variant import convolution, source_network

STAGES = {"Conv2d_2b_3x3": 64, "Conv2d_4a_3x3": 192, "Mixed_5d": 288, "Mixed_6e": 768}
DROPOUT_RATE = 0.5


class WsolInceptionV3(Backbone):
    """InceptionV3 (Szegedy et al., CVPR 2016) up to Mixed_6e, with padding so that maps are halved exactly.

    Mixed_6a has stride 1; for 14x14 maps a pool stands before it. Its neck is two 3x3 convolutions to 1024
    channels with ReLU, started by Xavier's rule, with dropout before each of them and at the end in training.

    Args:
        pretrained: load timm's ``inception_v3.tv_in1k``, downloading it where it is not cached.
        output_stride: 16 (14x14 maps of 224x224 pixels) or 8 (28x28).
        width: fraction of all channels.

    Raises:
        ValueError: another stride, a width that leaves parts of channels, or weights for a narrow network.

    Example:
        >>> net = WsolInceptionV3(output_stride=8, width=1 / 16).eval()
        >>> net.stages[-2:], net(torch.zeros(1, 3, 64, 96)).shape
        (('Mixed_6e', 'neck'), torch.Size([1, 64, 8, 12]))
    """

    def __init__(self, *, pretrained: bool = False, output_stride: int = 16, width: float = 1.0) -> None:
        network = source_network(
            "inception_v3.tv_in1k",
            ("Mixed_7a", "Mixed_7b", "Mixed_7c", "fc"),
            pretrained=pretrained,
            output_stride=output_stride,
            width=width,
        )
        network.Conv2d_1a_3x3.conv.padding = (1, 1)
        network.Pool1, network.Pool2 = (nn.MaxPool2d(3, 2, padding=1, ceil_mode=True) for _ in range(2))
        network.Mixed_6a = _Mixed6a(network.Mixed_6a, halves=output_stride == 16)
        stages = {name: (name, scaled(channels, width)) for name, channels in STAGES.items()}
        config = network.pretrained_cfg
        super().__init__(network, network.forward_preaux, stages, mean=config["mean"], std=config["std"])
        wide = scaled(1024, width)
        layers = [convolution(self.out_channels, wide), nn.ReLU(), Dropout(DROPOUT_RATE)]
        layers += [convolution(wide, wide), nn.ReLU(), Dropout(DROPOUT_RATE)]
        neck = start_xavier(nn.Sequential(Dropout(DROPOUT_RATE), *layers))
        self._set_neck(neck, wide, end="5")  # its last ReLU; what is attached comes before the last dropout
        self._tap_width = scaled(512, width)

    @property
    def erasing_places(self) -> tuple[str, ...]:
        """After Mixed_5d, Mixed_6e and the last added convolution."""
        return "Mixed_5d", "Mixed_6e", "neck"

    def open_taps(self) -> Taps:
        """Tap Mixed_5d, after the pool where there is one, and Mixed_6e."""
        early, middle = self.channels["Mixed_5d"], self.channels["Mixed_6e"]
        return Taps(("Mixed_6a.pool", early), ("Mixed_6e", middle), self._tap_width)


class _Mixed6a(nn.Module):
    """timm's block with stride 1 and the weights' names kept, after a pool that halves the maps."""

    def __init__(self, block: nn.Module, *, halves: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True) if halves else nn.Identity()
        self.branch3x3 = block.get_submodule("branch3x3")
        self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3 = (
            block.get_submodule(f"branch3x3dbl_{number}") for number in (1, 2, 3)
        )
        self.inner_pool = nn.MaxPool2d(3, 1, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.stride, module.padding = (1, 1), (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the three branches' maps beside each other."""
        x = self.pool(x)
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, self.inner_pool(x)], 1)
