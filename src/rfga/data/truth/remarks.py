"""What is to be said of truth beside what it says: faults in it, and what is left out, counted by reason."""

from __future__ import annotations

Remark = tuple[str, str]  # kind of finding (``KINDS``), sentence


class Remarks:
    """Sentences about truth, the faults first.

    Example:
        >>> remarks = Remarks()
        >>> for name in ("a.xml", "b.xml"):
        ...     remarks.count("truth_left_out", "found {count} difficult objects (first: {first})", name)
        >>> remarks.listed()
        (('truth_left_out', 'found 2 difficult objects (first: a.xml)'),)
    """

    def __init__(self) -> None:
        self._faults: dict[str, None] = {}
        self._counted: dict[Remark, tuple[int, str]] = {}

    def fault(self, sentence: str) -> None:
        """An entry is not as its format has it, and is left out."""
        self._faults[sentence] = None

    def count(self, kind: str, sentence: str, where: str, times: int = 1) -> None:
        """Something of a kind that is counted: ``{count}`` and ``{first}`` are put into the sentence."""
        count, first = self._counted.get((kind, sentence), (0, where))
        self._counted[kind, sentence] = count + times, first

    def listed(self) -> tuple[Remark, ...]:
        """Every fault, then a sentence for each reason."""
        faults = [("truth_entry", sentence) for sentence in self._faults]
        counted = [
            (kind, sentence.replace("{count}", str(count)).replace("{first}", first))
            for (kind, sentence), (count, first) in self._counted.items()
        ]
        return (*faults, *counted)
