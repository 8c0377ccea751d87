"""The rivals of RFGA at its place: an attention layer of timm after a stage, a 1x1 convolution as head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from timm.layers.cbam import CbamModule
from timm.layers.eca import EcaModule
from timm.layers.non_local_attn import NonLocalAttn
from timm.layers.squeeze_excite import SEModule
from torch import nn

from rfga.backbones.base import Backbone
from rfga.methods.base import ClassMapMethod


def _attach(backbone: Backbone, position: int | str, make: Callable[[int], nn.Module]) -> None:
    """Let the layer that ``make`` gives for a stage's number of channels follow that stage."""
    backbone.attach(position, make(backbone.channels[backbone.stage_name(position)]))


class SqueezeExcitation(ClassMapMethod):
    """Squeeze-and-excitation in RFGA's place (Hu et al., CVPR 2018).

    "Squeeze-and-Excitation Networks", arXiv:1709.01507, equations 2 to 4: each channel is multiplied by a
    gate in (0, 1), computed from all channels' means by two fully connected layers.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by number (-1 is the last).
        reduction: how many times fewer channels there are between the two layers (a multiple of 8 is taken).

    Example:
        >>> import torch
        >>> from rfga.backbones.build import build_backbone
        >>> method = SqueezeExcitation(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, position: int | str = -1, reduction: int = 16
    ) -> None:
        _attach(backbone, position, partial(SEModule, rd_ratio=_ratio(reduction)))
        super().__init__(backbone, num_classes)


class EfficientChannelAttention(ClassMapMethod):
    """Efficient channel attention in RFGA's place (Wang et al., CVPR 2020).

    "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", arXiv:1910.03151,
    equations 5 and 12: each channel is multiplied by a gate in (0, 1), computed from the means of its
    neighbours by one convolution whose length follows from the number of channels.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by number (-1 is the last).

    Example:
        >>> import torch
        >>> from rfga.backbones.build import build_backbone
        >>> method = EfficientChannelAttention(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(self, backbone: Backbone, num_classes: int, *, position: int | str = -1) -> None:
        _attach(backbone, position, EcaModule)
        super().__init__(backbone, num_classes)


class ConvolutionalBlockAttention(ClassMapMethod):
    """CBAM, attention to channels and then to places, in RFGA's place (Woo et al., ECCV 2018).

    "CBAM: Convolutional Block Attention Module", arXiv:1807.06521, equations 1 to 3: gates in (0, 1) of the
    channels from their means and maxima, then gates of the places from the means and maxima over channels.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by number (-1 is the last).
        reduction: how many times fewer channels there are between the two layers of the channels' gates.
        kernel_size: odd side of the convolution of the places' gates.

    Example:
        >>> import torch
        >>> from rfga.backbones.build import build_backbone
        >>> method = ConvolutionalBlockAttention(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        position: int | str = -1,
        reduction: int = 16,
        kernel_size: int = 7,
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, found {kernel_size}: use 3, 5 or 7")
        layer = partial(CbamModule, rd_ratio=_ratio(reduction), spatial_kernel_size=kernel_size)
        _attach(backbone, position, layer)
        super().__init__(backbone, num_classes)


class NonLocalAttention(ClassMapMethod):
    """A non-local block, where each place attends to all others, in RFGA's place (Wang et al., CVPR 2018).

    "Non-local Neural Networks", arXiv:1711.07971, equations 1 and 6, the embedded Gaussian form. As there,
    the block begins as the identity: the scale of its last normalisation starts at zero.

    Args:
        backbone: gives the features.
        num_classes: K.
        position: the stage that the layer follows, by name or by number (-1 is the last).
        reduction: how many times fewer channels the embeddings have (a multiple of 8 is taken).

    Example:
        >>> import torch
        >>> from rfga.backbones.build import build_backbone
        >>> method = NonLocalAttention(build_backbone("resnet18"), num_classes=3).eval()
        >>> method.localize(torch.zeros(2, 3, 64, 96)).maps.shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, *, position: int | str = -1, reduction: int = 8
    ) -> None:
        _attach(backbone, position, partial(NonLocalAttn, rd_ratio=_ratio(reduction)))
        super().__init__(backbone, num_classes)


def _ratio(reduction: int) -> float:
    if reduction < 1:
        raise ValueError(f"expected reduction of 1 or more, found {reduction}: give one such as 16")
    return 1 / reduction
