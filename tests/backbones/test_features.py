from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from rfga.backbones.features import FeatureBackbone
from rfga.methods.cam import CAM
from rfga.methods.rfga import ResidualFineGrainedAttention

FEATURES = torch.rand(3, 6, 4, 7, generator=torch.Generator().manual_seed(0))


def test_features_are_passed_on_through_what_is_attached() -> None:
    backbone = FeatureBackbone(6)
    assert torch.equal(backbone(FEATURES), FEATURES)
    layer = nn.Conv2d(6, 6, 1)
    backbone.attach(-1, layer)
    assert torch.equal(backbone(FEATURES), layer(FEATURES))
    assert torch.equal(copy.deepcopy(backbone)(FEATURES), layer(FEATURES))


def test_all_weights_on_it_are_new() -> None:
    for method in (CAM(FeatureBackbone(6), 3), ResidualFineGrainedAttention(FeatureBackbone(6), 3)):
        assert method.pretrained_parameters() == []
        assert {id(p) for p in method.new_parameters()} == {id(p) for p in method.parameters()}
        assert method.eval().localize(FEATURES, torch.tensor([0, 1, 2])).maps.shape == (3, 1, 4, 7)


@pytest.mark.parametrize("wrong", [FEATURES[:, :5], FEATURES[0], torch.zeros(1, 3, 32, 32)])
def test_other_inputs_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected features \(B, 6, h, w\), found "):
        FeatureBackbone(6)(wrong)
