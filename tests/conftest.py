"""Fixtures that every test may ask for."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may download

REPOSITORY = Path(__file__).resolve().parents[1]


# A shell gives its background jobs an ignored Ctrl-C; tests of Ctrl-C need Python's own handling.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Look no more for garbage in what was imported.

    Networks whose parts know each other are freed by the collector alone. It comes late where five thousand
    modules are alive, whose objects it looks through each time: processes grew to 4 GB.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # so that it forgets how much there was, and comes as often as what is new asks for


def give_memory_back() -> None:
    """Garbage to the allocator, and what the allocator has free to the system, which it keeps by itself."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # glibc's alone
    if trim is not None:
        trim(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
    """Let the networks of a file go with it: of tests, and of the doctests of the package, too."""
    done = yield
    if nextitem is None or nextitem.path != item.path:
        give_memory_back()
        gc.freeze()  # what stays, stays to the end: modules that were imported on the way
    return done


@pytest.fixture
def memory_of_its_own() -> Iterator[None]:
    """For tests after each of which much is to be given back, instead of at the end of their file."""
    yield
    give_memory_back()


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves of reports are drawn by their own tests, in runs that tests share, and by slow tests.

    They would take a third of the time of a small training.
    """
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("rfga.output.plots._svg", lambda figure, name, *words: f'<svg id="{name}"></svg>')


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded values and photographs beside the project; absent elsewhere."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder 'shared' with recorded values and photographs is not beside the project")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of small drawn pictures, none of them square, with boxes and masks of val and test."""
    from rfga.data.synthetic.dataset import SyntheticDataset
    from rfga.data.synthetic.files import write_class_folders

    folder = tmp_path_factory.mktemp("data") / "birds"
    pictures = SyntheticDataset(train_per_class=4, val_per_class=2, test_per_class=2, longer_side_pixels=64)
    write_class_folders(pictures, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs, evaluated on val; tests that change it take a copy (``tiny.copied``)."""
    from tests.engine import tiny

    return tiny.train(birds, tmp_path_factory.mktemp("runs") / "run", truth=birds / "val_boxes.json")
