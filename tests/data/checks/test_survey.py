from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rfga.data.checks.findings import Place
from rfga.data.checks.survey import take_survey
from rfga.data.synthetic.dataset import SyntheticDataset
from tests.data.checks.folders_to_check import HEIGHT, WIDTH, clean_folders, surveyed


def test_places_indices_and_numbers_of_each_photograph(tmp_path: Path) -> None:
    root = clean_folders(tmp_path / "data", train=2, val=1)
    (root / "train" / "dog" / "1.jpg").write_bytes(b"")
    _, survey, findings = surveyed(root)
    assert len(survey) == 6
    assert [survey.file(index) for index in (0, 3, 4, 5)] == [
        "train/cat/0.jpg",
        "train/dog/1.jpg",
        "val/cat/0.jpg",
        "val/dog/0.jpg",
    ]
    assert survey.place(5) == Place("val", 1)
    assert [survey.index(survey.place(index)) for index in range(6)] == list(range(6))
    assert survey.labels.tolist() == [0, 0, 1, 1, 0, 1]
    assert survey.sizes_hw.tolist() == [[HEIGHT, WIDTH]] * 3 + [[0, 0]] + [[HEIGHT, WIDTH]] * 2
    assert survey.comparable.tolist() == [True] * 3 + [False] + [True] * 2
    assert len(np.unique(survey.contents, axis=0)) == 6
    (finding,) = findings
    assert (finding.kind, finding.file) == ("empty", "train/dog/1.jpg")


def test_the_number_of_threads_changes_nothing_and_progress_is_told(tmp_path: Path) -> None:
    source, survey, _ = surveyed(clean_folders(tmp_path / "data", train=12))
    done: list[int] = []
    alone, _ = take_survey(source.dataset, 1, done.append)
    assert sum(done) == len(survey) == 30
    for name in ("labels", "sizes_hw", "stored_hw", "contents", "shown", "comparable"):
        assert np.array_equal(getattr(alone, name), getattr(survey, name)), name


def test_drawn_pictures_need_no_files() -> None:
    birds = SyntheticDataset(train_per_class=2, val_per_class=0, test_per_class=1, longer_side_pixels=64)
    survey, findings = take_survey(birds)
    assert list(survey.splits) == ["train", "test"]
    assert not findings
    with Image.fromarray(np.asarray(birds.image(birds.samples("test")[0]))) as image:
        assert survey.sizes_hw[12].tolist() == [image.height, image.width]
