"""What tests of kills and faults share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rfga.cli import main


@pytest.fixture(autouse=True)
def _curves_stay_undrawn(undrawn: None) -> None:
    """Trainings are many here."""


@pytest.fixture(scope="session")
def few(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs of two classes to train on, and nothing to validate on."""
    folder = tmp_path_factory.mktemp("few") / "few"
    for group in sorted((birds / "train").iterdir())[:2]:
        shutil.copytree(group, folder / "train" / group.name)
    return folder


@pytest.fixture(scope="session")
def whole(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs on them that nothing disturbed."""
    from tests.engine.kills import training

    command = training(few, tmp_path_factory.mktemp("whole") / "run")
    assert main([*command.arguments, "--quiet"]) == 0
    return command.folder
