"""Classes that are empty, small, overwhelming, or missing in a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rfga.data.checks.findings import Finding
from rfga.types import IntArray

FEW_PHOTOGRAPHS = 20
"""Fewer photographs than this teach a class badly, even with a pretrained network."""

DOMINATES = 0.5
"""A larger share of train than this is most of what a network of three classes and more sees."""

IMBALANCE = 10
"""Largest class over smallest one."""


def class_findings(classes: Sequence[str], counts: Mapping[str, IntArray]) -> Iterator[Finding]:
    """What is odd about the number of photographs a class has.

    Args:
        classes: names.
        counts: by split, (K,) photographs a class; splits without any may be left out.

    Example:
        >>> counts = {"train": np.array([30, 30]), "val": np.array([9, 0])}
        >>> [finding.kind for finding in class_findings(["cat", "dog"], counts)]
        ['class_not_in_split']
    """
    taught = "train" if "train" in counts else next(iter(counts), None)
    if taught is None:
        return
    own = counts[taught]
    everywhere = np.sum(list(counts.values()), axis=0)
    if (own > 0).sum() < 2:
        named = ", ".join(name for name, count in zip(classes, own, strict=True) if count) or "none"
        yield Finding(
            "one_class",
            taught,
            f"expected photographs of two classes or more for most methods, found {named}: rfga build learns "
            "what its photographs have in common; for others add a class folder",
        )
    for label, name in enumerate(classes):
        if not everywhere[label]:
            yield Finding(
                "empty_class", f"{taught}/{name}", "expected photographs, found none: fill or remove it"
            )
        elif not own[label]:
            found = ", ".join(split for split in counts if counts[split][label])
            yield Finding(
                "class_not_in_train",
                name,
                f"expected every class in {taught}, found this one in {found} alone: rename or remove it",
            )
    yield from _sizes(classes, own, taught)
    for split, there in counts.items():
        missing = [name for label, name in enumerate(classes) if own[label] and not there[label]]
        if missing:
            yield Finding(
                "class_not_in_split",
                split,
                f"expected every class of {taught}, found none of {_listed(missing)}: they are not measured",
            )


def _sizes(classes: Sequence[str], own: IntArray, split: str) -> Iterator[Finding]:
    for name, count in zip(classes, own.tolist(), strict=True):
        if 0 < count < FEW_PHOTOGRAPHS:
            yield Finding(
                "few_photographs",
                f"{split}/{name}",
                f"expected at least {FEW_PHOTOGRAPHS} photographs a class, found {count}: add some",
            )
    there = np.flatnonzero(own)
    if len(there) < 2:
        return
    largest, smallest = int(there[own[there].argmax()]), int(there[own[there].argmin()])
    share = own[largest] / own.sum()
    if len(there) > 2 and share > DOMINATES:
        yield Finding(
            "class_dominates",
            f"{split}/{classes[largest]}",
            f"expected no class with more than half of the photographs, found {own[largest]} of {own.sum()} "
            f"({share:.0%}): add photographs of the others",
        )
    if own[largest] >= IMBALANCE * own[smallest]:
        yield Finding(
            "imbalance",
            f"{split}/{classes[smallest]}",
            f"expected less than {IMBALANCE} times as many photographs of any other class, found "
            f"{own[smallest]} here and {own[largest]} of {classes[largest]}: add photographs of this one",
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
