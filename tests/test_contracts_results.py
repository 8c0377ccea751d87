"""What every registered metric and export format has to keep; new ones are tested at once."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rfga.metrics import METRICS
from rfga.metrics.streaming import StreamedMetric
from rfga.output.export.formats import FORMATS
from rfga.types import Prediction
from tests.contract_cases import made_predictions, target
from tests.metrics.made_up import made_up_images

# Metrics


def made_metric(name: str, replicates: int = 20) -> StreamedMetric:
    metric: StreamedMetric = target(METRICS, name)(step=0.05, num_classes=8, replicates=replicates)
    return metric


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_gives_complete_entries_that_do_not_depend_on_the_batches(name: str) -> None:
    images = made_up_images(7, "both")
    whole, parts = made_metric(name), made_metric(name)
    arguments = images.part(range(7))
    kept = copy.deepcopy(arguments)
    whole.update(*arguments)
    for one, two in zip(arguments, kept, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, two)
    for indices in ([6, 2], [0, 1, 3, 5], [4]):
        parts.update(*images.part(indices))
    found = whole.compute()
    assert found["images"] == 7
    assert found["metrics"]
    assert json.dumps(found) == json.dumps(parts.compute())
    for entry in itertools.chain.from_iterable(found["metrics"].values()):
        assert set(entry) >= {
            "value",
            "interval",
            "threshold",
            "threshold_source",
            "normalisation",
            "contours",
        }
        low, high = entry["interval"]
        assert 0 <= low <= high <= 1
        assert 0 <= entry["value"] <= 1


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_metric_that_saw_nothing_says_nothing(name: str) -> None:
    metric = made_metric(name)
    metric.update(*made_up_images(3, "both").part(range(3)))
    metric.reset()
    assert metric.compute() == {"images": 0, "metrics": {}}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_adds_up_over_processes_and_survives_pickling(name: str) -> None:
    images = made_up_images(6, "both")
    whole, one, two = (made_metric(name) for _ in range(3))
    whole.update(*images.part(range(6)))
    one.update(*images.part([0, 4]))
    two.update(*images.part([1, 2, 3, 5]))
    for state in one.sums():
        setattr(one, state, getattr(one, state) + getattr(two, state))
    for state, expected in whole.sums().items():
        np.testing.assert_allclose(one.sums()[state], expected, rtol=1e-12)
    assert pickle.loads(pickle.dumps(whole)).compute() == whole.compute()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_tells_good_from_bad(name: str) -> None:
    images = made_up_images(6, "both")
    good, bad = made_metric(name), made_metric(name)
    ids, maps, truths, labels, _ = images.part(range(6))
    certain = np.eye(8)[labels]
    good.update(ids, maps, truths, labels, certain)
    bad.update(ids, np.zeros_like(maps), truths, labels, -certain)
    better, worse = good.compute()["metrics"], bad.compute()["metrics"]
    assert set(better) == set(worse)
    for metric, entries in better.items():
        assert entries[0]["value"] > worse[metric][0]["value"], metric


# Export formats

Writer = Callable[..., Path]


@pytest.fixture(params=FORMATS)
def writer(request: pytest.FixtureRequest) -> Writer:
    """A registered export function."""
    found: Writer = target(FORMATS, request.param)
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_format_streams_into_its_folder_and_names_no_machine(writer: Writer, tmp_path: Path) -> None:
    taken = iter(made_predictions())
    path = writer(taken, ["grey heron", "tench"], tmp_path / "new" / "out")
    assert not list(taken)
    assert path.is_relative_to(tmp_path / "new" / "out")
    written = files_of(tmp_path)
    assert written
    assert all(written.values())
    assert not [name for name in written if not name.startswith("new/out/") or name.endswith(".tmp")]
    assert str(tmp_path).encode() not in b"".join(written.values())
    writer(iter(made_predictions()), ["grey heron", "tench"], tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(tmp_path / "new" / "out")


def test_a_format_uses_the_names_it_is_given(writer: Writer, tmp_path: Path) -> None:
    names = {p.image_id: f"given_{i}.jpg" for i, p in enumerate(made_predictions())}
    writer(iter(made_predictions()), ["grey heron", "tench"], tmp_path, names)
    written = files_of(tmp_path)
    assert "given_0" in "".join(written) + b"".join(written.values()).decode()


def test_a_format_takes_no_predictions_at_all(writer: Writer, tmp_path: Path) -> None:
    assert writer(iter([]), ["grey heron", "tench"], tmp_path).exists()


def test_what_was_there_stays_when_writing_breaks_off(writer: Writer, tmp_path: Path) -> None:
    def broken() -> Iterator[Prediction]:
        yield made_predictions()[0]
        raise RuntimeError("the disk of the photographs is gone")

    writer(iter(made_predictions()), ["grey heron", "tench"], tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(RuntimeError, match="gone"):
        writer(broken(), ["grey heron", "tench"], tmp_path)
    assert files_of(tmp_path) == before


def test_a_format_refuses_a_box_outside_its_photograph(writer: Writer, tmp_path: Path) -> None:
    first, *_ = made_predictions()
    outside = Prediction(first.image_id, (20, 20), 1, 0.9, first.boxes, first.scores, None, 0.2)
    with pytest.raises(ValueError, match="expected a sound prediction"):
        writer([outside], ["grey heron", "tench"], tmp_path)
    assert not files_of(tmp_path)
