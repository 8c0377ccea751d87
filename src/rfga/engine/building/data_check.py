"""``rfga data check``: everything that looks wrong with a data set and its truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rfga.data.base import Dataset
from rfga.data.checks.classes import class_findings
from rfga.data.checks.findings import KINDS, Finding, Shot, by_kind, by_severity
from rfga.data.checks.repeated import duplicate_findings
from rfga.data.checks.source import open_for_check
from rfga.data.checks.survey import Survey, take_survey
from rfga.data.checks.truth import truth_findings
from rfga.data.images import opened, upright_grey
from rfga.engine.runtime.progress import Meter
from rfga.output.check.page import Item, Picture, Section, marked, write_check_page
from rfga.types import SPLITS, ByteArray, UserError

PICTURES = 48  # on the page, of the findings of one kind
SHOTS = 24  # of one finding that is about several photographs
LISTED = 240  # findings of one kind on the page
FOUND_COLUMNS = ("how bad", "what", "how many", "first of them")


@dataclass(frozen=True)
class CheckCommand:
    """What ``rfga data check`` was asked for.

    Args:
        data: folder or name of a data set.
        truth: boxes or masks.
        split: that ``truth`` is of.
        workers: threads that read photographs; None takes one a core.
        quiet: show no progress.
        background: names of folders without any object, which are no classes.
    """

    data: str
    truth: Path | None = None
    split: str = "val"
    workers: int | None = None
    quiet: bool = False
    background: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class DataCheck:
    """What was found, the worst first."""

    name: str
    dataset: Dataset
    survey: Survey
    findings: Mapping[str, Sequence[Finding]]  # by kind

    @property
    def counts(self) -> dict[str, int]:
        """How many errors, warnings and notes there are."""
        return by_severity(chain.from_iterable(self.findings.values()))

    @property
    def verdict(self) -> str:
        """The counts as a sentence."""
        found = ", ".join(
            f"{count} {severity}{'s' * (count != 1)}" for severity, count in self.counts.items()
        )
        photographs = sum(len(samples) for samples in self.survey.splits.values())
        return f"{photographs} photographs: {found}"

    def as_json(self) -> dict[str, Any]:
        """Everything, as ``--json`` writes it."""
        splits = self.survey.splits
        return {
            "dataset": self.name,
            "classes": list(self.dataset.classes),
            "photographs": {split: len(samples) for split, samples in splits.items()},
            "counts": self.counts,
            "kinds": {kind: len(found) for kind, found in self.findings.items()},
            "findings": [finding.as_json() for found in self.findings.values() for finding in found],
        }

    def require_right(self, *, strict: bool = False) -> None:
        """Raise where something is wrong.

        Args:
            strict: warnings count as well.

        Raises:
            UserError: there are errors, or warnings that count.
        """
        counting = ("error", "warning") if strict else ("error",)
        kinds = [kind for kind in self.findings if KINDS[kind].severity in counting]
        if kinds:
            counts = ", ".join(f"{len(self.findings[kind])} x {KINDS[kind].title}" for kind in kinds)
            first = self.findings[kinds[0]][0]
            raise UserError(
                f"expected a data set with nothing wrong, found {counts}; the first ({first.file}): "
                f"{first.sentence}"
            )


def check_data(command: CheckCommand) -> DataCheck:
    """Look through a data set.

    Raises:
        UserError: there is no such data set or truth at all; whatever is wrong inside becomes a finding.

    Example:
        >>> check_data(CheckCommand("no/such/folder"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a folder with train/CLASS/*.jpg, found nothing at no/such/folder: ...
    """
    source = open_for_check(command.data, command.truth, command.split, command.background)
    dataset = source.dataset
    with Meter("looking at photographs", _count(dataset), quiet=command.quiet) as meter:
        survey, findings = take_survey(dataset, command.workers, meter.advance)
    return DataCheck(
        name=dataset.name,
        dataset=dataset,
        survey=survey,
        findings=by_kind(
            [
                *source.findings,
                *findings,
                *duplicate_findings(survey),
                *class_findings(dataset.classes, _class_counts(dataset, survey)),
                *truth_findings(source, survey, command.truth, command.split),
            ]
        ),
    )


def found_rows(check: DataCheck, named: int) -> Iterator[tuple[str, ...]]:
    """A row of ``FOUND_COLUMNS`` for each kind, with the names of the first few."""
    for kind, found in check.findings.items():
        names = ", ".join(finding.file for finding in found[:named])
        more = ", ..." if len(found) > named else ""
        yield KINDS[kind].severity, KINDS[kind].title, str(len(found)), names + more


def found_lines(check: DataCheck, named: int) -> Iterator[str]:
    """The first few findings of each kind as lines."""
    for kind, found in check.findings.items():
        for finding in found[:named]:
            yield f"{finding.severity}: {finding.file}: {finding.sentence}"
        if len(found) > named:
            yield f"and {len(found) - named} more: {KINDS[kind].title}"


def write_check(check: DataCheck, page: Path) -> None:
    """The page with pictures of what looks wrong.

    Raises:
        UserError: it cannot be written.
    """
    counts = _class_counts(check.dataset, check.survey)
    facts = [
        (split, f"{len(samples)} photographs of {int((counts[split] > 0).sum())} classes")
        for split, samples in check.survey.splits.items()
    ]
    sections = [_section(check, kind) for kind in check.findings]
    write_check_page(page, f"Check of {check.name}", check.verdict, facts, sections)


def _count(dataset: Dataset) -> int:
    return sum(len(dataset.samples(split)) for split in SPLITS)


def _class_counts(dataset: Dataset, survey: Survey) -> dict[str, Any]:
    begin, counts = 0, {}
    for split, samples in survey.splits.items():
        labels = survey.labels[begin : begin + len(samples)]
        counts[split] = np.bincount(labels, minlength=len(dataset.classes))
        begin += len(samples)
    return counts


def _section(check: DataCheck, kind: str) -> Section:
    found, left, items = check.findings[kind], PICTURES, []
    for finding in found[:LISTED]:
        pictures = list(_pictures(check, finding))[:left]
        left -= len(pictures)
        items.append(Item(finding.file, finding.sentence, pictures))
    return Section(KINDS[kind].severity, KINDS[kind].title, len(found), items)


def _pictures(check: DataCheck, finding: Finding) -> Iterator[Picture]:
    for shot in finding.shots[:SHOTS]:
        yield Picture(check.survey.file(check.survey.index(shot.place)), partial(_drawn, check, shot))


def _drawn(check: DataCheck, shot: Shot) -> ByteArray | None:
    """The photograph with what belongs to it; None where it cannot be read."""
    try:
        sample = check.survey.splits[shot.place.split][shot.place.position]
        photograph = np.asarray(check.dataset.image(sample))
        mask = None if shot.mask is None else _read_grey(shot.mask)
    except UserError:
        return None
    return marked(photograph, shot.boxes, shot.meant, mask)


def _read_grey(path: Path) -> ByteArray:
    with opened(path) as image:
        return np.asarray(upright_grey(image))
