"""What ``rfga evaluate`` and ``score`` are asked for; flags are made of it, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rfga.engine.run.config import Normalisation

Policy = Literal["fail", "skip", "zero"]


@dataclass(frozen=True)
class EvaluateCommand:
    """How a run is measured.

    Args:
        truth: boxes or masks of the split.
        split: which photographs.
        step: distance of the thresholds.
        threshold: auto, or a number, reported beside the oracle.
        normalisation: of score maps, if not the run's.
        maps_from: post-hoc maps, instead of the method's own.
        batch_size: photographs at a time; a CPU sees four at most.
    """

    truth: Path | None = field(default=None, metadata={"group": "how it is measured"})
    split: str = "val"
    step: float = 0.001
    threshold: str = "auto"
    normalisation: Normalisation | None = field(default=None, metadata={"group": "maps and boxes"})
    maps_from: str | None = None
    batch_size: int = field(default=32, metadata={"group": "machine"})


@dataclass(frozen=True)
class ScoreOptions:
    """How maps are scored.

    Args:
        step: distance of the thresholds.
        normalisation: of maps below 224 x 224.
        threshold: a number, reported beside the oracle.
        policy: for missing, extra and wrong maps: stop, leave them out, or count them as empty.
        quiet: print nothing but errors and results.
    """

    step: float = field(default=0.001, metadata={"group": "how it is measured"})
    normalisation: Normalisation = "minmax"
    threshold: str = "auto"
    policy: Policy = "fail"
    quiet: bool = field(default=True, metadata={"group": "messages"})
