"""ILSVRC against the benchmark's own lists, and a list of its full size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rfga.data.benchmarks.ilsvrc import IlsvrcDataset
from tests.made_benchmarks import CLASSES, write_benchmark, write_lists
from tests.real_lists import require_the_same

TRAIN_IMAGES, CLASS_COUNT = 1_281_167, 1000
MOST_BYTES = 1_000_000_000

MEASURE = """
import json, re, sys
from pathlib import Path

import numpy as np

from rfga.data import open_dataset
from rfga.data.checks.readable import require_trainable
from rfga.data.transforms import EpochSampler, SampleImages
from rfga.engine.learning.data import TrainingData

def peak():
    status = Path("/proc/self/status")
    if status.is_file():  # what Linux gives by getrusage counts the process that started this one
        return int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


before, read = peak(), []
sys.addaudithook(lambda event, about: event == "open" and read.append(str(about[0])))
dataset = open_dataset("ilsvrc:" + sys.argv[1])
samples = dataset.samples("train")
picked = [samples[i] for i in (0, len(samples) // 2, -1)]
opened = [path for path in read if path.startswith(sys.argv[1])]
require_trainable(dataset)
data = TrainingData(dataset, samples, dataset.samples("val"), ())
assert data.record()["train_photographs"] == len(samples)
order = EpochSampler(len(data.train), seed=0, shuffle=True)
images = SampleImages(dataset, data.train, 32)
drawn = np.fromiter((index for index, _ in order), np.int64)
listed = sum(sample.label for sample in samples)
print(json.dumps({
    "bytes": peak() - before,
    "read": [Path(path).name for path in opened],
    "images": len(images),
    "labels": listed,
    "drawn": int(np.unique(drawn).size),
    "classes": [dataset.classes[0], dataset.classes[-1]],
    "picked": [[sample.image_id, sample.label] for sample in picked],
    "sliced": [sample.image_id for sample in samples[-3:-1]],
}))
"""


@pytest.mark.slow
def test_every_record_is_that_of_the_files(shared: Path, tmp_path: Path) -> None:
    dataset = require_the_same("ilsvrc", shared / "wsol-metadata" / "ILSVRC", tmp_path, {"val", "test"})
    assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [0, 10_000, 50_000]
    assert [dataset.has_truth(split) for split in ("train", "train-fullsup", "test")] == [False, True, True]
    assert len(dataset.classes) == CLASS_COUNT
    sea_snake = dataset.samples("test")[0]
    assert (sea_snake.label, dataset.classes[65], dataset.classes[0]) == (65, "n01751748", "n01440764")
    assert dataset.notes == ()


def test_classes_are_named_as_the_folders_of_a_smaller_set(tmp_path: Path) -> None:
    dataset = IlsvrcDataset(write_benchmark(tmp_path))
    assert dataset.classes == CLASSES


def made_name(index: int, count: int) -> tuple[str, int]:
    label = index * CLASS_COUNT // count
    return f"train/n{label:08d}/n{label:08d}_{index}.JPEG", label


def write_long_list(root: Path, count: int) -> None:
    folder = write_lists(root / "metadata" / "train", localization=[], image_sizes=[])
    rows = [made_name(index, count) for index in range(count)]
    (folder / "image_ids.txt").write_text("".join(f"{name}\n" for name, _ in rows))
    (folder / "class_labels.txt").write_text("".join(f"{name},{label}\n" for name, label in rows))
    path = root / "images" / rows[0][0]
    path.parent.mkdir(parents=True)
    path.touch()


@pytest.mark.slow  # a process of its own
@pytest.mark.parametrize("count", [50_000, TRAIN_IMAGES])
def test_a_long_list_opens_without_its_photographs_in_little_memory(tmp_path: Path, count: int) -> None:
    write_long_list(tmp_path, count)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["read"]) == {"image_ids.txt", "class_labels.txt"}
    assert found["images"] == found["drawn"] == count
    assert found["labels"] == sum(index * CLASS_COUNT // count for index in range(count))
    assert found["picked"] == [list(made_name(index, count)) for index in (0, count // 2, count - 1)]
    assert found["sliced"] == [made_name(index, count)[0] for index in (count - 3, count - 2)]
    assert found["classes"] == ["n00000000", "n00000999"]
    if not found["bytes"]:
        pytest.skip("this platform does not tell how much memory a process took")
    assert found["bytes"] < MOST_BYTES  # of which imports take a quarter
    print(f"{found['bytes'] / 1e6:.0f} MB")
