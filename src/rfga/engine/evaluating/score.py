"""Scoring maps of any tool against the benchmark's metadata: the exact metrics, without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rfga.data.truth.metadata import MetadataTruth, read_metadata
from rfga.engine.evaluating.map_files import MapFiles, find_maps, prepared
from rfga.engine.evaluating.options import Policy, ScoreOptions
from rfga.engine.runtime.progress import Meter
from rfga.engine.thresholds.threshold import parse_threshold
from rfga.files import replacing
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.metrics.localization import LocalizationMetrics
from rfga.output.plots import box_accuracy_svg, method_colours, precision_recall_svg
from rfga.types import FloatArray, Truth, UserError

BATCH = 64
SHOWN = 10  # problems named in the sentence of an error


@dataclass(frozen=True)
class Scores:
    """What one pass over the maps gave."""

    result: dict[str, Any]  # in the form of ``--json``
    curves: dict[str, Any]
    problems: tuple[tuple[str, str], ...]  # image id or file name, what is wrong


def score(
    maps: Path,
    metadata: Path,
    masks: Path | None = None,
    options: ScoreOptions | None = None,
) -> Scores:
    """Every metric of score maps on disk in one pass, memory constant in their number.

    Args:
        maps: folder of ``.npy`` or ``.npz``, or one ``.npz``.
        metadata: folder of one split's lists.
        masks: folder that the lists' mask names are relative to.
        options: thresholds, normalisation, what to do with wrong maps.

    Raises:
        UserError: unreadable input, or a wrong map where the policy is "fail".
    """
    options = options or ScoreOptions()
    _check(options)
    given = parse_threshold(options.threshold)
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
        thresholds={} if given is None else {"fixed": given},
    )
    with Meter("scoring", len(lists.image_ids), quiet=options.quiet) as meter:
        for ids, batch in _batches(_good_maps(found, lists.image_ids, options, problems)):
            metrics.update(ids, np.stack(batch), [_known(reader, image_id) for image_id in ids])
            meter.advance(len(ids))
    _stop_at(problems, options.policy)
    if problems and not metrics.update_called:
        name, reason = problems[0]
        raise UserError(f"expected a good map at least, found none ({name}: {reason}): give the maps' folder")
    head = {"dataset": metadata.resolve().parent.name, "split": metadata.resolve().name}
    return Scores({**head, **metrics.compute()}, metrics.curves(), tuple(problems))


def write_curves(scores: Scores, folder: Path) -> list[Path]:
    """Box accuracy over thresholds for both rules, precision over recall: what there is, as SVG files."""
    name = str(scores.result["dataset"])
    colours = method_colours([name])
    pictures = {}
    for rule in scores.curves.get("box_accuracy", {}):
        pictures[f"box-accuracy-{rule}.svg"] = box_accuracy_svg({name: scores.curves}, rule, colours)
    if "precision" in scores.curves:
        pictures["precision-recall.svg"] = precision_recall_svg({name: scores.curves}, colours)
    for file, svg in pictures.items():
        with replacing(folder / file) as temporary:
            temporary.write_text(svg, encoding="utf-8")
    return [folder / file for file in pictures]


def _good_maps(
    found: MapFiles, image_ids: tuple[str, ...], options: ScoreOptions, problems: list[tuple[str, str]]
) -> Iterator[tuple[str, FloatArray]]:
    """Maps ready for the metrics; wrong ones are noted, and left out or emptied as the policy says."""
    empty = np.zeros(EVAL_SIZE_HW)
    for image_id, raw in found.read(image_ids):
        try:
            if isinstance(raw, UserError):
                raise raw
            yield image_id, prepared(raw, options.normalisation)
        except UserError as error:
            problems.append((image_id, str(error)))
            if options.policy == "zero":
                yield image_id, empty
    if options.policy == "zero":
        yield from ((image_id, empty) for image_id in found.missing(image_ids))


def _batches(maps: Iterable[tuple[str, FloatArray]]) -> Iterator[tuple[list[str], list[FloatArray]]]:
    iterator = iter(maps)
    while batch := list(islice(iterator, BATCH)):
        yield [image_id for image_id, _ in batch], [score_map for _, score_map in batch]


def _check(options: ScoreOptions) -> None:
    if not 0 < options.step <= 0.5:
        raise UserError(f"expected --step above 0 and at most 0.5, found {options.step}: give 0.001 or 0.01")


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
