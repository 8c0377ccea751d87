"""Which photographs of a split have truth, and which truth has no photograph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data.checks.findings import Finding, Place
from rfga.data.checks.survey import Survey
from rfga.data.truth.remarks import Remark


@dataclass(frozen=True)
class TruthOf:
    """The photographs that a file or folder of truth is about."""

    survey: Survey
    split: str
    split_folder: Path
    positions: dict[str, int]  # image id -> position in the split

    def index(self, image_id: str) -> int:
        """The photograph's index in the survey."""
        return self.survey.index(Place(self.split, self.positions[image_id]))

    def image_id(self, index: int) -> str:
        """The other way round."""
        place = self.survey.place(index)
        return self.survey.splits[place.split][place.position].image_id


def truth_of(survey: Survey, split: str, split_folder: Path) -> TruthOf:
    """The photographs of one split."""
    samples = survey.splits.get(split, ())
    positions = {sample.image_id: position for position, sample in enumerate(samples)}
    return TruthOf(survey, split, split_folder, positions)


def remark_findings(path: Path, remarks: Iterable[Remark]) -> Iterator[Finding]:
    """What a reader of truth has to say of the file or folder at ``path``."""
    for kind, sentence in remarks:
        yield Finding(kind, path.name, sentence)


def coverage_findings(
    path: Path, of: TruthOf, known: Collection[int], unknown: Sequence[str], remarks: Sequence[Remark] = ()
) -> Iterator[Finding]:
    """Truth of no photograph, and photographs without truth; one finding alone where nothing fits.

    Args:
        path: of the truth.
        of: the photographs.
        known: indices in the survey of those that have truth.
        unknown: what the truth names that is not there.
        remarks: what else was said of it, which may be why nothing is known.
    """
    if not known:
        why = remarks[0][1] if remarks else "mark objects in them"
        remedy = "name them relative to that folder (CLASS/NAME)" if unknown else why
        named = f", and {len(unknown)} that are not there (as {unknown[0]})" if unknown else ""
        yield Finding(
            "truth_unusable",
            path.name,
            f"expected truth of the photographs in {of.split_folder}, found none{named}: {remedy}",
        )
        return
    for name in unknown:
        yield Finding(
            "truth_of_nothing",
            name,
            f"expected a photograph of this name in {of.split_folder.name}/, found none: add it, or drop its "
            f"truth from {path.name}",
        )
    for image_id in of.positions:
        index = of.index(image_id)
        if index not in known:
            yield Finding(
                "without_truth",
                of.survey.file(index),
                f"expected truth of every photograph in {of.split_folder.name}/, found none in {path.name}: "
                "it is left out of what is measured",
                shots=of.survey.shots(index),
            )
