from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from rfga import __version__
from rfga.cli import main
from rfga.cli.parser import COMMANDS, module_of
from rfga.engine.run.config import TrainConfig
from rfga.methods import METHODS
from tests.engine import tiny

Captured = pytest.CaptureFixture[str]


def status(command: list[str]) -> int:
    """What the process would end with."""
    try:
        return main(command)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def sentence(command: list[str], capsys: Captured) -> str:
    """The one line that a failing command says."""
    capsys.readouterr()
    assert status(command) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert said.err.startswith("rfga: error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("rfga: error: ").strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_file_of_its_own(command: str) -> None:
    home = module_of(command)
    assert Path(home.__file__ or "").stem == command
    assert callable(home.add)
    assert callable(home.run)


def test_help_lists_the_commands(capsys: Captured) -> None:
    assert status(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)
    assert status(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str, capsys: Captured) -> None:
    assert status([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: rfga {command} ")
    assert "--debug" in said


def test_help_of_training_explains_every_setting(capsys: Captured) -> None:
    status(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name in (setting.name for setting in fields(TrainConfig) if setting.name != "options"):
        assert f"--{name.replace('_', '-')}" in said
    assert "{" + ",".join(METHODS) + "}" in said
    assert "learning rate of the pretrained weights" in said


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["fly"],
        ["train"],
        ["train", "data"],
        ["train", "data", "--out", "run", "--epochs", "three"],
        ["train", "data", "--out", "run", "--lr", "nan"],
        ["train", "data", "--out", "run", "--no-such-flag"],
        ["train", "data", "--out", "run", "--method", "nonesuch"],
        ["train", "data", "--out", "run", "--schedule", "linear"],
        ["evaluate", "run", "data", "--split", "all"],
        ["evaluate", "run", "data", "--normalisation", "sum"],
        ["localize", "run", "--out", "out"],
        ["localize", "run", "a.jpg", "--out", "out", "--max-boxes", "1.5"],
        ["demo", "--device", "abacus"],
    ],
)
def test_wrong_usage(command: list[str], capsys: Captured, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("rfga: wrong usage: ")
    assert said.endswith(" --help)\n")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_wrong_usage_is_told_in_the_words_of_the_command_line(capsys: Captured) -> None:
    status(["localize", "run", "a.jpg", "--out", "out", "--max-boxes", "1.5"])
    said = "rfga: wrong usage: --max-boxes: Expected int. Got value: 1.5 (see rfga localize --help)\n"
    assert capsys.readouterr().err == said
    status(["train"])
    said = "rfga: wrong usage: the following arguments are required: data, out (see rfga train --help)\n"
    assert capsys.readouterr().err == said


def test_methods(capsys: Captured) -> None:
    assert status(["methods"]) == 0
    said = capsys.readouterr().out
    assert "Class activation mapping" in said
    assert all(name in said for name in METHODS)
    assert status(["methods", "rfga"]) == 0
    said = capsys.readouterr().out
    assert "kernel_size" in said
    assert "odd length of the layer's convolutions" in said
    assert status(["methods", "cam"]) == 0
    said = sentence(["methods", "nonesuch"], capsys)
    assert f"expected a method out of {', '.join(METHODS)}, found 'nonesuch'" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--epochs", "0"], "expected epochs at least 1, found 0"),
        (["--lr", "-1"], "expected lr above 0"),
        (["--backbone", "no_such_network"], "name of a timm network, found 'no_such_network'"),
        (["--output-stride", "3"], "output stride 3"),
        (["--weights", "lost.pth"], "expected a file of weights, found nothing at lost.pth"),
        (["--set", "kernel_size"], "expected --set KEY=VALUE, found kernel_size"),
        (["--set", "size=3"], "expected as option none"),
        (["--method", "rfga", "--set", "size=3"], "expected as option one of position, views"),
        (["--method", "rfga", "--set", "kernel_size=wide"], "option kernel_size to be int, found 'wide'"),
        (["--method", "rfga", "--set", "kernel_size=4"], "odd kernel_size, found 4"),
        (
            ["--config", "lost.yaml"],
            "or the name of a recipe (see rfga recipes), found lost.yaml",
        ),
        (["--truth", "lost.json"], "found no such thing at lost.json"),
        (["--resume", "--overwrite"], "expected --resume or --overwrite, found both"),
        (["--workers", "-5"], "expected --workers"),
    ],
)
def test_settings_that_cannot_work(
    flags: list[str], said: str, birds: Path, tmp_path: Path, capsys: Captured
) -> None:
    command = ["train", str(birds), "--out", str(tmp_path / "run"), *tiny.flags(), *flags]
    assert said in sentence(command, capsys)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_debug_shows_the_traceback(tmp_path: Path, capsys: Captured) -> None:
    assert status(["evaluate", str(tmp_path), str(tmp_path), "--debug"]) == 1
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.splitlines()[-1].startswith("rfga: error: expected a run folder")


def test_error_that_nobody_foresaw(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("rfga.cli.methods.run", broken)
    assert sentence(["methods"], capsys) == "unexpected RuntimeError: two lines (--debug shows where)"
    status(["methods", "--debug"])
    assert "in broken" in capsys.readouterr().err


def test_output_that_cannot_be_written(tiny_run: Path, birds: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("mine")
    inside = str(tmp_path / "file" / "out")
    truth = ["--truth", str(birds / "val_boxes.json")]
    for command in (
        ["train", str(birds), "--out", inside, *tiny.flags()],
        ["train", str(birds), "--out", str(tmp_path / "file"), *tiny.flags()],
        ["evaluate", str(tiny_run), str(birds), *truth, "--json", inside],
        ["localize", str(tiny_run), str(birds / "val"), "--out", inside],
        ["localize", str(tiny_run), str(birds / "val"), "--out", str(tmp_path / "out"), "--json", inside],
        ["demo", "--out", inside],
    ):
        assert "cannot be written" in sentence(command, capsys), command
    assert (tmp_path / "file").read_text() == "mine"


def test_inputs_that_are_not_there(tiny_run: Path, birds: Path, tmp_path: Path, capsys: Captured) -> None:
    out, lost = ["--out", str(tmp_path / "out")], str(tmp_path / "lost")
    cases = {
        "expected a folder with train/CLASS": ["train", lost, *out, *tiny.flags()],
        "expected a run folder with config.yaml": ["evaluate", lost, str(birds)],
        "expected a folder with train/CLASS/": ["evaluate", str(tiny_run), lost],
        "found nothing at": ["localize", str(tiny_run), lost, *out],
        "expected a format out of": ["localize", str(tiny_run), str(birds), *out, "--format", "pascal"],
        "expected --threshold": ["localize", str(tiny_run), str(birds), *out, "--threshold", "2"],
        "expected --max-boxes": ["localize", str(tiny_run), str(birds), *out, "--max-boxes", "0"],
        "expected --labels": ["localize", str(tiny_run), str(birds / "val"), *out, "--labels", lost],
        "expected --step": ["evaluate", str(tiny_run), str(birds), "--step", "0"],
        "for the truth": ["evaluate", str(tiny_run), str(birds / "val"), "--truth", lost],
    }
    for said, command in cases.items():
        assert said in sentence(command, capsys), command


def test_existing_run_is_refused(tiny_run: Path, birds: Path, tmp_path: Path, capsys: Captured) -> None:
    run = tiny.copied(tiny_run, tmp_path / "run")
    before = tiny.snapshot(run)
    command = ["train", str(birds), "--out", str(run), *tiny.flags()]
    assert "add --resume to go on with it, --overwrite to start anew" in sentence(command, capsys)
    assert "seed 9 instead of 3" in sentence([*command, "--resume", "--seed", "9"], capsys)
    assert tiny.snapshot(run) == before
    shutil.copytree(birds / "val", tmp_path / "mine")
    command = ["train", str(birds), "--out", str(tmp_path / "mine"), *tiny.flags()]
    for flag in ("--overwrite", "--resume"):
        assert "no config.yaml of a run: choose another --out" in sentence([*command, flag], capsys)
    assert tiny.snapshot(tmp_path / "mine") == tiny.snapshot(birds / "val")


def test_recipe_gives_settings_that_flags_override(birds: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    options = {"kernel_size": 5, "gate": "softmax"}
    recipe.write_text(yaml.safe_dump({**tiny.SETTINGS, "method": "rfga", "epochs": 1, "options": options}))
    command = ["train", str(birds), "--out", str(tmp_path / "run"), "--config", str(recipe)]
    runtime = ["--device", "cpu", "--workers", "0", "--quiet"]
    assert status([*command, *runtime, "--seed", "8", "--set", "gate=sigmoid", "--set", "light=true"]) == 0
    held = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["train"]
    assert (held["seed"], held["epochs"], held["method"]) == (8, 1, "rfga")
    assert held["options"] == {
        "position": -1,
        "views": "channel+height+width",
        "expansion": "sum",
        "calibration": "residual",
        "gate": "sigmoid",
        "kernel_size": 5,
        "light": True,
    }
    # A run's own config.yaml is a recipe too; another method does not take its options over.
    again = ["train", str(birds), "--out", str(tmp_path / "again"), "--config"]
    again += [str(tmp_path / "run" / "config.yaml"), "--method", "cam", *runtime]
    assert status(again) == 0
    held = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())["train"]
    assert (held["seed"], held["method"], held["options"]) == (8, "cam", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: many", "expected setting epochs to be int, found 'many'"),
        ("epoch: 3", "found epoch: correct or remove it"),
        ("- epochs", "expected settings by name in"),
        ("options: 3", "options of the method as a mapping"),
        ("epochs: [", "unreadable"),
    ],
)
def test_recipe_that_is_wrong(text: str, said: str, birds: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    out = ["--out", str(tmp_path / "run"), "--weights", "none"]
    assert said in sentence(["train", str(birds), *out, "--config", str(tmp_path / "recipe.yaml")], capsys)


def test_table_of_numbers(tiny_run: Path, birds: Path, tmp_path: Path, capsys: Captured) -> None:
    run, file = tiny.copied(tiny_run, tmp_path / "run"), tmp_path / "numbers.json"
    command = ["evaluate", str(run), str(birds), "--truth", str(birds / "val_boxes.json"), "--workers", "0"]
    assert status([*command, "--threshold", "0.25", "--json", str(file)]) == 0
    said = capsys.readouterr().out
    first = next(line for line in said.splitlines() if "MaxBoxAccV2" in line)
    entry = json.loads(file.read_text())["metrics"]["MaxBoxAccV2"][0]
    assert f"{100 * entry['value']:.1f}" in first
    assert "oracle" in first
    assert "minmax" in first
    assert entry["contours"] in first
    assert any("fixed" in line and "0.250" in line for line in said.splitlines())
    assert f"report: {run / 'report.html'}" in said
