from __future__ import annotations

from typing import Literal

import torch

from rfga.backbones.build import build_backbone
from rfga.methods.base import Batch
from rfga.methods.foreground import Foreground
from rfga.nn.foreground import SeedSums, place_vectors
from rfga.nn.principal import WIDEST

CLASSES = 3


def solved(seeds: Literal["class", "norm"], labels: torch.Tensor, num_classes: int = CLASSES) -> torch.Tensor:
    """The one discriminant of a collection of six wide pictures, from features by chance."""
    images = torch.rand(6, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    backbone = build_backbone("test_resnet", weights="none").eval()
    method = Foreground(backbone, num_classes, discriminant="collection", seeds=seeds).eval()
    batch = Batch(images, labels, torch.arange(6) % 5)
    with torch.no_grad():
        for look in method.passes():
            sums = [one.zeros() for one in look]
            for one, held in zip(look, sums, strict=True):
                one.add(held, batch)
            for one, held in zip(look, sums, strict=True):
                one.solve(held)
    return method.discriminants[0]


def test_seeds_from_norms_ask_for_no_class() -> None:
    """Other labels, the same discriminant: that of a collection of one class; class maps follow them."""
    first, other = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([2, 1, 0, 2, 1, 0])
    norm = solved("norm", first)
    torch.testing.assert_close(solved("norm", other), norm)
    torch.testing.assert_close(solved("class", torch.zeros_like(first), num_classes=1), norm)
    assert not torch.allclose(solved("class", first), solved("class", other), atol=1e-3)
    assert norm.abs().max() > 0.01


def test_places_without_object_are_background_of_all_and_of_no_class() -> None:
    """Six pictures and four without any object: the same sums, and the mean of those four beside them."""
    images = torch.rand(10, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 0, 1, 1, 2, 2, -1, -1, -1, -1])
    torch.manual_seed(2)
    backbone = build_backbone("test_resnet", weights="none").eval()
    found: dict[int, dict[str, torch.Tensor]] = {}
    method = Foreground(backbone, CLASSES, discriminant="collection", rounds=1).eval()
    for count in (6, 10):
        with torch.no_grad():
            for look in method.passes():
                for one in look:
                    held = one.zeros()
                    one.add(held, Batch(images[:count], labels[:count], torch.arange(count) % 5))
                    one.solve(held)
                    found[count] = held
    few, all_ = found[6], found[10]
    for name in ("gram", "moment", "weight"):
        torch.testing.assert_close(all_[name], few[name], msg=name)
    assert few["background.weight"] == 0
    torch.testing.assert_close(all_["background.weight"].item(), 4.0)
    stages = method._centred(images[6:])
    vectors = place_vectors(stages, method._grid_hw(stages)).double()
    means = vectors.mean(1)
    torch.testing.assert_close(all_["background.moment"], -means.sum(0))
    # Four of sixteen are a quarter: more than the background may weigh.
    share, collection = 0.15, SeedSums(*(few[name].sum((0, 1)) for name in SeedSums._fields))
    gram = share * torch.einsum("bnd,bne->de", vectors, vectors) / vectors.shape[1] / 4
    gram += (1 - share) * collection.gram / collection.weight + 0.01 * torch.eye(len(gram))
    moment = -share * means.mean(0) + (1 - share) * collection.moment / collection.weight
    wanted = torch.linalg.solve(gram, moment).float()
    torch.testing.assert_close(method.discriminants[0], wanted, rtol=1e-4, atol=1e-5)


def test_in_doubt_a_place_is_object_where_all_signs_agree() -> None:
    """The class map, the norm of features and the discriminant, multiplied; a run read again knows of it."""
    torch.manual_seed(2)
    images = torch.rand(2, 3, 64, 96)
    method = Foreground(build_backbone("test_resnet", weights="none"), CLASSES, tighten=False).eval()
    contradicting = SeedSums.none((CLASSES, 5), method.discriminants.shape[1])
    contradicting.weight.fill_(1.0)
    contradicting.gram.copy_(torch.eye(method.discriminants.shape[1]))
    direction = torch.nn.functional.normalize(torch.randn(method.discriminants.shape[1]).double(), dim=0)
    contradicting.moment.copy_(torch.tensor([1.0, -1.0, 0.5])[:, None, None] * direction)
    torch.nn.init.normal_(method.get_parameter("seeding.head.weight"))
    none = SeedSums.none((), method.discriminants.shape[1])
    sums = {**contradicting._asdict(), **{f"background.{k}": v for k, v in none._asdict().items()}}
    method.passes()[1][-1].solve(sums)
    assert method.in_doubt
    assert "doubt" in method.learned()
    with torch.no_grad():
        maps = method.localize(images).maps
    assert maps.amin((-2, -1)).tolist() == [[0.0], [0.0]]
    assert maps.amax((-2, -1)).tolist() == [[1.0], [1.0]]
    again = Foreground(build_backbone("test_resnet", weights="none"), CLASSES, tighten=False).eval()
    again.load_state_dict(method.state_dict())
    assert again.in_doubt
    with torch.no_grad():
        torch.testing.assert_close(again.localize(images).maps, maps)


def test_wide_features_are_narrowed_to_what_tells_places_apart() -> None:
    method = Foreground(build_backbone("vit_tiny_patch16_224"), num_classes=2).eval()
    means, seeds = method.passes()[0][-1], method.passes()[1][-1]
    assert sum(part.nbytes for part in seeds.zeros().values()) < 12 * 8 * (WIDEST + 2) ** 2
    images = torch.randn(3, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    means.add(
        sums := means.zeros(), Batch(images, torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.int64))
    )
    means.solve(sums)
    vectors, grid_hw = method.places(images[:1])
    assert (vectors.shape[2], method.discriminants.shape) == (WIDEST + 1, (2, WIDEST + 1))
    assert vectors.shape[1] == grid_hw[0] * grid_hw[1]
    # What is kept of each stage is the best that so many directions can keep: its covariance's largest part.
    last = method._centred(images)[0].flatten(2).transpose(1, 2).flatten(0, 1).double()
    assert method.components is not None
    kept = last @ method.components[: last.shape[1], :128].double()
    largest = torch.linalg.svdvals(last)[:128].square().sum()
    torch.testing.assert_close(kept.square().sum(), largest, rtol=1e-4, atol=0)
    assert Foreground(build_backbone("mobilenetv2_100"), num_classes=2).components is None
