"""A shelf gives back what was put on it, as long as photographs and network are the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.build import build_backbone
from rfga.engine.run.model import normalised
from rfga.engine.run.shelf import Shelf

SIDES_WH = ((40, 30), (20, 50), (33, 33))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("test_resnet").eval()


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(len(SIDES_WH))]
    for path, size in zip(paths, SIDES_WH, strict=True):
        Image.linear_gradient("L").resize(size).save(path)
    return paths


def pixels_of(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 32, 48), generator=torch.manual_seed(1)).to(torch.uint8)


@torch.no_grad()
def looked(
    shelf: Shelf, backbone: Backbone, photographs: Sequence[Path], places: Sequence[str] = ()
) -> tuple[int, list[Tensor]]:
    """How many photographs the network saw, and what it gave."""
    saw: list[int] = []
    features = backbone._features

    def counting(images: Tensor) -> Tensor:
        saw.append(len(images))
        return features(images)

    held = shelf.find(photographs)
    pixels = pixels_of(len(photographs)) if held.pixels is None else held.pixels
    images = normalised(pixels, backbone)
    backbone._features = counting
    try:
        with held.remembering(backbone, pixels, images):
            last, earlier = backbone.forward_places(images, places)
    finally:
        backbone._features = features
    return sum(saw), [last, *earlier, pixels]


def opened(folder: Path, backbone: Backbone, size: int = 32, limit_gb: float = 1.0) -> Shelf:
    return Shelf(folder / "shelf", backbone, size, limit_gb)


def test_the_network_sees_photographs_once(
    tmp_path: Path, backbone: Backbone, photographs: list[Path]
) -> None:
    place = backbone.stages[0]
    saw, first = looked(opened(tmp_path, backbone), backbone, photographs, (place,))
    assert saw == 3
    shelf = opened(tmp_path, backbone)  # as a later call opens it
    assert shelf.knows(photographs)
    saw, again = looked(shelf, backbone, photographs[::-1], (place,))
    assert saw == 0
    for kept, found in zip(first, again, strict=True):
        assert torch.equal(kept, found.flip(0))


def test_places_that_were_not_asked_for_before_are_found_out_and_kept(
    tmp_path: Path, backbone: Backbone, photographs: list[Path]
) -> None:
    shelf = opened(tmp_path, backbone)
    assert looked(shelf, backbone, photographs)[0] == 3
    assert looked(shelf, backbone, photographs)[0] == 0
    assert looked(shelf, backbone, photographs, backbone.stages[:1])[0] == 3
    assert looked(shelf, backbone, photographs, backbone.stages[:1])[0] == 0


def test_a_changed_photograph_is_looked_at_again(
    tmp_path: Path, backbone: Backbone, photographs: list[Path]
) -> None:
    looked(opened(tmp_path, backbone), backbone, photographs)
    held = photographs[1].read_bytes()
    times = photographs[1].stat()
    photographs[1].write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    os.utime(photographs[1], ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same size, and as old
    shelf = opened(tmp_path, backbone)
    assert [shelf.knows([path]) for path in photographs] == [True, False, True]
    assert looked(shelf, backbone, photographs)[0] == 3, "its whole batch"
    assert looked(opened(tmp_path, backbone), backbone, photographs)[0] == 0
    photographs[2].unlink()
    assert not opened(tmp_path, backbone).knows(photographs[2:])


def test_another_network_or_size_has_a_shelf_of_its_own_and_the_old_one_goes(
    tmp_path: Path, backbone: Backbone, photographs: list[Path]
) -> None:
    looked(opened(tmp_path, backbone), backbone, photographs)
    other = build_backbone("test_resnet").eval()
    other.load_state_dict(backbone.state_dict())
    assert opened(tmp_path, other).knows(photographs)
    next(other.parameters()).data.view(-1)[0] += 1e-3
    assert not opened(tmp_path, other).knows(photographs)
    assert not opened(tmp_path, backbone).knows(photographs)
    looked(opened(tmp_path, backbone), backbone, photographs)
    assert not opened(tmp_path, backbone, size=48).knows(photographs)
    assert not list((tmp_path / "shelf").rglob("*.safetensors"))


@pytest.mark.parametrize("damage", ["cut short", "one bit", "no bytes", "other text"])
def test_what_is_damaged_is_not_there(
    tmp_path: Path, backbone: Backbone, photographs: list[Path], damage: str
) -> None:
    shelf = opened(tmp_path, backbone)
    before = looked(shelf, backbone, photographs)[1]
    for path in shelf.folder.iterdir():
        held = path.read_bytes()
        damaged = {
            "cut short": held[:-3],
            "one bit": held[:-3] + bytes([held[-3] ^ 4]) + held[-2:],
            "no bytes": b"",
            "other text": b"no tensors at all",
        }
        path.write_bytes(damaged[damage])
    saw, after = looked(opened(tmp_path, backbone), backbone, photographs)
    assert saw == 3
    for kept, found in zip(before, after, strict=True):
        assert torch.equal(kept, found)
    assert looked(opened(tmp_path, backbone), backbone, photographs)[0] == 0


def test_what_a_kill_left_goes(tmp_path: Path, backbone: Backbone, photographs: list[Path]) -> None:
    shelf = opened(tmp_path, backbone)
    looked(shelf, backbone, photographs)
    (shelf.folder / f".{'0' * 32}.tmp").write_bytes(b"half")
    shelf = opened(tmp_path, backbone)
    assert len(list(shelf.folder.iterdir())) == 3
    assert shelf.knows(photographs)


def test_room_ends_at_the_limit(tmp_path: Path, backbone: Backbone, photographs: list[Path]) -> None:
    shelf = opened(tmp_path, backbone)
    looked(shelf, backbone, photographs)
    each = opened(tmp_path, backbone).used / 3
    smaller = opened(tmp_path, backbone, limit_gb=2.5 * each / 1e9)
    assert len(list(smaller.folder.iterdir())) == 2, "what is over a limit that was lowered goes"
    assert smaller.used == pytest.approx(2 * each)
    looked(smaller, backbone, photographs)
    assert len(list(smaller.folder.iterdir())) <= 2
    none = Shelf(tmp_path / "none", backbone, 32, 0.0)
    looked(none, backbone, photographs)
    assert not none.folder.exists()


def test_photographs_that_are_not_of_the_collection_any_more_go(
    tmp_path: Path, backbone: Backbone, photographs: list[Path]
) -> None:
    shelf = opened(tmp_path, backbone)
    looked(shelf, backbone, photographs)
    shelf.keep_only(photographs[:1])
    assert [shelf.knows([path]) for path in photographs] == [True, False, False]
    assert shelf.used == opened(tmp_path, backbone).used
