"""Each row of CONTRIBUTING's table "new thing, file, line" holds: one such thing is added here and works.

The command line's lists are proved on a copy of the package with a line more in each registry, what the new
things do in this process. They stand in ``tests/new_things.py``, and are all called ``made-up``.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from rfga.backbones.build import build_backbone
from rfga.cli import main
from rfga.data import open_dataset
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.refiners import load_refiner
from rfga.engine.run.config import TrainConfig
from rfga.engine.thresholds.estimators import estimate_threshold
from tests import test_api_surface, test_contracts
from tests.conftest import REPOSITORY
from tests.contract_cases import made_dataset
from tests.engine import tiny
from tests.new_things import LinesTruth, is_lines

NAME = "made-up"


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    thing: str
    registry: str
    path: str  # of the registry's file, below src/rfga where it is of Python

    @property
    def module(self) -> str:
        return "rfga." + self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def table() -> list[Row]:
    """The rows of the first table of CONTRIBUTING."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    first = text[text.index("| new thing") :].partition("\n\n")[0]
    rows = []
    for line in first.splitlines()[2:]:
        thing, place, how = (cell.strip() for cell in line.strip("|").split("|"))
        assert re.search(r"`(src/rfga|docs)/[a-z_/]+\.(py|md)`", place), f"{thing} has no file: {place}"
        found = re.match(r"one line in `([A-Za-z]+)` \(`([a-z_/]+\.(?:py|yml))`\)", how)
        assert found, f"{thing} has no line: {how}"
        rows.append(Row(thing, *found.groups()))
    return rows


ROWS = {row.thing: row for row in table() if row.path.endswith(".py")}
PAGES = {row.thing: row for row in table() if row.thing not in ROWS}


@dataclass(frozen=True)
class Place:
    """What a proof may use."""

    run: Path  # trained, to be read
    birds: Path
    folder: Path  # empty
    monkeypatch: pytest.MonkeyPatch


def a_method(place: Place) -> None:
    place.monkeypatch.setattr(
        "rfga.engine.run.config.METHOD_NAMES", (NAME,)
    )  # made of the registry on import
    few: dict[str, Any] = {"epochs": 1, "train_per_class": 1, "options": {"calm": "0"}}
    run = tiny.train(place.birds / "train", place.folder / "run", method=NAME, **few)
    config = TrainConfig.from_dict({**tiny.SETTINGS, "method": NAME})
    assert Localizer.load(run, device="cpu").method.calm == 0  # typed, and kept in the run
    assert tiny.metrics(run)["history"][0]["train_loss"] == 0
    assert config.method == NAME
    hold((NAME, "test_resnet"))
    test_api_surface.test_every_option_of_a_method_has_a_default_a_type_and_a_meaning(NAME)


def a_backbone(place: Place) -> None:
    assert build_backbone(NAME, output_stride=8)(torch.zeros(1, 3, 64, 96)).shape == (1, 128, 8, 12)
    hold(("cam", NAME))


def hold(cell: tuple[str, str]) -> None:
    """The contract of methods, on a method and a backbone."""
    checks = contracts("made")
    assert len(checks) > 8
    for check in checks:
        check(cell)


def contracts(argument: str) -> list[Callable[..., None]]:
    """The contract tests that take this alone."""
    found = [check for name, check in vars(test_contracts).items() if name.startswith("test_")]
    return [check for check in found if list(inspect.signature(check).parameters) == [argument]]


def maps_of_any_method(place: Place) -> None:
    localizer = Localizer.load(place.run, device="cpu", maps_from=NAME)
    found = localizer(next((place.birds / "val").rglob("*.png")), label=localizer.classes[0])
    assert found.map.shape == (224, 224)
    assert found.map.max() == 1


def a_data_set(place: Place) -> None:
    assert open_dataset(NAME).name == "stripes"
    checks = contracts("dataset")
    assert len(checks) > 2
    for kind in ("boxes", "masks"):
        for check in checks:
            check(made_dataset(NAME, kind, place.folder))


def a_metric(place: Place) -> None:
    run, numbers = tiny.copied(place.run, place.folder / "run"), place.folder / "numbers.json"
    data = [str(run), str(place.birds), "--truth", str(place.birds / "val_boxes.json")]
    quick = ["--step", "0.1", "--workers", "0", "--device", "cpu"]
    assert main(["evaluate", *data, *quick, "--json", str(numbers)]) == 0
    assert 0 < json.loads(numbers.read_text())["metrics"]["MapMean"][0]["value"] < 1
    assert "MapMean" in (run / "report.html").read_text(encoding="utf-8")


def an_export_format(place: Place) -> None:
    photos = str(place.birds / "val" / "rubybib")
    quick = ["--no-pictures", "--workers", "0", "--device", "cpu", "--quiet"]
    out = place.folder / "out"
    assert main(["localize", str(place.run), photos, "--out", str(out), "--format", NAME, *quick]) == 0
    assert len((out / "counts.txt").read_text().splitlines()) == 2


def an_estimator(place: Place) -> None:
    maps = np.random.default_rng(0).random((2, 20, 30))
    assert estimate_threshold(maps, estimator=NAME) == pytest.approx(0.07)


def a_kind_of_truth(place: Place) -> None:
    photo = next((place.birds / "val").rglob("*.png")).relative_to(place.birds / "val").as_posix()
    (place.folder / "boxes.lines").write_text(f"{photo} 1 2 31 22\n")
    dataset = open_dataset(place.birds, place.folder / "boxes.lines")
    known = [truth for sample in dataset.samples("val") if (truth := dataset.truth(sample)) is not None]
    assert [truth.boxes.tolist() for truth in known if truth.boxes is not None] == [[[1, 2, 31, 22]]]


def a_refiner(place: Place) -> None:
    photos = sorted((place.birds / "val").rglob("*.png"))
    found = Localizer.load(place.run, device="cpu").with_threshold(0.0, "fixed")(photos[0])
    refine = load_refiner(NAME, None, torch.device("cpu"))
    assert refine is not None
    mask = refine(np.zeros((*found.mask.shape, 3), np.uint8), found.prediction)
    assert mask.shape == found.mask.shape
    assert (mask != found.mask).any()


def a_form_of_a_model(place: Place) -> None:
    out = place.folder / "names.txt"
    assert main(["export", str(place.run), "--format", NAME, "--out", str(out), "--quiet"]) == 0
    assert out.read_text().splitlines() == sorted(path.name for path in (place.birds / "val").iterdir())


def a_logger(place: Place) -> None:
    out = place.folder / "run"
    flags = [*tiny.flags(epochs=1, train_per_class=1), "--logger", NAME, "--quiet"]
    assert main(["train", str(place.birds / "train"), "--out", str(out), *flags]) == 0
    said = (out / "logs" / "diary.txt").read_text()
    assert re.fullmatch(r"epoch 1 had a loss of \d\.\d{3}, picture \(\d+, \d+, 3\)\n", said)


PROOFS: dict[str, tuple[str, Callable[[Place], None], tuple[str, ...]]] = {
    "method": ("CalmCam", a_method, ("train", "build", "benchmark")),
    "maps of any method": ("FeatureNorm", maps_of_any_method, ("evaluate", "localize")),
    "data set": ("StripesDataset", a_data_set, ("train", "evaluate")),
    "backbone variant": ("TinyResnet", a_backbone, ()),
    "metric": ("MapMean", a_metric, ()),
    "export format": ("write_counts", an_export_format, ("localize", "build")),
    "estimator of thresholds": ("always_low", an_estimator, ()),
    "kind of truth": ("LinesTruth", a_kind_of_truth, ()),
    "refiner of masks": ("hollow_refiner", a_refiner, ("localize",)),
    "form of a model": ("export_names", a_form_of_a_model, ("export",)),
    "logger": ("DiaryLog", a_logger, ("train",)),
}
"""Thing -> what is added in ``tests.new_things``, its proof, and the commands whose help names it then."""


def test_every_row_is_proved() -> None:
    assert set(ROWS) == set(PROOFS), "a row of CONTRIBUTING's table and its proof here belong together"
    assert set(PAGES) == {"page of the documentation"}


def test_every_page_of_the_documentation_has_its_line() -> None:
    (row,) = PAGES.values()
    lists = yaml.safe_load((REPOSITORY / row.path).read_text(encoding="utf-8"))[row.registry]
    named = re.findall(r"[\w/.-]+\.md", json.dumps(lists))
    docs = REPOSITORY / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert written <= set(named), "pages without a line in mkdocs.yml"
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("thing", PROOFS)
def test_a_thing_that_is_added_works(
    thing: str, tiny_run: Path, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, (target, prove, _) = ROWS[thing], PROOFS[thing]
    registry = getattr(import_module(row.module), row.registry)
    added = (is_lines, LinesTruth) if target == "LinesTruth" else f"tests.new_things:{target}"
    monkeypatch.setitem(registry, NAME, added)
    if row.registry in test_api_surface.REGISTRIES:
        test_api_surface.test_registered_names_lead_to_what_the_registry_holds(row.registry, NAME)
    prove(Place(tiny_run, birds, tmp_path, monkeypatch))


def test_methods_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(import_module("rfga.methods").METHODS, NAME, "tests.new_things:CalmCam")
    assert main(["methods"]) == 0
    assert re.search(rf"{NAME} +CAM whose loss is smaller", capsys.readouterr().out)
    assert main(["methods", NAME]) == 0
    assert re.search(r"calm +float +0\.5 +factor of the loss", capsys.readouterr().out)


def write_lines(package: Path) -> None:
    """A copy of the package with one line more in each registry of the table."""
    shutil.copytree(REPOSITORY / "src" / "rfga", package, ignore=shutil.ignore_patterns("__pycache__"))
    for thing, row in ROWS.items():
        text = (package / row.path).read_text(encoding="utf-8")
        line = f'    "{NAME}": "tests.new_things:{PROOFS[thing][0]}",'
        whole = rf"(?m)^({row.registry}(?:: .+)? = \{{\n(?:    .+\n)+)\}}$"
        changed, count = re.subn(whole, rf"\1{line}\n}}", text)
        assert count == 1, f"{row.path} has no registry {row.registry}"
        (package / row.path).write_text(changed, encoding="utf-8")


def test_a_line_in_the_registry_is_enough_for_the_command_line(tmp_path: Path) -> None:
    package = tmp_path / "src" / "rfga"
    write_lines(package)
    commands = sorted({command for _, _, shown in PROOFS.values() for command in shown})
    code = (
        "import contextlib, io, json, sys, rfga\nfrom rfga.cli import main\nfound = {'file': rfga.__file__}\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    out = io.StringIO()\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(out):\n"
        "        main([command, '--help'])\n"
        "    found[command] = out.getvalue()\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), str(REPOSITORY)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: Mapping[str, Any] = json.loads(done.stdout)
    assert Path(said["file"]) == package / "__init__.py"
    for command in commands:
        expected = sum(command in shown for _, _, shown in PROOFS.values())
        assert said[command].count(NAME) >= expected, f"{command} --help names {NAME} too rarely"
