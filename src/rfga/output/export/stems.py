"""Names of files that stand beside a photograph under another ending."""

from __future__ import annotations

from pathlib import PurePosixPath

from rfga.untrusted import fitting

_ENDING = ".xml"  # as long as those of all formats


class Stems:
    """Gives each photograph a name without ending that no other one has.

    ``tench/a.jpg`` becomes ``tench/a``, where tools look for it. Where ``tench/a.png`` comes after it, that
    one becomes ``tench/a.png``. Upper and lower case count as the same, as on many disks.

    Example:
        >>> stems = Stems()
        >>> [stems.of(name) for name in ("tench/a.jpg", "tench/a.png", "tench/b.png")]
        ['tench/a', 'tench/a.png', 'tench/b']
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """The stem of a photograph that was not asked for before."""
        stem, number, suffix = str(PurePosixPath(name).with_suffix("")), 1, PurePosixPath(name).suffix
        while (stem := _with_room(stem, suffix)).casefold() in self._taken:
            stem, number = name if number == 1 else f"{name}.{number}", number + 1
        self._taken.add(stem.casefold())
        return stem


def _with_room(stem: str, suffix: str) -> str:
    """A stem that leaves room for the photograph's own ending and for that of a format."""
    ending = max(suffix, _ENDING, key=len)
    return fitting(stem, ending).removesuffix(ending)
