from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import rfga
from rfga.engine.run.pretrained import MODEL_FILES, model_folder
from rfga.types import UserError


def test_a_folder_comes_first(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_run.parent)
    assert model_folder("run") == Path("run")
    assert rfga.Localizer.from_pretrained("run", device="cpu").classes


@pytest.mark.parametrize("name", ["no/such/run", "../run", "./run", "user/na me", "", "hub:x", "/x/y"])
def test_what_is_neither_a_folder_nor_the_name_of_a_repository(name: str, tmp_path: Path) -> None:
    wanted = name or str(tmp_path / "none")
    with pytest.raises(UserError, match="expected a run folder, an exported folder or the name of a repo"):
        model_folder(wanted)


def test_a_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="expected a run folder"):
        model_folder("model")


def test_a_repository_is_downloaded_as_far_as_it_is_needed(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **given: Any) -> str:
        asked.update(name=name, **given)
        return str(tiny_run)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = rfga.Localizer.from_pretrained("somebody/birds", revision="v1", device="cpu")
    assert found.fingerprint == rfga.load(tiny_run, device="cpu").fingerprint
    assert asked == {"name": "somebody/birds", "revision": "v1", "allow_patterns": list(MODEL_FILES)}


def test_a_repository_that_cannot_be_reached() -> None:
    with pytest.raises(
        UserError, match=r"called somebody/birds, .* could not download it \(.*check the name"
    ):
        model_folder("somebody/birds")  # tests are offline: conftest.py


def test_the_library_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r'found none called somebody/birds; .* pip install "rfga\[hub\]"'):
        model_folder("somebody/birds")
