"""How networks lay out their features: maps, maps with the channels last, or rows of tokens.

Everything outside a network sees maps (B, C, h, w). A transformer's patch tokens lie row by row; before them
stand its prefix tokens (class, distillation, registers), which have no place in the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

CPU_BATCH = 4
"""So many photographs are in a CPU's network together at most: features of more do not fit into its cache."""

KEYS = "keys"  # name of the place where the keys of the last block are read


@dataclass(frozen=True)
class Layout:
    """Of what a network's stages give.

    Example:
        >>> tokens = torch.arange(7.0).view(1, 7, 1)  # a class token, then two rows of three
        >>> layout = Layout(prefix=1, stride=16)
        >>> layout.maps(tokens, (32, 48))
        tensor([[[[1., 2., 3.],
                  [4., 5., 6.]]]])
        >>> layout.own(layout.maps(tokens, (32, 48)) * 10, tokens)[0, :, 0].tolist()
        [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    """

    channels_last: bool = False  # (B, h, w, C)
    prefix: int | None = None  # of tokens (B, prefix + h * w, C): how many have no place; None: no tokens
    stride: int = 16  # pixels of the image per pixel of the last map
    multiple: int = 1  # the sides of an image have to be multiples of that many pixels

    def require_sides(self, image_hw: tuple[int, int]) -> None:
        """Refuse an image that whole patches do not fill.

        Raises:
            ValueError: a side is no multiple of a patch's.
        """
        if image_hw[0] % self.multiple or image_hw[1] % self.multiple:
            fitting = self.fitting(image_hw[1])
            raise ValueError(
                f"expected images whose sides patches of {self.multiple} pixels fill, found {image_hw[1]} x "
                f"{image_hw[0]}: give another --image-size, such as {fitting}"
            )

    def fitting(self, side_pixels: float) -> int:
        """The nearest side that an image may have.

        Example:
            >>> Layout(multiple=14).fitting(400)
            406
        """
        return max(1, round(side_pixels / self.multiple)) * self.multiple

    def maps(self, out: Tensor, image_hw: tuple[int, int]) -> Tensor:
        """What a stage gave as maps (B, C, h, w)."""
        if out.ndim == 4:
            return out.permute(0, 3, 1, 2) if self.channels_last else out
        if self.prefix is None or out.ndim != 3:
            return out
        height, width = image_hw[0] // self.stride, image_hw[1] // self.stride
        return out[:, self.prefix :].transpose(1, 2).reshape(out.shape[0], out.shape[2], height, width)

    def has_maps(self, out: Tensor, image_hw: tuple[int, int]) -> bool:
        """Whether what a part of the network gave can be laid out as maps."""
        if out.ndim != 3 or self.prefix is None:
            return out.ndim == 4
        return out.shape[1] - self.prefix == (image_hw[0] // self.stride) * (image_hw[1] // self.stride)

    def own(self, maps: Tensor, out: Tensor) -> Tensor:
        """Maps (B, C, h, w) as the stage gave ``out``, whose prefix tokens they get."""
        if out.ndim == 4:
            return maps.permute(0, 2, 3, 1) if self.channels_last else maps
        return torch.cat([self.prefix_of(out), maps.flatten(2).transpose(1, 2)], dim=1)

    def prefix_of(self, out: Tensor) -> Tensor:
        """The prefix tokens (B, P, C), none where there are no tokens."""
        if out.ndim == 3:
            return out[:, : self.prefix or 0]
        return out.new_zeros(out.shape[0], 0, out.shape[3 if self.channels_last else 1])


@dataclass(frozen=True)
class Attention:
    """Where a transformer makes its queries, keys and values."""

    places: tuple[str, ...]  # of each block, that give all three one after the other in the channels
    heads: int


@dataclass
class Watch:
    """What one thread sees of a network while it asks for features."""

    remembers: bool  # whether the same images are sent through once
    seen: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # place -> maps, prefix tokens
    asked: set[str] = field(default_factory=set)  # the places of which something was wanted
    image_hw: tuple[int, int] = (0, 0)
    images: Tensor | None = None
    maps: Tensor | None = None  # what the network gave for these images


def quarters(blocks: tuple[str, ...]) -> tuple[str, ...]:
    """The ends of the four quarters of alike blocks, which stand for the stages of other networks.

    Example:
        >>> quarters(("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"))
        ('c', 'f', 'i', 'l')
        >>> quarters(("a", "b"))
        ('a', 'b')
    """
    ends = {-(-len(blocks) * quarter // 4) - 1 for quarter in (1, 2, 3, 4) if blocks}
    return tuple(blocks[end] for end in sorted(ends))
