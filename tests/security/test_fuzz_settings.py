"""Run folders and settings of strangers with parts of them wrong: a sentence, or a model."""

from __future__ import annotations

import json
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rfga.engine.evaluating.report import method_report
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.recipes import read_recipe
from rfga.types import UserError
from tests.engine import tiny
from tests.security.doors import LONG, answered, deep_folder, fuzz, nothing_outside
from tests.security.mutations import damaged, misshapen

RECIPE: dict[str, Any] = {
    "train": {**tiny.SETTINGS, "options": {}, "mean": [0.5, 0.4, 0.3], "milestones": None, "lr": 0.01},
    "data": {"name": "cub"},
    "expected": {
        **{"metric": "PxAP", "split": "test", "value_percent": 60.5, "tolerance_points": 1},
        **{"normalisation": "minmax", "contours": None},
    },
    "source": {"expected": "a paper", "settings": "another"},
}
FILES = ("config.yaml", "classes.json", "metrics.json", "model.safetensors")


def as_yaml(value: Any) -> bytes:
    return yaml.safe_dump(value).encode()


def changed_file(run_folder: Path, name: str) -> st.SearchStrategy[bytes]:
    """One file of a run with something wrong; of weights mostly the header, where all else is described."""
    whole = (run_folder / name).read_bytes()
    if name == "model.safetensors":
        length = struct.unpack("<Q", whole[:8])[0]
        held = json.loads(whole[8 : 8 + length])
        few = {key: held[key] for key in sorted(held)[:3]}
        described = misshapen(few).map(lambda changed: _with_header({**held, **changed}, whole[8 + length :]))
        return described | damaged(whole[:400]).map(lambda start: start + whole[400:])
    if name == "config.yaml":
        return misshapen(yaml.safe_load(whole)).map(as_yaml) | damaged(whole)
    return misshapen(json.loads(whole)).map(lambda value: json.dumps(value).encode()) | damaged(whole)


def _with_header(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def open_run(run_folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    with deep_folder() as folder:
        for file in FILES:
            (folder / file).write_bytes((run_folder / file).read_bytes())
        (folder / name).write_bytes(data.draw(changed_file(run_folder, name)))
        with nothing_outside(folder.parents[2]):
            answered(partial(Localizer.load, folder, device="cpu"))
            found = answered(partial(RunFolder(folder).read_config))
            if not isinstance(found, UserError):
                answered(partial(method_report, RunFolder(folder), None))


def read_settings(data: st.DataObject) -> None:
    text = data.draw(misshapen(RECIPE).map(as_yaml) | damaged(as_yaml(RECIPE)))
    with deep_folder() as folder:
        (folder / "my.yaml").write_bytes(text)
        with nothing_outside(folder.parents[2]):
            recipe = answered(partial(read_recipe, folder / "my.yaml"))
            if not isinstance(recipe, UserError):
                answered(partial(TrainConfig.from_dict, recipe.train))


@fuzz(10)
@given(data=st.data())
def test_runs_with_something_wrong(tiny_run: Path, data: st.DataObject) -> None:
    open_run(tiny_run, data)


@fuzz(25)
@given(data=st.data())
def test_settings_with_something_wrong(data: st.DataObject) -> None:
    read_settings(data)


@pytest.mark.slow
@fuzz(LONG)
@given(data=st.data())
def test_many_runs_with_something_wrong(tiny_run: Path, data: st.DataObject) -> None:
    open_run(tiny_run, data)


@pytest.mark.slow
@fuzz(LONG)
@given(data=st.data())
def test_much_settings_with_something_wrong(data: st.DataObject) -> None:
    read_settings(data)
