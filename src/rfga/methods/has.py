"""HaS: random patches of each training image are hidden, so that one part of the object cannot be enough."""

from __future__ import annotations

import torch
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.methods.cam import CAM


class HaS(CAM):
    """Hide-and-Seek (Singh and Lee, ICCV 2017).

    "Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised Object and Action Localization",
    arXiv:1704.04232, section 3.2. In training each image is cut into square patches of a side drawn from
    ``patch_sizes``, and each patch is hidden by the mean colour. Maps are CAM's, of the whole image.

    Args:
        backbone: gives the features.
        num_classes: K.
        patch_sizes: sides of the patches in pixels, joined by "+"; 0 stands for hiding nothing.
        hide_probability: of each patch, in [0, 1).

    Example:
        >>> from rfga.backbones.build import build_backbone
        >>> method = HaS(build_backbone("resnet18"), num_classes=3, patch_sizes="32+16")
        >>> images, labels = torch.randn(2, 3, 64, 96), torch.tensor([0, 2])
        >>> method.loss(images, labels, torch.Generator().manual_seed(0)).isfinite()
        tensor(True)
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        patch_sizes: int | str = "56+44+32+16",
        hide_probability: float = 0.5,
    ) -> None:
        super().__init__(backbone, num_classes)
        self.patch_sizes = _sides(str(patch_sizes))
        if not 0 <= hide_probability < 1:
            raise ValueError(
                f"expected hide_probability from 0 to below 1, found {hide_probability}: give one such as 0.5"
            )
        self.hide_probability = hide_probability

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy of the classification of what is left of the images."""
        sides = torch.tensor(self.patch_sizes)
        drawn = torch.randint(len(sides), (len(images),), generator=generator, device=generator.device)
        return super().loss(
            hide_patches(images, sides[drawn.cpu()].tolist(), self.hide_probability, generator),
            labels,
            generator,
        )


def hide_patches(
    images: Tensor, patch_pixels: list[int], hide_probability: float, generator: torch.Generator
) -> Tensor:
    """A copy of normalised images with random patches set to zero, which is the mean colour.

    Patches lie on a grid that begins at the upper left corner; those at the other edges may be cut.

    Args:
        images: (B, 3, H, W), not changed.
        patch_pixels: side of the patches of each image; 0 hides nothing.
        hide_probability: of each patch.
        generator: gives the draws, in the order of the images.

    Example:
        >>> hide_patches(torch.ones(1, 1, 2, 5), [2], 0.5, torch.Generator().manual_seed(5))
        tensor([[[[1., 1., 0., 0., 1.],
                  [1., 1., 0., 0., 1.]]]])
    """
    hidden = images.clone()
    height, width = images.shape[2:]
    for image, side in zip(hidden, patch_pixels, strict=True):
        if not side:
            continue
        grid_hw = -(-height // side), -(-width // side)
        gone = torch.rand(grid_hw, generator=generator, device=generator.device) < hide_probability
        pixels = gone.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width]
        image.masked_fill_(pixels.to(image.device), 0)
    return hidden


def _sides(patch_sizes: str) -> tuple[int, ...]:
    sides = tuple(int(side) if side.strip().isdecimal() else -1 for side in patch_sizes.split("+"))
    if min(sides) < 0:
        raise ValueError(f"expected patch_sizes such as 56+44+32+16, found {patch_sizes!r}: give pixels")
    return sides
