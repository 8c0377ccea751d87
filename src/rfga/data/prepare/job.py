"""What a recipe is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from rfga.data.prepare.download import Remote, fetch
from rfga.data.prepare.watch import Watch
from rfga.types import UserError


class Archives:
    """The archives that are at hand, found by their names in any case of letters.

    Args:
        given: files, and folders whose files are looked at.
        known: patterns of the names that a set's archives have (``CUBV2*``); folders may hold other
            files.

    Raises:
        UserError: one of ``given`` is not there, or is a file of an unknown name.

    Example:
        >>> Archives([]).find("CUBV2*") is None
        True
    """

    def __init__(self, given: Sequence[Path], known: Sequence[str] = ()) -> None:
        named = [path for path in given if not path.is_dir()]
        for path in named:
            if not path.is_file():
                raise UserError(f"expected archives, found nothing at {path}: check --archives")
            if not _fits(path, known):
                raise UserError(
                    f"expected archives called {', '.join(known)}, found {path.name}: rename it, or "
                    "leave it out"
                )
        inside = [entry for folder in given if folder.is_dir() for entry in sorted(folder.iterdir())]
        self.files = [*named, *(path for path in inside if path.is_file() and _fits(path, known))]

    def find(self, *patterns: str) -> Path | None:
        """The first file whose name fits a pattern."""
        return next((path for path in self.files if _fits(path, patterns)), None)


def _fits(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path.name.lower(), pattern.lower()) for pattern in patterns)


@dataclass(frozen=True)
class Job:
    """Where a recipe builds and what from.

    Args:
        work: the folder of the whole work; what lies in it outlives an interruption.
        archives: local ones.
        metadata: the benchmark's lists, SET/SPLIT or the folder of one set.
        watch: is told how the work goes on.
    """

    work: Path
    archives: Archives
    metadata: Path | None = None
    watch: Watch = field(default_factory=Watch)

    @property
    def folder(self) -> Path:
        """What is built in it becomes the prepared set: images/, metadata/ and so on."""
        return self.work / "set"

    @property
    def scratch(self) -> Path:
        """For what is needed on the way."""
        return self.work / "scratch"

    @property
    def downloads(self) -> Path:
        """For archives from the net."""
        return self.work / "downloads"

    def obtain(self, remote: Remote, *patterns: str) -> Path:
        """The archive at hand that fits a pattern, or else the downloaded one.

        Raises:
            UserError: it cannot be downloaded.
        """
        return self.archives.find(*patterns) or fetch(remote, self.downloads, self.watch)


@dataclass(frozen=True)
class Built:
    """What a recipe made.

    Args:
        counts: photographs of each split.
        notes: a sentence for each thing that is missing, and where to get it.
    """

    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How a set is built.

    Args:
        archives: patterns of the names of its archives.
        build: does it.
    """

    archives: tuple[str, ...]
    build: Callable[[Job], Built]
