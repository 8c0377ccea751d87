"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from tests.memory import Memory

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may download

REPOSITORY = Path(__file__).resolve().parents[1]


# A shell gives its background jobs an ignored Ctrl-C; tests of Ctrl-C need Python's own handling.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


MEMORY = Memory()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Before the first of several processes is started."""
    subprocess.run([sys.executable, "-m", "tests.compiled"], cwd=REPOSITORY, check=True)


def pytest_collection_finish() -> None:
    """Everything that tests need has been imported."""
    MEMORY.set_aside()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
    """Let the networks of a file go with it, of tests and of doctests, and large ones before."""
    done = yield
    if nextitem is None or nextitem.path != item.path:
        MEMORY.set_aside()
    else:
        MEMORY.give_back_much()
    return done


@pytest.fixture
def drawn() -> None:
    """For quick tests that look at the curves of a report."""


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves of reports are drawn by their own tests, in runs that tests share, and by slow tests.

    They would take a third of the time of a small training.
    """
    if "drawn" not in request.fixturenames and request.node.get_closest_marker("slow") is None:
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
