"""What all methods share: labels, choosing maps, first values of a head, and who learns how fast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rfga.backbones.build import build_backbone
from rfga.methods.base import Method, ScoreMaps, labels_or_top, pick_maps, start_head


class Plain(Method):
    """The least that a method is: no layer of its own."""

    def loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        features: Tensor = self.backbone(images)
        return features.mean()

    def localize(self, images: Tensor, labels: Tensor | None = None) -> ScoreMaps:
        maps = self.backbone(images)[:, : self.num_classes]
        chosen = labels_or_top(maps.mean((2, 3)), labels)
        return ScoreMaps(maps.mean((2, 3)), pick_maps(maps, chosen), chosen)


LOGITS = torch.tensor([[0.1, 0.9, 0.3], [0.8, 0.2, 0.7]])


def test_labels_take_the_shape_that_maps_have() -> None:
    assert labels_or_top(LOGITS, None).tolist() == [[1], [0]]
    assert labels_or_top(LOGITS, torch.tensor([2, 1])).tolist() == [[2], [1]]
    many = torch.tensor([[2, 1, 0], [0, 0, 1]])
    assert torch.equal(labels_or_top(LOGITS, many), many)
    assert labels_or_top(LOGITS, many.to(torch.int32)).dtype == torch.int64
    assert labels_or_top(LOGITS[:0], torch.zeros(0, dtype=torch.long)).shape == (0, 1)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (torch.tensor([0, 3]), r"expected labels in 0\.\.2, found \[0, 3\]"),
        (torch.tensor([[-1, 1], [0, 1]]), r"expected labels in 0\.\.2, found \[-1, 0, 1\]"),
        (torch.tensor([0]), r"for 2 images, found \(1,\)"),
        (torch.tensor(0), r"for 2 images, found \(\)"),
        (torch.zeros(2, 1, 1, dtype=torch.long), r"for 2 images, found \(2, 1, 1\)"),
    ],
)
def test_wrong_labels_are_refused(labels: Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        labels_or_top(LOGITS, labels)


def test_maps_are_picked_for_each_image_by_itself() -> None:
    maps = torch.arange(2 * 3 * 2 * 4).view(2, 3, 2, 4).float()
    picked = pick_maps(maps, torch.tensor([[2, 0], [1, 1]]))
    assert picked.shape == (2, 2, 2, 4)
    for image, place, label in ((0, 0, 2), (0, 1, 0), (1, 0, 1), (1, 1, 1)):
        assert torch.equal(picked[image, place], maps[image, label])


def test_a_head_starts_small_and_without_a_favourite() -> None:
    torch.manual_seed(0)
    for head in (start_head(nn.Linear(500, 40)), start_head(nn.Conv2d(500, 40, 1))):
        assert head.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert abs(head.weight.mean().item()) < 0.001
        assert head.bias is not None
        assert not head.bias.any()
    assert start_head(nn.Linear(3, 2, bias=False)).bias is None


def test_every_weight_is_either_pretrained_or_new() -> None:
    method = Plain(build_backbone("test_resnet"), 3)
    assert method.new_parameters() == []
    layer = nn.Conv2d(48, 48, 1)
    method.backbone.attach("layer2", layer)
    method.add_module("head", nn.Linear(2, 3))
    pretrained, new = method.pretrained_parameters(), method.new_parameters()
    assert {id(p) for p in pretrained}.isdisjoint({id(p) for p in new})
    assert {id(p) for p in [*pretrained, *new]} == {id(p) for p in method.parameters()}
    assert len(pretrained) == len(list(method.backbone.network.parameters()))
    assert {id(p) for p in new} == {
        id(p) for p in [*layer.parameters(), *method.get_submodule("head").parameters()]
    }


def test_a_method_without_its_two_calls_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Method,), {"loss": Plain.loss})(build_backbone("test_resnet"), 3)
