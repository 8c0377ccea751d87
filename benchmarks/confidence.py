"""What the confidence of boxes is worth: how well it ranks them, and how much looking it saves.

    python benchmarks/confidence.py --case objects10 val_boxes.json run --case pets3 val_masks other_run ...

A case is a data folder, the truth of its val split, and a run trained on it. Prints Markdown. With
`--evidence FILE` what was seen of the boxes is kept, so that a second call needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.transforms import eval_transform
from rfga.engine.localizing.confidence import RIGHT_IOU, Confidence, fit_confidence
from rfga.engine.localizing.confidence_fit import Examples, examples, joined, known_samples, true_boxes
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.second_look import SECOND_LOOK
from rfga.geometry.box_evidence import EVIDENCE, find_boxes
from rfga.geometry.boxes import iou
from rfga.types import FloatArray, Sample, Truth

BoolArray = NDArray[np.bool_]

BATCH = 25
GOAL = 0.9  # of the boxes right, after a person has looked at the worst
SPLITS = 200  # random halves beside the one by file names


@dataclass(frozen=True, eq=False)
class Case:
    """The boxes of one run on the val split it was not trained on."""

    data: str
    run: str
    threshold: float
    held: Examples
    flips: FloatArray  # (n,) IoU of each box with that of the mirrored photograph
    several: FloatArray  # (n,) 1 where the warning is given
    objects: FloatArray  # (n,) number of true boxes


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs=3, action="append", required=True, metavar=("DATA", "TRUTH", "RUN"))
    parser.add_argument("--evidence", type=Path, help="file to keep, or to take, what was seen of the boxes")
    asked = parser.parse_args()
    if asked.evidence and asked.evidence.is_file():
        cases = [_case(value) for value in json.loads(asked.evidence.read_text())]
    else:
        cases = [look(*(Path(value) for value in case)) for case in asked.case]
    if asked.evidence:
        asked.evidence.write_text(json.dumps([_plain(case) for case in cases]))
    print_ranks(cases)
    print_halves(cases)
    print_transfer(cases)
    print_several(cases)
    print("\nfitted on all cases, without telling classes apart:\n")
    fitted = joined([case.held for case in cases]).fit("default", tell_classes=False)
    print(json.dumps(fitted.to_dict()))


def look(data: Path, truth: Path, run: Path) -> Case:
    """Everything that is known of the boxes of a run."""
    dataset = open_dataset(str(data), truth if truth.exists() else data / truth, "val")
    localizer = Localizer.load(run, device="cpu")
    known = list(known_samples(dataset, "val", 10**9))
    parts, more = [], []
    for start in range(0, len(known), BATCH):
        batch = known[start : start + BATCH]
        parts.append(examples(localizer, dataset, batch))
        assert len(parts[-1].ious) == len(batch)  # every photograph has a box
        more.append(mirrored(localizer, dataset, batch))
    flips, several, objects = np.concatenate(more).T
    return Case(data.name, run.name, localizer.threshold.value, joined(parts), flips, several, objects)


def mirrored(localizer: Localizer, dataset: Dataset, known: list[tuple[Sample, Truth]]) -> FloatArray:
    """IoU with the mirrored photograph's box, the warning, and the number of true boxes: (n, 3)."""
    size, cut = localizer.config.image_size, localizer.threshold.value
    pixels = torch.stack([eval_transform(dataset.image(sample), size) for sample, _ in known])
    labels = torch.tensor([sample.label for sample, _ in known])
    maps = localizer.score(pixels, labels).maps
    back = np.ascontiguousarray(localizer.score(pixels.flip(-1), labels).maps[:, :, ::-1])
    rows = []
    for row, (_, truth) in enumerate(known):
        found, other = find_boxes(maps[row], cut), find_boxes(back[row], cut)
        agreement = iou(found.boxes, other.boxes).max(initial=0.0)
        rows.append((agreement, found.several, len(true_boxes(truth))))
    return np.array(rows, dtype=np.float64)


def rank(values: FloatArray, ious: FloatArray) -> float:
    """Spearman's correlation; equal values share their mean rank."""
    ranks = [np.unique(v, return_inverse=True, return_counts=True)[1:] for v in (values, ious)]
    a, b = ((np.cumsum(counts) - (counts + 1) / 2)[inverse] for inverse, counts in ranks)
    if not (a.std() and b.std()):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def looks_needed(confidences: FloatArray, right: FloatArray) -> int:
    """How many boxes, worst first, a person corrects until GOAL of all are right."""
    order = np.argsort(confidences, kind="stable")
    wrong_left = (1 - right).sum() - np.concatenate([[0], np.cumsum(1 - right[order])])
    return int(np.argmax(wrong_left <= (1 - GOAL) * len(right) + 1e-9))


def first_half(held: Examples) -> BoolArray:
    """Which boxes models are fitted on: those whose file name's hash is even."""
    return np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 0 for name in held.image_ids])


def scores(models: Confidence, held: Examples, *, looked: bool) -> FloatArray:
    """The confidence of every box."""
    ones, found = np.ones(1), []
    for row, label in zip(held.evidence, held.labels, strict=True):
        plain, looks = row[None, : len(EVIDENCE)], row[None, len(EVIDENCE) :]
        found.append(models.of_boxes(plain, looks if looked else None, ones, int(label))[0])
    return np.array(found)


def print_ranks(cases: list[Case]) -> None:
    """Every single evidence, on all boxes."""
    print("\nSpearman's correlation with IoU, all boxes\n")
    print("| evidence | " + " | ".join(f"{c.run} ({c.threshold:.3g})" for c in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for column, name in enumerate(EVIDENCE + SECOND_LOOK):
        found = [rank(case.held.evidence[:, column], case.held.ious) for case in cases]
        print(f"| {name} | " + " | ".join(f"{value:+.2f}" for value in found) + " |")
    found = [rank(case.flips, case.held.ious) for case in cases]
    print("| agreement when mirrored | " + " | ".join(f"{value:+.2f}" for value in found) + " |")
    found = [float((case.held.ious >= RIGHT_IOU).mean()) for case in cases]
    print("| right at IoU 0.5 | " + " | ".join(f"{100 * value:.1f} %" for value in found) + " |")


def contenders(case: Case, fit_on: BoolArray) -> dict[str, FloatArray]:
    """Confidences of all boxes by several models fitted on some of them."""
    held, rows = case.held, np.flatnonzero(fit_on).tolist()
    plain = held.rows(rows).fit("", tell_classes=False)
    classes = held.rows(rows).fit("")
    both = np.concatenate([held.evidence[:, : len(EVIDENCE)], case.flips[:, None]], axis=1)
    mirrored = fit_confidence(both[rows], held.ious[rows], (*EVIDENCE, "mirrored"))
    return {
        "class probability": held.evidence[:, 0],
        "fitted": scores(plain, held, looked=False),
        "fitted, with agreement when mirrored": mirrored(both),
        "fitted, second look": scores(plain, held, looked=True),
        "fitted with classes": scores(classes, held, looked=False),
        "fitted with classes, second look": scores(classes, held, looked=True),
    }


def print_halves(cases: list[Case]) -> None:
    """Models fitted on one half of the photographs, judged on the other."""
    print(
        "\nFitted on the half of the photographs whose name's hash is even, judged on the other; in brackets "
        f"the mean of {SPLITS} random halves\n"
    )
    print("| run | confidence | correlation | to look at | of |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for case in cases:
        halves = [first_half(case.held)] + [rng.random(len(case.held.ious)) < 0.5 for _ in range(SPLITS)]
        ious, right = case.held.ious, (case.held.ious >= RIGHT_IOU).astype(float)
        tried: dict[str, list[tuple[float, int, int]]] = {}
        for half in halves:
            rest = ~half
            made = contenders(case, half) | {"in random order": rng.random(len(ious)), "truth itself": ious}
            for name, values in made.items():
                correlation, needed = rank(values[rest], ious[rest]), looks_needed(values[rest], right[rest])
                tried.setdefault(name, []).append((correlation, needed, int(rest.sum())))
        for name, ((correlation, needed, count), *random) in tried.items():
            mean = np.mean([found[0] for found in random])
            share = np.mean([found[1] / found[2] for found in random])
            print(
                f"| {case.run} | {name} | {correlation:+.2f} ({mean:+.2f}) | {needed} ({100 * share:.0f} %) "
                f"| {count} |"
            )


def print_transfer(cases: list[Case]) -> None:
    """Models fitted on all runs of one data set, judged on those of another."""
    print("\nFitted on all boxes of one data set, judged on all of another\n")
    print("| fitted on | judged on | second look | correlation | to look at | mean confidence | right |")
    print("|---|---|---|---|---|---|---|")
    for data in dict.fromkeys(case.data for case in cases):
        models = joined([case.held for case in cases if case.data == data]).fit("", tell_classes=False)
        for case in cases:
            for looked in (False, True) if case.data != data else ():
                found, ious = scores(models, case.held, looked=looked), case.held.ious
                right = (ious >= RIGHT_IOU).astype(float)
                share = looks_needed(found, right) / len(ious)
                print(
                    f"| {data} | {case.run} | {'yes' if looked else 'no'} | {rank(found, ious):+.2f} "
                    f"| {100 * share:.0f} % | {found.mean():.2f} | {right.mean():.2f} |"
                )


def print_several(cases: list[Case]) -> None:
    """How often the warning of several objects is right."""
    print("\nThe warning of several objects\n")
    print("| run | photographs | with several boxes | warned of | right | of all with several |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        true, warned = case.objects > 1, case.several > 0
        both = int((true & warned).sum())
        shares = [f"{100 * both / n:.0f} %" if n else "-" for n in (warned.sum(), true.sum())]
        print(f"| {case.run} | {len(true)} | {true.sum()} | {warned.sum()} | {shares[0]} | {shares[1]} |")


def _plain(case: Case) -> dict[str, Any]:
    held = case.held
    return {
        **{name: getattr(case, name) for name in ("data", "run", "threshold")},
        **{name: getattr(case, name).tolist() for name in ("flips", "several", "objects")},
        "held": [list(held.image_ids), held.labels.tolist(), held.evidence.tolist(), held.ious.tolist()],
    }


def _case(value: dict[str, Any]) -> Case:
    ids, labels, evidence, ious = value["held"]
    held = Examples(tuple(ids), np.array(labels), np.array(evidence), np.array(ious))
    arrays = {name: np.array(value[name]) for name in ("flips", "several", "objects")}
    return Case(value["data"], value["run"], value["threshold"], held, **arrays)


if __name__ == "__main__":
    main()
