"""Where a transformer's class token looks: its attention to the patches, from a block's projections."""

from __future__ import annotations

import torch
from torch import Tensor


def class_attention(patches: Tensor, prefix: Tensor, heads: int) -> Tensor:
    """Attention of the class token to each patch, the mean over the heads of one block.

    Args:
        patches: queries, keys and values of the patches one after the other, (B, 3 D, h, w).
        prefix: those of the tokens without a place, (B, P, 3 D), the class token's first.
        heads: into which the D channels are parted.

    Returns:
        (B, h, w), which together with the attention to the P tokens sums to 1.

    Example:
        >>> class_attention(torch.zeros(1, 6, 2, 4), torch.zeros(1, 2, 6), heads=2).sum()
        tensor(0.8000)
    """
    size, each = patches.shape[1] // 3, patches.shape[1] // 3 // heads
    query = prefix[:, 0, :size].reshape(-1, heads, each)
    keys = torch.cat(
        [prefix[..., size : 2 * size], patches[:, size : 2 * size].flatten(2).transpose(1, 2)], 1
    )
    scores = torch.einsum("bhd,bnhd->bhn", query, keys.reshape(*keys.shape[:2], heads, each))
    attention: Tensor = (scores * each**-0.5).softmax(-1).mean(1)
    return attention[:, prefix.shape[1] :].reshape(-1, *patches.shape[2:])
