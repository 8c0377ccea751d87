"""One spelling of each name, so that files, folders and labels are compared in one way everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from unicodedata import normalize


def path_key(name: str) -> str:
    r"""A relative path in one spelling: forward slashes, composed letters (macOS decomposes them).

    Example:
        >>> path_key("./cat\\0.jpg")
        'cat/0.jpg'
    """
    return normalize("NFC", PurePosixPath(name.replace("\\", "/")).as_posix())


def same_names(image_ids: Iterable[str]) -> set[str]:
    r"""Photographs whose names are another's, but for how the letters are composed.

    Example:
        >>> sorted(map(len, same_names(["a.jpg", "m\u00fc.jpg", "mu\u0308.jpg"])))
        [6, 7]
    """
    odd = [name for name in image_ids if not name.isascii()]
    counts = Counter(map(path_key, odd))
    return {name for name in odd if counts[path_key(name)] > 1}


def class_key(name: str) -> str:
    r"""The name of a class in one spelling: composed letters. Names are of one class where these are equal.

    Whatever names a class goes through here before it is compared: class folders, files of labels, categories
    of truth, classes of a trained run.

    Example:
        >>> class_key("Mu\u0308nster") == "M\u00fcnster"
        True
    """
    return normalize("NFC", name)


def nearly_same(name: str, others: Collection[str]) -> list[str]:
    """Those of ``others`` that differ from the name of a class in case or surrounding space alone.

    Hardly ever are two classes meant: tell the user.

    Example:
        >>> nearly_same("church", ["Church ", "church", "Kirche"])
        ['Church ']
    """
    key, folded = class_key(name), _folded(name)
    return [other for other in others if class_key(other) != key and _folded(other) == folded]


def _folded(name: str) -> str:
    return normalize("NFC", class_key(name).strip().casefold())
