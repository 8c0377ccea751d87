from __future__ import annotations

import csv
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rfga.backbones import BACKBONES
from rfga.backbones.build import build_backbone
from rfga.cli import main
from rfga.data import DATASETS
from rfga.engine.learning.module import TrainingModule
from rfga.engine.learning.parameter_groups import parameter_groups
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import all_options, build_method
from rfga.engine.run.recipe_result import FollowedRecipe, compare, recipe_record
from rfga.engine.run.recipes import Expected, read_recipe, recipe_names, recipe_rows, recipe_text
from rfga.methods import METHODS
from rfga.methods.base import Method
from rfga.output.benchmark.published import read_published
from rfga.types import UserError
from tests.contract_cases import target
from tests.engine import tiny
from tests.thin import some

BENCHMARK = ("cam", "has", "acol", "spg", "adl", "cutmix")
VARIANTS = ("vgg16", "inception_v3", "resnet50")
SETS = {"cub": "CUB", "ilsvrc": "ILSVRC", "openimages30k": "OpenImages30k"}
CELLS = [(data, backbone, method) for data in SETS for backbone in VARIANTS for method in BENCHMARK]
OWN = "ilsvrc-resnet50-rfga"
BAS = [f"{data}-{backbone}-bas" for data in ("cub", "ilsvrc") for backbone in VARIANTS]
TS_CAM = [f"{cell}_patch16_224-ts-cam" for cell in ("cub-deit_tiny", "cub-deit_small", "ilsvrc-deit_small")]
CLASSES = 5
FAMILIES = [
    *([f"{data}-{pair}" for data in SETS] for pair in map("-".join, product(VARIANTS, BENCHMARK))),
    [OWN],
    *([name] for name in BAS),
]
"""The recipes of one method on one network: no file is read before a test asks for it."""

recipe_of = cache(read_recipe)


@cache
def settings(name: str) -> TrainConfig:
    return TrainConfig.from_dict(recipe_of(name).train)


def same_models(names: list[str]) -> list[list[str]]:
    """The recipes of each model that some of them build."""
    found: dict[str, list[str]] = {}
    for name in names:
        config = settings(name)
        key = f"{config.method} {all_options(config)} {config.backbone} {config.output_stride}"
        found.setdefault(key, []).append(name)
    return list(found.values())


def test_there_is_one_for_every_cell_of_the_literature() -> None:
    assert set(recipe_names()) == {"-".join(cell) for cell in CELLS} | {OWN, *BAS, *TS_CAM}
    assert len(recipe_names()) == len(set(recipe_names())) == 64


@pytest.mark.parametrize("name", recipe_names())
def test_it_says_everything_and_repeats_no_default(name: str) -> None:
    text, recipe = recipe_text(name), recipe_of(name)
    held = yaml.safe_load(text)
    config = settings(name)
    assert {"train", "data", "source"} <= held.keys() <= {"train", "data", "expected", "source"}
    assert recipe.name == name
    assert recipe.dataset in DATASETS
    assert name == f"{recipe.dataset}-{config.backbone.removeprefix('wsol_')}-{config.method}"
    assert recipe.source["settings"]
    assert bool(recipe.source.get("expected")) == (recipe.expected is not None)
    plain, defaults = config.to_dict(), TrainConfig().to_dict()
    unneeded = [
        key for key in recipe.train if key not in ("method", "backbone") and plain[key] == defaults[key]
    ]
    assert not unneeded, "a default that is repeated hides what differs"
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 125


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_the_benchmarks_protocol(cell: tuple[str, str, str]) -> None:
    data, backbone, method = cell
    config = settings("-".join(cell))
    epochs, milestones = (50, (14, 29, 44)) if data == "cub" else (10, (2, 5, 8))
    assert (config.epochs, config.milestones, config.schedule) == (epochs, milestones, "step")
    assert (config.batch_size, config.momentum, config.nesterov, config.new_lr_factor) == (32, 0.9, True, 10)
    assert config.weight_decay == (1e-4 if backbone == "resnet50" else 5e-4)
    assert (config.image_size, config.crop, config.flip, config.warmup_epochs) == (224, "benchmark", True, 0)
    assert (config.weights, config.precision, config.normalisation) == ("imagenet", "32", "minmax")
    assert config.method == method


def test_the_authors_own_recipe_of_the_flagship() -> None:
    config = settings(OWN)
    assert (config.batch_size, config.epochs, config.milestones) == (256, 20, (5, 10, 15))
    assert [config.lr, config.lr * config.new_lr_factor] == pytest.approx([0.002, 0.02])
    assert (config.momentum, config.nesterov, config.weight_decay) == (0.9, False, 5e-4)
    assert (config.output_stride, config.normalisation) == (8, "ivr")
    assert read_recipe(OWN).expected is None


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_the_number_is_the_published_one(cell: tuple[str, str, str], shared: Path) -> None:
    data, backbone, method = cell
    recipe = recipe_of("-".join(cell))
    with (shared / "published.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["source"], row["dataset"], row["backbone"], row["method"].lower())
            == (recipe.source["expected"], SETS[data], backbone, method)
        ]
    (row,) = rows
    expected = recipe.expected
    assert expected is not None
    assert expected.value_percent == float(row["value"])
    assert (expected.metric, expected.normalisation) == (row["metric"], row["normalisation"])
    assert expected.split == "test"
    assert expected.contours == ("all" if row["metric"] == "MaxBoxAccV2" else None)
    assert 0 < expected.tolerance_points <= 2


@pytest.mark.parametrize("name", [*BAS, *TS_CAM])
def test_the_number_of_a_rival_is_the_published_one(name: str) -> None:
    recipe, config = recipe_of(name), settings(name)
    backbone = config.backbone.removeprefix("wsol_").removesuffix("_patch16_224")
    (row,) = (
        row
        for row in read_published()
        if (row.source, row.dataset.lower(), row.backbone, row.method.lower(), row.metric)
        == (recipe.source["expected"], recipe.dataset, backbone, config.method, "GTKnownLoc")
    )
    expected = recipe.expected
    assert expected is not None
    assert (expected.value_percent, expected.metric, expected.split) == (row.percent, "GTKnownLoc", "test")
    assert (expected.normalisation, expected.contours) == ("minmax", "largest")


@pytest.mark.parametrize("name", TS_CAM)
def test_transformers_learn_with_their_optimiser_and_one_rate(name: str) -> None:
    config = settings(name)
    assert (config.optimizer, config.weight_decay, config.new_lr_factor) == ("adamw", 0.05, 1)
    method: Method = target(METHODS, config.method)(build_backbone("test_vit"), CLASSES)
    made = TrainingModule(method, config, 10).configure_optimizers()["optimizer"]
    assert isinstance(made, torch.optim.AdamW)
    assert {(group["lr"], group["weight_decay"]) for group in made.param_groups} == {(config.lr, 0.05)}


@pytest.mark.parametrize("family", some(FAMILIES), ids=lambda names: names[0])
def test_it_builds_a_narrow_model_with_the_layers_that_it_names(family: list[str]) -> None:
    """The recipe's network with a sixteenth of the channels."""
    for names in same_models(family):
        require_narrow_model(names)


def require_narrow_model(names: list[str]) -> None:
    config = settings(names[0])
    options, stride = all_options(config), config.output_stride or 16
    network = target(BACKBONES, config.backbone)(output_stride=stride, width=1 / 16)
    method: Method = target(METHODS, config.method)(network, CLASSES, **options)
    layers = {id(p): found for found, p in method.named_parameters()}
    for config in map(settings, names):
        assert set(config.options) <= set(options)
        fast, slow = parameter_groups(method, config)
        assert fast["lr"] == pytest.approx(10 * slow["lr"])
        assert_groups_of_the_benchmark(config, {layers[id(p)] for p in fast["params"]}, set(layers.values()))
    maps = method.eval().localize(torch.zeros(1, 3, 64, 96), torch.tensor([2])).maps
    stride = 8 if config.method == "bas" else stride  # its maps are of the stage before the last
    assert maps.shape[2:] == (64 // stride, 96 // stride)


def assert_groups_of_the_benchmark(config: TrainConfig, fast: set[str], every: set[str]) -> None:
    """Its program tells the groups by names of layers; methods.md says which layers these are."""
    network = {name for name in every if name.startswith("backbone.network.")}
    stage4 = {name for name in network if ".layer4." in name}
    late = {name for name in network if any(f".features.{n}." in name for n in (17, 19, 21, 24, 26, 28))}
    if config.backbone == "wsol_resnet50" and config.method in ("acol", "spg"):
        assert fast == stage4
    elif config.backbone == "wsol_resnet50" and config.method not in ("rfga", "bas"):
        assert fast == stage4 | {"head.weight", "head.bias"}
    elif (config.backbone, config.method) == ("wsol_vgg16", "spg"):
        assert len(late) == 12
        assert fast == (every - network) | late
    else:
        assert fast == every - network


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda names: names[0])
def test_it_builds_its_model_of_full_size(family: list[str]) -> None:
    for name, *_ in same_models(family):
        config = TrainConfig.from_dict({**recipe_of(name).train, "weights": "none"})
        method = build_method(config, num_classes=200)
        assert len(parameter_groups(method, config)) == 2
        weights = sum(p.numel() for p in method.parameters()) / 1e6
        assert 15 < weights < 120


def test_unknown_names_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"found 'cub-resnet50-cams': see rfga recipes \(alike: cub-resnet50-cam"
    ):
        recipe_text("cub-resnet50-cams")
    with pytest.raises(
        UserError, match=r"the name of a recipe \(see rfga recipes\), found nonesuch unreadable"
    ):
        read_recipe("nonesuch")
    number = {"metric": "PxAP", "split": "test", "value_percent": 50, "tolerance_points": 1}
    for held, sentence in [
        ({"train": {"epochs": 3}, "expect": {}}, "expected train, data, expected and source in"),
        ({"train": {}, "expected": number}, "expected normalisation under 'expected' in"),
        (
            {"train": {}, "expected": {**number, "normalisation": "max", "unit": "%"}},
            "found unit: correct or remove it",
        ),
        (
            {"train": {}, "expected": {**number, "normalisation": "max", "split": None}},
            "expected split to be a name under .* found None",
        ),
        ({"train": {}, "data": "cub"}, "expected names and values under 'data' in"),
    ]:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(held))
        with pytest.raises(UserError, match=sentence):
            read_recipe(file)


def test_the_list_and_the_text_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in recipe_names())
    (line,) = [line for line in said.splitlines() if "cub-resnet50-acol " in line]
    assert line.split() == ["cub-resnet50-acol", "acol", "wsol_resnet50", "cub", "MaxBoxAccV2", "66.5", "2.0"]
    assert recipe_rows()[recipe_names().index(OWN)][4] == "none published"
    assert main(["recipes", "cub-resnet50-cam"]) == 0
    assert capsys.readouterr().out == recipe_text("cub-resnet50-cam")
    assert main(["recipes", "nonesuch"]) == 1
    assert "expected the name of a recipe, found 'nonesuch'" in capsys.readouterr().err


def test_the_list_does_not_load_torch() -> None:
    code = "import sys; from rfga.cli import main; main(['recipes']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


EXPECTED = Expected(
    metric="MaxBoxAccV2",
    split="test",
    value_percent=63.0,
    tolerance_points=2.0,
    normalisation="minmax",
    contours="all",
)


def result(percent: float, **changes: Any) -> dict[str, Any]:
    """An evaluation with one number by another rule besides."""
    entry = {
        "value": percent / 100,
        "threshold_source": "oracle",
        "normalisation": "minmax",
        "contours": "all",
    }
    entries = [{**entry, "value": 0.1, "contours": "largest"}, {**entry, **changes}]
    return {"dataset": "cub", "split": "test", "metrics": {"MaxBoxAccV2": entries}}


@pytest.mark.parametrize(
    ("percent", "verdict"),
    [
        (63.0, "within its tolerance of 2.0 points"),
        (61.0, "within its tolerance of 2.0 points"),
        (60.96, "within its tolerance of 2.0 points"),  # shown as 61.0
        (60.9, "2.1 points below, outside its tolerance of 2.0 points"),
        (65.0, "within its tolerance of 2.0 points"),
        (70.5, "7.5 points above, outside its tolerance of 2.0 points"),
    ],
)
def test_a_run_is_told_how_near_it_came(percent: float, verdict: str) -> None:
    line = compare(FollowedRecipe("mine", "cub", EXPECTED, ()), result(percent))
    assert line == f"recipe mine: MaxBoxAccV2 {percent:.1f} % on cub test, published 63.0 %: {verdict}"


def test_what_differs_is_not_compared() -> None:
    recipe = FollowedRecipe("mine", "cub", EXPECTED, ())
    assert compare(recipe, result(63)) is not None
    assert compare(recipe, {**result(63), "split": "val"}) is None
    assert compare(recipe, {**result(63), "dataset": "birds"}) is None
    assert compare(recipe, {**result(63), "metrics": {}}) is None
    assert compare(recipe, result(63, normalisation="ivr")) is None
    assert compare(recipe, result(63, threshold_source="val")) is None
    assert compare(FollowedRecipe("mine", "cub", None, ()), result(63)) is None


def test_changed_settings_are_told() -> None:
    recipe = read_recipe("cub-vgg16-cutmix")
    assert recipe_record(recipe, settings(recipe.name))["changed"] == []
    changed = TrainConfig.from_dict({**recipe.train, "epochs": 3, "options": {"alpha": 0.5}})
    record = recipe_record(recipe, changed)
    assert record["changed"] == ["epochs", "options"]
    line = compare(FollowedRecipe("mine", "cub", EXPECTED, tuple(record["changed"])), result(63))
    assert line is not None
    assert line.startswith("recipe mine (with another epochs, options than the recipe's): MaxBoxAccV2 63.0 %")


def test_a_run_keeps_its_recipe_and_is_compared(
    birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = {"metric": "MaxBoxAccV2", "split": "val", "value_percent": 99.0, "tolerance_points": 2.0}
    number |= {"normalisation": "minmax", "contours": "all"}
    held = {"train": {**tiny.SETTINGS, "epochs": 1}, "data": {"name": "birds"}, "expected": number}
    recipe, run = tmp_path / "mine.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(held))
    truth = ["--truth", str(birds / "val_boxes.json")]
    runtime = ["--device", "cpu", "--workers", "0"]
    train = ["train", str(birds), "--out", str(run), *truth, *runtime]
    assert main([*train, "--config", str(recipe), "--seed", "4"]) == 0
    assert "recipe mine (with another seed than the recipe's): MaxBoxAccV2 " in capsys.readouterr().out
    kept = yaml.safe_load((run / "config.yaml").read_text())["data"]["recipe"]
    assert kept == {"name": "mine", "dataset": "birds", "expected": number, "changed": ["seed"]}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "points below, outside its tolerance of 2.0 points" in page
    before = tiny.snapshot(run)
    assert main([*train, "--resume"]) == 0  # nothing is left to do, and the recipe need not be named
    assert "recipe mine (with" in capsys.readouterr().out
    assert tiny.snapshot(run, ["config.yaml", "metrics.json"]) == {
        name: before[name] for name in ("config.yaml", "metrics.json")
    }
    assert main(["evaluate", str(run), str(birds), *truth, *runtime, "--normalisation", "max"]) == 0
    assert "recipe mine" not in capsys.readouterr().out
    assert main(["evaluate", str(run), str(birds), *truth, *runtime]) == 0
    assert "recipe mine (with" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "splits"),
    [("birds", {"val", "test"}), pytest.param("others", {"val"}, marks=pytest.mark.slow)],
)
def test_the_split_of_the_number_is_measured_too(
    name: str, splits: set[str], birds: Path, tmp_path: Path
) -> None:
    number = {"metric": "Top1Cls", "split": "test", "value_percent": 50.0, "tolerance_points": 2.0}
    held = {"train": {**tiny.SETTINGS, "epochs": 1}, "data": {"name": name}}
    held["expected"] = {**number, "normalisation": "minmax"}
    recipe, run = tmp_path / "mine.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(held))
    runtime = ["--device", "cpu", "--workers", "0"]
    assert main(["train", str(birds), "--out", str(run), "--config", str(recipe), *runtime]) == 0
    assert tiny.metrics(run)["evaluations"].keys() == splits
