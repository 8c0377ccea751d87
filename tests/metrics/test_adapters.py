"""Maps of other tools: as these return them, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rfga.geometry.maps import score_maps
from rfga.metrics.adapters import from_grad_cam, from_torchcam
from rfga.types import UserError


def test_grad_cam_maps_are_resized_and_normalised(rng: np.random.Generator) -> None:
    maps = rng.random((3, 60, 90), dtype=np.float32)
    found = from_grad_cam(maps)
    assert found.shape == (3, 224, 224)
    np.testing.assert_array_equal(found, score_maps(maps))
    assert found.min() == 0
    assert found.max() == 1


def test_torchcam_maps_of_a_chosen_layer(rng: np.random.Generator) -> None:
    layers = [torch.from_numpy(rng.random((2, 7, 9))), torch.from_numpy(rng.random((2, 14, 18)))]
    np.testing.assert_array_equal(from_torchcam(layers), score_maps(layers[1].numpy()))
    np.testing.assert_array_equal(from_torchcam(layers, layer=0), score_maps(layers[0].numpy()))
    np.testing.assert_array_equal(from_torchcam([layers[0][0]]), score_maps(layers[0][:1].numpy()))
    with pytest.raises(UserError, match="one of 2 layers"):
        from_torchcam(layers, layer=2)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(N, H, W\).*found float64 of shape \(4, 4\)"):
        from_grad_cam(np.zeros((4, 4)))
    with pytest.raises(UserError, match="uint8"):
        from_grad_cam(np.zeros((1, 4, 4), np.uint8))
