"""An ablation.json with made-up numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rfga.engine.ablation.variants import FULL, MECHANISMS, all_variants

METRICS = {"MaxBoxAccV2": 0.57, "GTKnownLoc": 0.61, "Top1Cls": 0.96}


def number(values: list[float], difference: tuple[list[float], float] | None = None) -> dict[str, Any]:
    """A metric of a variant; ``difference`` has its values and half the length of its interval."""
    seeds = list(range(len(values)))
    made: dict[str, Any] = {"seeds": seeds, "values": values, "mean": float(np.mean(values))}
    if difference is not None:
        apart, half = difference
        mean = float(np.mean(apart))
        made["difference"] = {
            "seeds": seeds,
            "values": apart,
            "mean": mean,
            "interval": [mean - half, mean + half],
        }
    return made


def variant(name: str, mechanism: str, metrics: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One variant of the record."""
    seeds: list[int] = next((found["seeds"] for found in metrics.values()), [])
    own = {"name": name, "mechanism": mechanism, "metrics": metrics, "seeds": seeds}
    return {**own, "seconds": 62.0, "weights": 9_846_026, "remarks": [], **changes}


def record(variants: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The record around variants."""
    made = {
        "dataset": "objects10",
        "split": "val",
        "images": 250,
        "settings": {"freeze_backbone": True, "epochs": 3},
        "normalisations": ["minmax", "ivr"],
        "mechanisms": MECHANISMS,
        "variants": variants,
        "cells": [],
    }
    return {**made, **changes}


def whole(seeds: int = 3) -> dict[str, Any]:
    """Every variant, its numbers drawn from one seed; positions are not possible."""
    rng = np.random.default_rng(1)
    level = {
        metric: [value + rng.normal(0, 0.002) for _ in range(seeds)] for metric, value in METRICS.items()
    }
    variants = []
    for held in all_variants():
        if held.earlier_stages:
            reason = ["not possible: the features before the last stage are needed"]
            variants.append(
                variant(held.name, held.mechanism, {}, seconds=None, weights=None, remarks=reason)
            )
            continue
        effect, metrics = rng.normal(0, 0.01), {}
        for metric, full in level.items():
            apart = [float(effect + rng.normal(0, 0.002)) for _ in full]
            ours = [float(a + b) for a, b in zip(full, apart, strict=True)]
            metrics[metric] = number(full) if held.name == FULL else number(ours, (apart, 0.008))
        variants.append(variant(held.name, held.mechanism, metrics))
    return record(variants)
