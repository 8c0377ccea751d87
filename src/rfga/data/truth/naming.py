"""Which photograph a file of boxes speaks of, as other tools name photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from rfga.data.spelling import path_key


class PhotographNames:
    """The photographs of a split, found by their path, the end of a path, or their file's name.

    Args:
        image_ids: paths relative to the split's folder.
        split: name of that folder; paths may begin with it.

    Example:
        >>> names = PhotographNames(["tench/a.jpg", "tench/b.png"], "val")
        >>> names.at("val/tench/a.jpg"), names.ending("/photos/tench/a.jpg"), names.called("b.png")
        ('tench/a.jpg', 'tench/a.jpg', 'tench/b.png')
        >>> names.with_stem("tench/b")
        ['tench/b.png']
    """

    def __init__(self, image_ids: Sequence[str], split: str) -> None:
        self._ids = {path_key(image_id): image_id for image_id in image_ids}
        self._split = path_key(split) + "/"
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._by_name_stem: dict[str, list[str]] = {}
        for key, image_id in self._ids.items():
            path = PurePosixPath(key)
            self._by_name.setdefault(path.name, []).append(image_id)
            self._by_stem.setdefault(str(path.with_suffix("")), []).append(image_id)
            self._by_name_stem.setdefault(path.stem, []).append(image_id)

    def at(self, path: str) -> str | None:
        """The photograph at a path relative to the split's folder, or to the folder above it."""
        key = path_key(path)
        return self._ids.get(key) or self._ids.get(key.removeprefix(self._split))

    def with_stem(self, path: str) -> list[str]:
        """The photographs at a path without its ending; there may be several of different endings."""
        key = path_key(path)
        return self._by_stem.get(key) or self._by_stem.get(key.removeprefix(self._split), [])

    def ending(self, path: str) -> str | None:
        """The photograph that a longer path ends with, the longest such end counting."""
        key = path_key(path)
        while key:
            if key in self._ids:
                return self._ids[key]
            key = key.partition("/")[2]
        return None

    def called(self, name: str) -> str | None:
        """The photograph whose file has this name, in whatever folder; None where there are none or more."""
        return _only(self._by_name.get(path_key(name), []))

    def called_with_stem(self, stem: str) -> str | None:
        """As ``called``, by the file's name without its ending."""
        return _only(self._by_name_stem.get(path_key(stem), []))


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(found) == 1 else None
