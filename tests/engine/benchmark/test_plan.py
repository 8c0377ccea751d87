from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rfga.engine.benchmark.plan import BenchmarkCommand, Plan, make_plan
from rfga.types import UserError


def plan(**asked: Any) -> Plan:
    return make_plan(
        BenchmarkCommand(**{"data": "birds", "out": Path("out"), "methods": ["cam", "rfga"], **asked})
    )


def options(**asked: Any) -> dict[str, dict[str, Any]]:
    return plan(**asked).options


def test_grid_is_methods_times_backbones_times_seeds_with_baselines() -> None:
    made = plan(backbones=["a", "b"], seeds=["1", 2, "1"], normalisations=["minmax", " ivr"])
    kinds = [task.kind for task in made.tasks]
    assert [kinds.count(kind) for kind in ("baseline", "few-shot", "method")] == [2, 4, 8]
    cells = [task for task in made.tasks if task.kind == "method"]
    assert len({task.name for task in made.tasks}) == len(made.tasks)
    # One seed of all methods comes before the next.
    assert [(t.method, t.backbone, t.seed) for t in cells[:3]] == [
        ("cam", "a", 1),
        ("rfga", "a", 1),
        ("cam", "a", 2),
    ]
    assert all(task.normalisations == ("minmax", "ivr") for task in made.tasks)
    assert cells[1].settings["method"] == "rfga"
    assert cells[1].settings["backbone"] == "a"
    assert not any(task.kind == "few-shot" for task in plan(few_shot=False).tasks)


def test_all_cells_share_their_settings() -> None:
    made = plan(settings={"epochs": "3", "image_size": 96}, few_shot_epochs=7, seeds=[4, 5])
    own = ("method", "backbone", "seed", "options", "epochs")
    shared = [
        {k: v for k, v in t.settings.items() if k not in own} for t in made.tasks if t.kind != "baseline"
    ]
    assert all(settings == shared[0] for settings in shared)
    assert shared[0]["image_size"] == 96
    epochs = {task.kind: task.settings["epochs"] for task in made.tasks if task.kind != "baseline"}
    assert epochs == {"method": 3, "few-shot": 7}


def test_options_of_all_and_of_one() -> None:
    both = options(methods=["rfga", "cam", "acol"], options={"rfga.light": "true", "erase_threshold": "0.6"})
    assert both["rfga"]["light"] is True
    assert both["acol"]["erase_threshold"] == 0.6
    assert both["cam"] == {}
    before = options(options={"kernel_size": "5", "rfga.kernel_size": "7"})
    assert before["rfga"]["kernel_size"] == 7


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"methods": ["cams"]}, "expected --methods out of cam, "),
        (
            {"normalisations": ["sum"]},
            "expected --normalisations out of minmax, max, pas, ivr, none, found 'sum'",
        ),
        ({"seeds": ["one"]}, "expected --seeds as whole numbers"),
        ({"settings": {"epochs": 0}}, "expected epochs at least 1"),
        ({"settings": {"epoch": 2}}, "epoch: correct or remove it"),
        ({"few_shot_epochs": 0}, "expected epochs at least 1"),
        ({"options": {"wide": 1}}, "expected as --set one of rfga.position, "),
        ({"options": {"cam.light": True}}, "found cam.light: correct or remove it"),
        ({"options": {"adl.gamma": 0.8}}, "expected --set METHOD.KEY of a method out of cam, rfga"),
        ({"options": {"rfga.light": "maybe"}}, "option light to be bool, found 'maybe'"),
        ({"methods": ["foreground+foreground"]}, "off for the method foreground, which has it already"),
        ({"split": "all"}, "expected a split of train, val, test"),
        ({"recipe": Path("lost.yaml")}, "found lost.yaml"),
    ],
)
def test_what_no_cell_could_work_with_is_refused_at_once(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        plan(**asked)
    assert said in str(error.value)


def test_recipe_gives_grid_and_settings_that_flags_override(tmp_path: Path) -> None:
    held = {
        "methods": ["rfga", "cam"],
        "backbones": ["resnet18"],
        "seeds": [3, 4],
        "normalisations": ["ivr"],
        "epochs": 2,
        "lr": 0.5,
        "options": {"rfga.light": True},
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(held))
    made = plan(methods=(), recipe=tmp_path / "grid.yaml", settings={"epochs": 4}, seeds=[9])
    assert (made.methods, made.backbones, made.seeds) == (("rfga", "cam"), ("resnet18",), (9,))
    assert (made.normalisations, made.settings["epochs"], made.settings["lr"]) == (("ivr",), 4, 0.5)
    assert made.options["rfga"]["light"] is True


def test_recipe_of_one_run_lends_its_settings_and_its_options_to_that_method_alone(tmp_path: Path) -> None:
    held = {"method": "rfga", "backbone": "resnet18", "seed": 5, "normalisation": "ivr", "epochs": 2}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**held, "options": {"gate": "softmax"}}))
    made = plan(recipe=tmp_path / "run.yaml")
    assert (made.backbones, made.seeds, made.normalisations) == (("resnet18",), (5,), ("ivr",))
    assert made.options["rfga"]["gate"] == "softmax"
    assert (
        plan(recipe=tmp_path / "run.yaml", options={"gate": "sigmoid"}).options["rfga"]["gate"] == "sigmoid"
    )
    alone = plan(methods=["cam"], recipe=tmp_path / "run.yaml")
    assert alone.options == {"cam": {}}
    assert plan(recipe="cub-resnet50-cam").backbones == ("wsol_resnet50",)


def test_truth_of_val_is_that_of_the_reported_split_where_it_is_val() -> None:
    of_val = plan(split="train-fullsup", truth=Path("boxes.json")).tasks[0].source
    assert (of_val.split, of_val.val_truth) == ("val", Path("boxes.json"))
    of_test = plan(split="test", truth=Path("boxes.json"), val_truth=Path("val.json")).tasks[0].source
    assert of_test.record() == {
        "data": "birds",
        "split": "test",
        "truth": "boxes.json",
        "val_truth": "val.json",
    }


def test_a_method_stands_beside_itself_with_the_foreground_on_top() -> None:
    made = plan(methods=["cam", "rfga+foreground", "rfga"], options={"rfga.light": "true"}, few_shot=False)
    cells = {task.method: task for task in made.tasks if task.kind == "method"}
    assert [cells[row].name for row in ("rfga+foreground", "rfga")] == [
        "rfga+foreground-resnet50-seed0",
        "rfga-resnet50-seed0",
    ]
    settings = {row: task.settings for row, task in cells.items()}
    assert {row: (own["method"], own["foreground"]) for row, own in settings.items()} == {
        "cam": ("cam", False),
        "rfga+foreground": ("rfga", True),
        "rfga": ("rfga", False),
    }
    assert settings["rfga+foreground"]["options"]["light"] is settings["rfga"]["options"]["light"] is True
