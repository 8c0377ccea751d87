from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rfga.data.base import Dataset
from rfga.data.checks.readable import look_at_each, readable_samples, require_trainable
from rfga.data.folder import FolderDataset
from rfga.data.names import LabelledNames, Names
from rfga.data.samples import SampleList, labels_of
from rfga.types import Sample, Truth, UserError


def put(root: Path, counts: dict[str, int], damaged: Sequence[str] = ()) -> FolderDataset:
    """A data set of ``counts[CLASS]`` photographs a class, of which the ``damaged`` are cut short."""
    for name, count in counts.items():
        (root / "train" / name).mkdir(parents=True)
        for index in range(count):
            Image.effect_noise((40, 30), 50).save(root / "train" / name / f"{index:03}.jpg")
    for image_id in damaged:
        path = root / "train" / image_id
        path.write_bytes(path.read_bytes()[:-300])
    return FolderDataset(root)


def test_all_readable(tmp_path: Path) -> None:
    dataset = put(tmp_path, {"a": 3, "b": 2})
    kept, skipped = readable_samples(dataset, "train")
    assert list(kept) == list(dataset.samples("train"))
    assert skipped == []


@pytest.mark.parametrize("workers", [1, 4])
def test_damaged_photographs_are_skipped_and_listed_in_order(tmp_path: Path, workers: int) -> None:
    dataset = put(tmp_path, {"a": 20, "b": 20}, ["a/003.jpg", "a/017.jpg", "b/000.jpg"])
    done: list[tuple[int, int]] = []
    kept, skipped = readable_samples(dataset, "train", workers, lambda *step: done.append(step))
    assert [sample.image_id for sample, _ in skipped] == ["a/003.jpg", "a/017.jpg", "b/000.jpg"]
    assert all("truncated" in reason for _, reason in skipped)
    assert [s for s in dataset.samples("train") if s not in {sample for sample, _ in skipped}] == list(kept)
    assert len(kept) == 37
    assert done == [(count, 40) for count in range(1, 41)]


def test_a_tenth_is_allowed_more_is_an_error(tmp_path: Path) -> None:
    dataset = put(tmp_path / "tenth", {"a": 20, "b": 20}, [f"a/{i:03}.jpg" for i in range(4)])
    assert len(readable_samples(dataset, "train")[1]) == 4
    dataset = put(tmp_path / "more", {"a": 20, "b": 20}, [f"a/{i:03}.jpg" for i in range(5)])
    with pytest.raises(
        UserError, match=r"5 of 40 \(a/000.jpg, a/001.jpg, a/002.jpg, \.\.\.; .*: replace or remove"
    ):
        readable_samples(dataset, "train")


def test_a_class_that_is_lost_entirely_is_an_error(tmp_path: Path) -> None:
    dataset = put(tmp_path, {"a": 30, "b": 1}, ["b/000.jpg"])
    with pytest.raises(UserError, match="found none in b: replace them"):
        readable_samples(dataset, "train")


def test_more_photographs_than_one_batch_and_other_errors_are_not_hidden() -> None:
    samples = [Sample(f"{index}", Path("none"), 0) for index in range(3000)]
    seen = look_at_each(samples, lambda sample: int(sample.image_id), workers=3)
    assert list(seen) == list(range(3000))

    def broken(sample: Sample) -> None:
        raise RuntimeError("a mistake in the program")

    with pytest.raises(RuntimeError, match="mistake"):
        list(look_at_each(samples, broken, workers=3))


def test_data_sets_that_vouch_for_their_photographs_are_not_opened() -> None:
    class Rendered(Dataset):
        name, classes = "rendered", ("a",)

        def samples(self, split: str) -> Sequence[Sample]:
            return [Sample("0", Path("none"), 0)]

        def truth(self, sample: Sample) -> Truth | None:
            return None

    kept, skipped = readable_samples(Rendered(), "train")
    assert (len(kept), skipped) == (1, [])


def test_require_trainable(tmp_path: Path) -> None:
    require_trainable(put(tmp_path / "good", {"a": 1, "b": 1}))
    with pytest.raises(UserError, match="at least two classes to train on, found only 'a'"):
        require_trainable(put(tmp_path / "one", {"a": 2}))
    with pytest.raises(UserError, match="expected photographs in every class folder, found none in b, c"):
        require_trainable(put(tmp_path / "empty", {"a": 2, "b": 0, "c": 0}))
    (tmp_path / "good" / "train").rename(tmp_path / "good" / "val")
    with pytest.raises(UserError, match="expected photographs to train on, found none"):
        require_trainable(FolderDataset(tmp_path / "good"))


def test_lazy_lists_stay_lazy_where_photographs_are_skipped(tmp_path: Path) -> None:
    names = [f"{'ab'[i % 2]}/{i}.jpg" for i in range(40)]
    samples = SampleList(LabelledNames(Names.of(names), np.arange(40) % 2), tmp_path)

    class Listed(Dataset):
        name, classes, needs_check = "listed", ("a", "b"), True

        def samples(self, split: str) -> Sequence[Sample]:
            return samples

        def truth(self, sample: Sample) -> Truth | None:
            return None

        def check(self, sample: Sample) -> None:
            if sample.image_id in ("b/7.jpg", "a/20.jpg"):
                raise UserError("expected an image, found none: add it")

    require_trainable(Listed())
    kept, skipped = readable_samples(Listed(), "train")
    assert isinstance(kept, SampleList)
    assert [sample.image_id for sample in kept] == [n for n in names if n not in ("b/7.jpg", "a/20.jpg")]
    assert labels_of(kept).tolist() == [sample.label for sample in kept]
    assert [sample.image_id for sample, _ in skipped] == ["b/7.jpg", "a/20.jpg"]
