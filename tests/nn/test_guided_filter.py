"""The guided filter against a linear fit in every window, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rfga.nn.guided_filter import guided_filter


def plain(map_: np.ndarray, guide: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """For each pixel the mean, over the windows around it, of what the window's own fit says of the pixel."""
    height, width = map_.shape

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)

    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            colours = guide[:, *window(y, x)].reshape(3, -1)
            values = map_[window(y, x)].ravel()
            covariance = np.cov(colours, bias=True) + epsilon * np.eye(3)
            common = (colours * values).mean(1) - colours.mean(1) * values.mean()
            slopes[y, x] = np.linalg.solve(covariance, common)
            offsets[y, x] = values.mean() - slopes[y, x] @ colours.mean(1)
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            rows, columns = window(y, x)
            # A mean over squares is one along the rows and then along the columns, at the border as well.
            out[y, x] = slopes[rows, columns].mean((0, 1)) @ guide[:, y, x] + offsets[rows, columns].mean()
    return out


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_agrees_with_a_fit_in_every_window(radius: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 2, 6, 9, generator=generator, dtype=torch.float64)
    guide = torch.rand(2, 3, 6, 9, generator=generator, dtype=torch.float64)
    found = guided_filter(maps, guide, radius, 1e-2)
    for b in range(2):
        for n in range(2):
            expected = plain(maps[b, n].numpy(), guide[b].numpy(), radius, 1e-2)
            assert found[b, n].numpy() == pytest.approx(expected, abs=1e-9)


def test_a_constant_map_and_a_constant_guide() -> None:
    guide = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(guided_filter(torch.full((1, 1, 8, 12), 0.4), guide), torch.tensor(0.4), atol=1e-5)
    step = torch.zeros(1, 1, 8, 12)
    step[..., 6:] = 1
    blurred = guided_filter(step, torch.full((1, 3, 8, 12), 0.7), radius=2)
    assert torch.allclose(blurred[..., 0:2], torch.zeros(())), "out of reach of the step"
    assert 0 < blurred[0, 0, 4, 5] < blurred[0, 0, 4, 6] < 1


def test_the_brightness_of_the_photograph_is_of_no_account() -> None:
    generator = torch.Generator().manual_seed(2)
    maps, guide = torch.rand(1, 1, 10, 14, generator=generator), torch.rand(1, 3, 10, 14, generator=generator)
    assert torch.allclose(guided_filter(maps, guide), guided_filter(maps, guide + 3.0), atol=1e-4)


def test_a_guide_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a guide of three colours"):
        guided_filter(torch.zeros(1, 1, 4, 6), torch.zeros(1, 3, 6, 4))
