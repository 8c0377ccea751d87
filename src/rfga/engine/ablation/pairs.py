"""Each variant beside the full layer: mean and spread over seeds, differences of the same seed and images."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from rfga.engine.ablation.maps import SHOWN
from rfga.engine.ablation.plan import REPLICATES
from rfga.engine.ablation.variants import FULL, MECHANISMS, Variant, all_variants
from rfga.engine.benchmark.schedule import DONE
from rfga.metrics.replicates import paired_interval
from rfga.output.benchmark.table import remarks
from rfga.types import FloatArray

Cell = Mapping[str, Any]


def summary(held: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """What an ablation's record says of each variant, over all its seeds.

    Args:
        held: with ``cells`` and ``normalisations``, the main one first.
        out: the grid's folder, where the replicates are.

    Returns:
        ``mechanisms`` (name -> what it decides) and ``variants``, in the order of tables. A variant has
        ``metrics`` (name -> ``values`` of ``seeds``, ``mean``, ``deviation``), and each of these but the full
        layer's a ``difference``: ``values`` of those ``seeds`` that both have, ``mean``, ``deviation``, and
        the bootstrap ``interval`` of the mean over images. All are fractions of 1.
    """
    main = held["normalisations"][0]
    cells: dict[str, list[Cell]] = {}
    for cell in held["cells"]:
        cells.setdefault(cell["variant"], []).append(cell)
    variants = [variant for variant in all_variants(main) if variant.trained_as in cells]
    replicates = {
        cell["name"]: load_file(path)
        for members in cells.values()
        for cell in members
        if cell["state"] == DONE and (path := out / REPLICATES / f"{cell['name']}.safetensors").is_file()
    }
    readings = {v.name: _Reading(cells[v.trained_as], v.normalisation or main, replicates) for v in variants}
    full = readings.get(FULL, _Reading((), main, replicates))
    return {
        "mechanisms": MECHANISMS,
        "variants": [_line(variant, readings[variant.name], full) for variant in variants],
    }


class _Reading:
    """The finished cells of a variant under one normalisation, and their replicates by metric and seed."""

    def __init__(
        self, cells: Sequence[Cell], normalisation: str, replicates: Mapping[str, Mapping[str, FloatArray]]
    ) -> None:
        self.cells = cells
        self.done = [c for c in cells if c["state"] == DONE and normalisation in c["evaluations"]]
        self.replicates = {
            metric: {
                cell["seed"]: own
                for cell in self.done
                if (own := replicates.get(cell["name"], {}).get(f"{normalisation}/{metric}")) is not None
            }
            for metric in SHOWN
        }

    def equals(self, other: _Reading, metric: str) -> bool:
        """Whether both have the same values, replicates included."""
        ours, theirs = self.replicates[metric], other.replicates[metric]
        return ours.keys() == theirs.keys() and all(np.array_equal(ours[s], theirs[s]) for s in ours)


def _line(variant: Variant, own: _Reading, full: _Reading) -> dict[str, Any]:
    seconds = [cell["train_seconds"] for cell in own.done]
    trained = variant.normalisation is None  # elsewhere nothing was, and no time was spent
    metrics = dict(_metrics(own, full))
    if not trained:  # what does not depend on how maps are read says nothing of it
        metrics = {m: found for m, found in metrics.items() if not own.equals(full, m)}
    return {
        "name": variant.name,
        "mechanism": variant.mechanism,
        "method": variant.method,
        "options": dict(variant.options),
        "seeds": sorted(cell["seed"] for cell in own.done),
        "weights": own.done[0]["weights"] if own.done else None,
        "seconds": statistics.fmean(seconds) if seconds and trained else None,
        "remarks": list(dict.fromkeys(remarks(own.cells))) if trained else [],
        "metrics": metrics,
    }


def _metrics(own: _Reading, full: _Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    for metric in SHOWN:
        samples, marks = own.replicates[metric], full.replicates[metric]
        if not samples:
            continue
        found = _spread({seed: float(values[0]) for seed, values in samples.items()})
        seeds = sorted(samples.keys() & marks.keys())
        if own is not full and seeds:
            difference = _spread({seed: float(samples[seed][0] - marks[seed][0]) for seed in seeds})
            ends = paired_interval([samples[seed] for seed in seeds], [marks[seed] for seed in seeds])
            found["difference"] = {**difference, "interval": list(ends)}
        yield metric, found


def _spread(values: Mapping[int, float]) -> dict[str, Any]:
    of_seeds = [values[seed] for seed in sorted(values)]
    return {
        "seeds": sorted(values),
        "values": of_seeds,
        "mean": float(np.mean(of_seeds)),
        "deviation": statistics.stdev(of_seeds) if len(of_seeds) > 1 else None,
    }
