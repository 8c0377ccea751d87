from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rfga.engine.ablation.plan import AblationCommand, make_ablation_plan
from rfga.engine.ablation.variants import COMMON_SCALE, FULL, MECHANISMS, all_variants, chosen_variants
from rfga.engine.run.config import ESTIMATED
from rfga.engine.run.options import options_of
from rfga.methods.rfga import ResidualFineGrainedAttention
from rfga.nn.rfga import CALIBRATIONS, EXPANSIONS, GATES, VIEWS
from rfga.types import UserError

DEFAULTS = {option.name: option.default for option in options_of(ResidualFineGrainedAttention)}


def tried(option: str) -> set[Any]:
    """Every value of an option, that of the full layer included."""
    return {v.options[option] for v in all_variants() if option in v.options} | {DEFAULTS[option]}


def test_every_form_of_every_mechanism_is_there() -> None:
    subsets = {"+".join(s) for n in (1, 2, 3) for s in combinations(VIEWS, n)}
    assert len(subsets) == 7
    assert tried("views") == subsets
    assert tried("expansion") == set(EXPANSIONS)
    assert tried("calibration") == set(CALIBRATIONS)
    assert tried("gate") == set(GATES)
    assert tried("kernel_size") == {1, 3, 5, 7}
    assert tried("light") == {True, False}
    assert tried("position") == {-1, -2, -3}
    # A mechanism that the layer gains later has to be tried too.
    assert {option for v in all_variants() for option in v.options} == set(DEFAULTS)
    assert [v.method for v in all_variants()].count("cam") == 1


@pytest.mark.parametrize("main", ESTIMATED)
def test_maps_are_read_in_every_other_way(main: str) -> None:
    readings = {v.normalisation for v in all_variants(main) if v.trained_as == FULL and v.name != FULL}
    assert readings == {*ESTIMATED, COMMON_SCALE} - {main}


def test_each_differs_from_the_full_layer_in_one_thing() -> None:
    full, *others = all_variants()
    assert (full.name, full.method, full.options) == (FULL, "rfga", {})
    assert len({v.name for v in others}) == len(others)
    for variant in others:
        differing = [name for name, value in variant.options.items() if value != DEFAULTS[name]]
        changes = len(differing) + (variant.method != full.method) + (variant.normalisation is not None)
        assert changes == 1, variant
        assert len(differing) == len(variant.options)
    assert list(dict.fromkeys(v.mechanism for v in others)) == list(MECHANISMS)


def test_chosen_mechanisms_come_with_the_full_layer() -> None:
    assert chosen_variants([]) == all_variants()
    assert [v.name for v in chosen_variants(["kernel"])] == [
        FULL,
        "kernel_size=1",
        "kernel_size=5",
        "kernel_size=7",
    ]
    with pytest.raises(UserError, match=r"expected --only out of layer, views, .*, found 'heads'"):
        chosen_variants(["views", "heads"])


def test_the_foreground_on_top_needs_the_whole_network() -> None:
    asked: dict[str, Any] = {"only": ["layer"], "settings": {"foreground": True}}
    with pytest.raises(UserError, match="expected --fine-tune with --foreground"):
        make_ablation_plan(AblationCommand("birds", Path("out"), **asked))
    plan = make_ablation_plan(AblationCommand("birds", Path("out"), fine_tune=True, **asked))
    assert [(task.method, task.settings["foreground"]) for task in plan.tasks] == [
        ("rfga", True),
        ("cam", True),
    ]
