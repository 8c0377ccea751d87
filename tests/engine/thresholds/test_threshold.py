from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from rfga.engine.run.config import Normalisation
from rfga.engine.run.folder import RunFolder
from rfga.engine.thresholds.threshold import (
    FIXED_THRESHOLDS,
    Threshold,
    parse_threshold,
    run_threshold,
    threshold_sentence,
    threshold_sources,
)
from rfga.geometry.maps import NORMALISATIONS
from rfga.types import UserError

CHOSEN = {"thresholds": {"max": {"largest": {"0.5": 0.17}, "all": {"0.5": 0.2}}}}
ESTIMATED = {"label_free": {"max": {"threshold": 0.23}, "pas": {"threshold": 0.31}}}


def test_every_normalisation_has_a_fixed_threshold() -> None:
    assert set(FIXED_THRESHOLDS) == set(NORMALISATIONS) == set(get_args(Normalisation))
    assert all(0 < value < 1 for value in FIXED_THRESHOLDS.values())


def test_chosen_on_val_comes_before_estimated_before_fixed() -> None:
    held = {**CHOSEN, **ESTIMATED}
    assert run_threshold(held, "max") == Threshold(0.17, "val")
    assert run_threshold(held, "pas") == run_threshold(ESTIMATED, "pas") == Threshold(0.31, "label-free")
    assert run_threshold(held, "ivr") == Threshold(FIXED_THRESHOLDS["ivr"], "fixed")
    assert run_threshold(held, "pas", "gradcam") == Threshold(FIXED_THRESHOLDS["pas"], "fixed")
    assert run_threshold({"posthoc": {"gradcam": ESTIMATED}}, "pas", "gradcam").source == "label-free"


@pytest.mark.parametrize("source", ["val", "label-free", "fixed"])
def test_sentence_names_the_source(source: str) -> None:
    assert f"0.234 of each map's maximum ({source}: " in threshold_sentence(Threshold(0.2341, source))
    assert "given by --threshold" in threshold_sentence(Threshold(0.2, "fixed"), given=True)


@pytest.mark.parametrize("text", ["1", "-0.1", "high", "nan", ""])
def test_threshold_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="expected --threshold auto or a number from 0 to below 1, found"):
        parse_threshold(text)


def test_sources_of_an_evaluation(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    fixed = FIXED_THRESHOLDS["max"]
    assert threshold_sources(run, "test", "max", None) == {"fixed": fixed}
    run.update_metrics(**CHOSEN)
    assert threshold_sources(run, "test", "max", None) == {"val": CHOSEN["thresholds"]["max"], "fixed": fixed}
    assert threshold_sources(run, "val", "max", 0.4) == {"fixed": 0.4}  # the oracle of val is its choice
    run.update_metrics(**ESTIMATED)
    beside = threshold_sources(run, "val", "max", 0.4)
    assert list(beside.items()) == [("label-free", 0.23), ("fixed", 0.4)]  # in the order of reports
