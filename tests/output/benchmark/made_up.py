"""A benchmark.json with made-up numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FEW_SHOT, CENTRE, WHOLE = "few-shot learning baseline", "centre-Gaussian baseline", "whole-image baseline"
BOXES = {"MaxBoxAcc": 0.02, "MaxBoxAccV2": 0.0, "GTKnownLoc": 0.02, "Top1Loc": -0.1}


def cell(
    method: str, backbone: str | None, seed: int | None, values: dict[str, dict[str, float]], **changes: Any
) -> dict[str, Any]:
    """One finished cell; ``values`` are those of metrics, by normalisation."""
    evaluations = {
        how: {"metrics": {metric: [{"value": value}, {"value": 0.01}] for metric, value in found.items()}}
        for how, found in values.items()
    }
    made = {
        "name": f"{method}-{backbone}-seed{seed}",
        "kind": "method",
        "method": method,
        "backbone": backbone,
        "seed": seed,
        "run": f"runs/{method}-{backbone}-seed{seed}",
        "state": "done",
        "reason": None,
        "evaluations": evaluations,
        "weights": 3_500_000,
        "train_seconds": 300.0,
        "evaluate_seconds": 60.0,
    }
    return {**made, **changes}


def benchmark(cells: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The record around cells."""
    record = {
        "dataset": "CUB",
        "data": "some/folder",
        "split": "test",
        "images": 5794,
        "settings": {"epochs": 50, "image_size": 224, "output_stride": 8},
        "normalisations": ["minmax", "ivr"],
        "cells": list(cells),
    }
    return {**record, **changes}


def grid(
    methods: Sequence[str],
    backbones: Sequence[str] = ("wsol_resnet50",),
    seeds: Sequence[int] = (0, 1, 2),
    normalisations: Sequence[str] = ("minmax", "ivr"),
    **changes: Any,
) -> dict[str, Any]:
    """A full grid with baselines, all numbers drawn from one seed."""
    rng = np.random.default_rng(1)
    cells = []
    for backbone in backbones:
        for method in methods:
            level = rng.uniform(0.5, 0.7)
            for seed in seeds:
                values = {
                    how: {
                        **{m: float(level + add + rng.normal(0, 0.012)) for m, add in BOXES.items()},
                        "Top1Cls": float(0.75 + level / 10),
                    }
                    for how in normalisations
                }
                cells.append(cell(method, backbone, seed, values))
        for seed in seeds:
            values = {how: {"MaxBoxAccV2": 0.8 + rng.normal(0, 0.01)} for how in normalisations}
            cells.append(cell(FEW_SHOT, backbone, seed, values, kind="few-shot"))
    for name, value in ((CENTRE, 0.597), (WHOLE, 0.46)):
        values = {
            how: dict.fromkeys(("MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc"), value) for how in normalisations
        }
        cells.append(cell(name, None, None, values, kind="baseline", weights=0, train_seconds=0.0))
    return benchmark(cells, normalisations=list(normalisations), **changes)
