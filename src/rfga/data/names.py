"""Long lists of image ids and class labels, kept as bytes and numbers instead of a Python object a line.

The 1.28 million training images of ILSVRC take some 90 MB this way.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from rfga.types import ByteArray, IntArray, UserError

_COMMA, _NEWLINE, _RETURN, _ZERO, _SLASH = b",\n\r0/"
_ODD = np.uint64(0x9E3779B97F4A7C15)  # of a hash of names, modulo 2 to the 64
_MAX_DIGITS = 9  # of a class index
_DRIVE_SIGNS = (b":",) if os.name == "nt" else ()  # elsewhere a colon is a letter like any other
_BLOCK = 4096  # positions turned into Python's integers at once, which read faster than numpy's


class Names(Sequence[str]):
    """Names in one run of bytes, made into strings when they are asked for; a slice shares the bytes.

    Example:
        >>> names = Names.of(["cat/0.jpg", "é.jpg", "dog/1.jpg"])
        >>> names[1], list(names[::-2]), len(names)
        ('é.jpg', ['dog/1.jpg', 'cat/0.jpg'], 3)
    """

    def __init__(self, text: bytes, starts: IntArray, ends: IntArray) -> None:
        self._text, self._starts, self._ends = text, starts, ends

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """The same names in this form."""
        encoded = [name.encode() for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        return cls(b"".join(encoded), np.concatenate([np.zeros(1, np.int64), ends])[:-1], ends)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Names: ...
    def __getitem__(self, index: int | slice) -> str | Names:
        if isinstance(index, slice):
            return Names(self._text, self._starts[index], self._ends[index])
        return self._text[self._starts[index] : self._ends[index]].decode()

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            for start, end in zip(self._starts[block].tolist(), self._ends[block].tolist(), strict=True):
                yield self._text[start:end].decode()

    def same_as(self, other: Names) -> bool:
        """Whether both hold the same names in the same order; quick where neither is a slice."""
        lengths, others = self._ends - self._starts, other._ends - other._starts
        return np.array_equal(lengths, others) and self._joined() == other._joined()

    def picked(self, indices: IntArray) -> Names:
        """The names at ``indices``."""
        return Names(self._text, self._starts[indices], self._ends[indices])

    def may_repeat(self) -> bool:
        """False where no two names are the same; True where two may be."""
        lengths = self._ends - self._starts
        letters: ByteArray = np.frombuffer(self._text, np.uint8)
        hashes = lengths.astype(np.uint64)
        for place, here in _places(lengths):
            hashes[here] = hashes[here] * _ODD + letters[self._starts[here] + place]
        hashes.sort()
        return bool((hashes[1:] == hashes[:-1]).any())

    def may_lead_outside(self) -> bool:
        """False where every name stays inside any folder it is looked for in; True where one may not."""
        letters: ByteArray = np.frombuffer(self._text, np.uint8)
        rooted = bool((letters[self._starts] == _SLASH).any())
        return rooted or any(sign in self._text for sign in (b"\\", b"..", *_DRIVE_SIGNS))

    def _joined(self) -> bytes:
        whole = len(self) and np.array_equal(self._starts[1:], self._ends[:-1])
        if whole:
            return self._text[self._starts[0] : self._ends[-1]]
        return b"".join(self._text[a:b] for a, b in zip(self._starts, self._ends, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledNames:
    """Image ids with their classes."""

    names: Names
    labels: IntArray  # (n,) class indices from 0


def read_labelled_names(labels_path: Path, ids_path: Path | None = None) -> LabelledNames:
    r"""The image ids and class indices of lines ``id,class``.

    Args:
        labels_path: the file of such lines.
        ids_path: a file of ids alone, whose order and choice counts; None takes all lines as they come.

    Raises:
        UserError: a file cannot be read, a line is not of its form, an id has no class, comes twice, or names
            a place outside its folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "class_labels.txt").write_text("cat/0.jpg,0\ndog/1.jpg,1\n")
        ...     read = read_labelled_names(Path(folder) / "class_labels.txt")
        >>> read.names[1], read.labels
        ('dog/1.jpg', array([0, 1]))
    """
    labelled = _read_labels(labels_path)
    _require_ids(labelled.names, labels_path)
    if ids_path is None:
        return labelled
    lines = _read_lines(ids_path)
    ids = Names(*_compact(lines.content, lines.starts, lines.ends))
    if ids.same_as(labelled.names):
        return labelled
    _require_ids(ids, ids_path)
    place = {name: index for index, name in enumerate(labelled.names)}
    found = np.array([place.get(name, -1) for name in ids], np.int64)
    if (found < 0).any():
        raise UserError(
            f"expected the class of every image of {ids_path.name}, found none for {int((found < 0).sum())} "
            f"(first {ids[int(np.argmin(found))]}) in {labels_path}: complete it"
        )
    return LabelledNames(ids, labelled.labels[found])


def _read_labels(path: Path) -> LabelledNames:
    lines = _read_lines(path)
    commas = np.flatnonzero(lines.content == _COMMA)
    counts = np.searchsorted(commas, lines.ends) - np.searchsorted(commas, lines.starts)
    if (counts != 1).any():
        raise _bad_line(path, lines, int(np.argmax(counts != 1)))
    labels = np.zeros(len(commas), np.int64)
    digits = lines.ends - commas - 1
    wrong = (digits < 1) | (digits > _MAX_DIGITS) | (commas == lines.starts)
    for place, here in _places(np.minimum(digits, _MAX_DIGITS)):
        values = lines.content[commas[here] + 1 + place].astype(np.int64) - _ZERO
        wrong[here] |= (values < 0) | (values > 9)
        labels[here] = labels[here] * 10 + values
    if wrong.any():
        raise _bad_line(path, lines, int(np.argmax(wrong)))
    return LabelledNames(Names(*_compact(lines.content, lines.starts, commas)), labels)


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """A text file's bytes and where its lines stand that are not empty."""

    content: ByteArray
    starts: IntArray
    ends: IntArray  # exclusive; without the line's end


def _read_lines(path: Path) -> _Lines:
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        if not text.isascii():
            text.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected lines of text in {path}, found it unreadable ({error}): replace it"
        ) from error
    content: ByteArray = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(content == _NEWLINE)
    if len(content) and content[-1] != _NEWLINE:
        ends = np.append(ends, len(content))
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1])
    with_return = (ends > starts) & (content[ends - 1] == _RETURN) if len(ends) else np.zeros(0, bool)
    ends = ends - with_return
    filled = ends > starts
    return _Lines(content, starts[filled], ends[filled])


def _compact(content: ByteArray, starts: IntArray, ends: IntArray) -> tuple[bytes, IntArray, IntArray]:
    """The parts of ``content`` one after the other, and where each of them stands then."""
    kept = np.ones(len(content), bool)
    gaps = np.concatenate([np.zeros(1, np.int64), ends])
    for place, here in _places(np.append(starts, len(content)) - gaps):
        kept[gaps[here] + place] = False
    text = content[kept].tobytes()
    new_ends = np.cumsum(ends - starts, dtype=np.int64)
    return text, new_ends - (ends - starts), new_ends


def _places(lengths: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Each place that some of the runs of ``lengths`` have, with the indices of those runs."""
    here = np.flatnonzero(lengths > 0)
    place = 0
    while len(here):
        yield place, here
        place += 1
        here = here[lengths[here] > place]


def _bad_line(path: Path, lines: _Lines, index: int) -> UserError:
    line = lines.content[lines.starts[index] : lines.ends[index]].tobytes().decode()
    return UserError(f"expected id,class in every line of {path}, found {line!r:.80}: correct the line")


def _require_ids(names: Names, path: Path) -> None:
    """Each id names another file, and each of them inside the folder of images."""
    if names.may_repeat():
        again, times = Counter(names).most_common(1)[0]
        if times > 1:
            raise UserError(f"expected each image once, found {again!r} again in {path}: drop one")
    if names.may_lead_outside():
        for name in names:
            drive = bool(_DRIVE_SIGNS) and ":" in name
            if drive or name[0] == "/" or "\\" in name or ".." in name.split("/"):
                raise UserError(
                    f"expected image ids as relative paths with forward slashes, found {name!r} in {path}: "
                    "correct the line"
                )
