from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from rfga.engine.config import Normalisation
from rfga.engine.run_folder import RunFolder
from rfga.engine.sources import threshold_sources
from rfga.engine.thresholds import FIXED_THRESHOLDS, parse_threshold, run_threshold
from rfga.geometry.maps import NORMALISATIONS
from rfga.types import UserError

CHOSEN = {"thresholds": {"max": {"largest": {"0.5": 0.17}, "all": {"0.5": 0.2}}}}


def test_every_normalisation_has_a_fixed_threshold() -> None:
    assert set(FIXED_THRESHOLDS) == set(NORMALISATIONS) == set(get_args(Normalisation))
    assert all(0 < value < 1 for value in FIXED_THRESHOLDS.values())


def test_threshold_chosen_on_val_comes_before_the_fixed_one() -> None:
    chosen, fixed = run_threshold(CHOSEN, "max"), run_threshold(CHOSEN, "ivr")
    assert (chosen.value, chosen.source) == (0.17, "val")
    assert (fixed.value, fixed.source) == (FIXED_THRESHOLDS["ivr"], "fixed")


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
