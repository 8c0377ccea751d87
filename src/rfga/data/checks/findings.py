"""What a check of a data set can find, and how bad each of it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rfga.types import FloatArray

Severity = Literal["error", "warning", "note"]


class Kind(NamedTuple):
    """A kind of finding: how bad it is, and its name in tables."""

    severity: Severity
    title: str


KINDS = {
    # photographs
    "unreadable": Kind("error", "no image that can be read"),
    "empty": Kind("error", "empty file"),
    "damaged": Kind("error", "damaged or cut short"),
    "duplicate_across_splits": Kind("error", "same photograph in two splits"),
    "duplicate_across_classes": Kind("error", "same photograph in two classes"),
    # classes
    "empty_class": Kind("error", "class without photographs"),
    "class_not_in_train": Kind("error", "class that train lacks"),
    # truth
    "truth_unusable": Kind("error", "truth that cannot be used"),
    "truth_entry": Kind("error", "malformed entry of truth"),
    "truth_misfit": Kind("error", "truth that does not fit its photograph"),
    "box_convention": Kind("error", "boxes in another convention"),
    "box_malformed": Kind("error", "box that is no four numbers"),
    "box_inverted": Kind("error", "box whose end lies before its start"),
    "box_degenerate": Kind("error", "box without area"),
    "box_outside": Kind("error", "box outside its photograph"),
    "truth_size": Kind("error", "truth of a photograph of another size"),
    "mask_size": Kind("error", "mask of another size"),
    "mask_values": Kind("error", "mask with other values"),
    "mask_unreadable": Kind("error", "mask that cannot be read"),
    # what may be as it should
    "near_duplicate_across_splits": Kind("warning", "nearly the same photograph in two splits"),
    "near_duplicate_across_classes": Kind("warning", "nearly the same photograph in two classes"),
    "duplicate": Kind("warning", "same photograph twice"),
    "near_duplicate": Kind("warning", "nearly the same photograph twice"),
    "tiny": Kind("warning", "tiny photograph"),
    "blank": Kind("warning", "photograph of a single colour"),
    "extreme_aspect": Kind("warning", "very long and narrow photograph"),
    "wrong_extension": Kind("warning", "name ends in another format's letters"),
    "left_out": Kind("warning", "picture that is left out"),
    "few_photographs": Kind("warning", "class of few photographs"),
    "class_dominates": Kind("warning", "one class dominates"),
    "imbalance": Kind("warning", "classes of very different size"),
    "box_over_edge": Kind("warning", "box that reaches over the edge"),
    "box_repeated": Kind("warning", "same box twice"),
    "mask_empty": Kind("warning", "mask without object"),
    "other_class": Kind("warning", "boxes of other classes only"),
    "truth_claims": Kind("warning", "truth that contradicts its photographs"),
    "truth_spelling": Kind("warning", "name that is spelled in two ways"),
    "truth_of_nothing": Kind("warning", "truth of no photograph"),
    "without_truth": Kind("warning", "photograph without truth"),
    # what is handled
    "one_class": Kind("note", "fewer than two classes"),
    "class_not_in_split": Kind("note", "class that a split lacks"),
    "exif_rotated": Kind("note", "turned as its EXIF orientation says"),
    "animated": Kind("note", "several frames, of which the first counts"),
    "cmyk": Kind("note", "CMYK colours, read as RGB"),
    "sixteen_bit": Kind("note", "16 bits a value, read as 8"),
    "truth_left_out": Kind("note", "truth that is left out"),
    "data_set": Kind("note", "about the data set"),
}
"""Name of a kind -> what it is, in the order of tables."""


@dataclass(frozen=True, slots=True)
class Place:
    """A photograph: its split and its position among the split's samples."""

    split: str
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A photograph that shows what was found, with what is to be drawn on it."""

    place: Place
    boxes: FloatArray | None = None  # (n, 4) edges x0, y0, x1, y1 in original pixels, as they were read
    meant: FloatArray | None = None  # (n, 4) edges as they were probably meant
    mask: Path | None = None  # the mask in question


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One thing that was found.

    Example:
        >>> finding = Finding("tiny", "train/cat/0.jpg", "expected 32 pixels a side, found 8: replace it")
        >>> finding.severity, finding.as_json()["file"]
        ('warning', 'train/cat/0.jpg')
    """

    kind: str  # out of KINDS
    file: str  # what it is about: SPLIT/IMAGE ID, or a file of truth
    sentence: str  # expected, found, remedy
    others: tuple[str, ...] = ()  # further files it is about
    shots: tuple[Shot, ...] = ()  # the photographs that show it

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind].severity

    def as_json(self) -> dict[str, Any]:
        """The form that ``--json`` writes."""
        named: dict[str, Any] = {"kind": self.kind, "severity": self.severity, "file": self.file}
        if self.others:
            named["others"] = list(self.others)
        return {**named, "sentence": self.sentence}


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings of each kind that was found, in the order of ``KINDS``: the worst first."""
    sorted_out: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for finding in findings:
        sorted_out[finding.kind].append(finding)
    return {kind: found for kind, found in sorted_out.items() if found}


def by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many errors, warnings and notes there are.

    Example:
        >>> by_severity([])
        {'error': 0, 'warning': 0, 'note': 0}
    """
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in ("error", "warning", "note")}
