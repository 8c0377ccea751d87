"""Scoring maps of any tool against the benchmark's metadata: the exact metrics, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rfga.data.metadata import MetadataTruth, read_metadata
from rfga.engine.map_files import MapFiles, find_maps, prepared
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.metrics.localization import LocalizationMetrics
from rfga.types import FloatArray, Truth, UserError

Policy = Literal["fail", "skip", "zero"]
BATCH = 64
SHOWN = 10  # problems named in the sentence of an error


@dataclass(frozen=True)
class ScoreOptions:
    """How maps are scored.

    Args:
        step: distance of the thresholds.
        normalisation: of maps smaller than 224 x 224, which are raw.
        policy: what a missing or wrong map does: end the run, be left out, or count as an empty map.
        thresholds: further threshold sources beside the oracle.
    """

    step: float = 0.001
    normalisation: str = "minmax"
    policy: Policy = "fail"
    thresholds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Scores:
    """What one pass over the maps gave."""

    result: dict[str, Any]  # the JSON of contracts
    curves: dict[str, Any]
    problems: tuple[tuple[str, str], ...]  # image id or file name, what is wrong


def score(
    maps: Path,
    metadata: Path,
    masks: Path | None = None,
    options: ScoreOptions | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> Scores:
    """Every metric of score maps on disk in one pass, memory constant in their number.

    Args:
        maps: folder of ``.npy`` or ``.npz``, or one ``.npz``.
        metadata: folder of one split's lists.
        masks: folder that the lists' mask names are relative to.
        options: thresholds, normalisation, what to do with wrong maps.
        progress: wraps an iterable and its length, to show a bar.

    Raises:
        UserError: unreadable input, or a wrong map where the policy is "fail".
    """
    options = options or ScoreOptions()
    lists = read_metadata(metadata)
    reader = MetadataTruth(lists, masks)
    found = find_maps(maps, lists.image_ids)
    problems = [(image_id, "its map is missing") for image_id in found.missing(lists.image_ids)]
    problems += [(name, "no image of the list has this name") for name in found.extra]
    _stop_at(problems, options.policy)
    metrics = LocalizationMetrics(
        step=options.step,
        num_classes=len(set(lists.labels.values())),
        normalisation=options.normalisation,
        thresholds=dict(options.thresholds),
    )
    missing = found.missing(lists.image_ids) if options.policy == "zero" else []
    for ids, batch in _batches(found, lists.image_ids, missing, options, problems, progress):
        metrics.update(ids, np.stack(batch), [_known(reader, image_id) for image_id in ids])
    _stop_at(problems, options.policy)
    head = {"dataset": metadata.resolve().parent.name, "split": metadata.resolve().name}
    return Scores({**head, **metrics.compute()}, metrics.curves(), tuple(problems))


def _batches(
    found: MapFiles,
    image_ids: tuple[str, ...],
    missing: list[str],
    options: ScoreOptions,
    problems: list[tuple[str, str]],
    progress: Callable[[Iterable[Any], int], Iterable[Any]],
) -> Iterable[tuple[list[str], list[FloatArray]]]:
    """Batches of prepared maps; wrong ones are noted, and left out or emptied as the policy says."""
    ids: list[str] = []
    batch: list[FloatArray] = []
    empty = np.zeros(EVAL_SIZE_HW)
    for image_id, raw in progress(_with_missing(found, image_ids, missing), len(image_ids)):
        score_map: FloatArray | None = None
        try:
            if isinstance(raw, UserError):
                raise raw
            score_map = empty if raw is None else prepared(raw, options.normalisation)
        except UserError as error:
            problems.append((image_id, str(error)))
            score_map = empty if options.policy == "zero" else None
        if score_map is None:
            continue
        ids.append(image_id)
        batch.append(score_map)
        if len(ids) == BATCH:
            yield ids, batch
            ids, batch = [], []
    if ids:
        yield ids, batch


def _with_missing(
    found: MapFiles, image_ids: tuple[str, ...], missing: list[str]
) -> Iterable[tuple[str, Any]]:
    yield from found.read(image_ids)
    yield from ((image_id, None) for image_id in missing)


def _known(reader: MetadataTruth, image_id: str) -> Truth:
    truth = reader.truth(image_id)
    if truth is None:
        raise UserError(f"expected a box or mask of {image_id}, found none: complete localization.txt")
    return truth


def _stop_at(problems: list[tuple[str, str]], policy: Policy) -> None:
    if policy == "fail" and problems:
        listed = "; ".join(f"{name}: {reason}" for name, reason in problems[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(
            f"expected one good map for every image, found {len(problems)} wrong ({listed}{more}): "
            "mend them, or choose --policy skip or zero"
        )
