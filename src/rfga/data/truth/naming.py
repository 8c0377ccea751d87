"""Which photograph a file of truth speaks of: one rule for every kind of truth.

1. A path that is a photograph's, below the split's folder, with or without the name of that folder in front.
2. A longer path or an address that ends so; the longest such end counts. What comes before it may name
   neither another split nor, behind the split, a class folder.
3. A name alone, or below folders that tell no class (``images/``), if only one photograph is called so.

Paths are tried as they are, then as addresses (``%20``, ``https://``, Label Studio's ``?d=``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from rfga.data.spelling import path_key
from rfga.types import SPLIT_FOLDERS

SPLIT_WORDS = {**SPLIT_FOLDERS, "train-weaksup": "train", "train-fullsup": "val"}
"""What people call the folder of a split, in lower case -> the split."""

_NO_CLASSES = {
    *(
        "",
        ".",
        "..",
        "image",
        "images",
        "img",
        "imgs",
        "photo",
        "photos",
        "picture",
        "pictures",
        "jpegimages",
    ),
    *("data", "dataset", "default", "obj_train_data", "annotations", "annotation", "labels", "masks"),
}
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before the names of uploaded files
_LONGEST = 20_000  # letters of an address; no system has paths as long, and every end of one is looked at
_UPLOADS = re.compile(r"/data/(media/)?upload/")


class PhotographNames:
    """The photographs of a split, as files of truth name them.

    Args:
        image_ids: paths relative to the split's folder.
        split: name of that folder.

    Example:
        >>> names = PhotographNames(["tench/a.jpg", "tench/b.png"], "val")
        >>> names.find("val/tench/a.jpg"), names.find("/photos/tench/a.jpg"), names.find("b.png")
        (['tench/a.jpg'], ['tench/a.jpg'], ['tench/b.png'])
        >>> names.find_beside("Annotations/tench/b"), names.find("train/tench/a.jpg")
        (['tench/b.png'], [])
    """

    def __init__(self, image_ids: Sequence[str], split: str) -> None:
        self._split = path_key(split)
        self._word = SPLIT_WORDS.get(self._split.casefold())
        self._exact = _Index((path_key(image_id), image_id) for image_id in image_ids)
        self._folded = _Index((path_key(image_id).casefold(), image_id) for image_id in image_ids)
        self._classes = {path_key(image_id).partition("/")[0] for image_id in image_ids if "/" in image_id}

    def find(self, name: str, *, alone: bool = True) -> list[str]:
        """The photograph that a name is of: none, one, or several that it may be as well.

        Args:
            name: path or address.
            alone: the last part alone may tell (rule 3).
        """
        return self._first(name, self._exact.whole, self._exact.called if alone else {})

    def find_beside(self, path: str) -> list[str]:
        """As ``find``, of a file's path without its own ending, with that of the photograph or without."""
        return self._first_beside(path, self._exact)

    def beside(self, files: Iterable[str]) -> dict[str, list[str]]:
        """``find_beside`` of each file; of photographs that differ in their ending alone, none twice.

        Example:
            >>> PhotographNames(["a.jpg", "a.png"], "val").beside(["a.txt", "a.png.txt"])
            {'a.txt': ['a.jpg'], 'a.png.txt': ['a.png']}
        """
        found = {file: self.find_beside(file.rpartition(".")[0]) for file in files}
        open_ones = [file for file, ids in found.items() if len(ids) > 1 and _in_one_folder(ids)]
        while open_ones:
            sure = {ids[0] for ids in found.values() if len(ids) == 1}
            left = {file: [one for one in found[file] if one not in sure] for file in open_ones}
            if all(left[file] == found[file] for file in open_ones):
                break
            found |= left
            open_ones = [file for file in open_ones if len(left[file]) > 1]
        return found

    def find_in_any_case(self, name: str, *, beside: bool = False) -> list[str]:
        """As ``find``, or ``find_beside``, upper and lower case counting as the same."""
        folded, name = self._folded, name.casefold()
        if beside:
            return self._first_beside(name, folded)
        return self._first(name, folded.whole, folded.called)

    def is_elsewhere(self, name: str) -> bool:
        """Whether a name is of another split."""
        words = [SPLIT_WORDS.get(part.casefold()) for part in path_key(address_path(name)).split("/")[:-1]]
        named = [word for word in words if word]
        return bool(self._word and named) and named[-1] != self._word

    def is_class(self, name: str) -> bool:
        """Whether photographs lie in a folder of this name."""
        return path_key(name) in self._classes

    def tells_no_class(self, folder: str) -> bool:
        """Whether a folder is called as what tools make, such as ``images/``, or as the split."""
        if _UPLOADS.search(f"/{folder}/"):
            return True
        if self._classes.intersection(folder.split("/")):
            return False  # a class may be called so as well
        parts = (part.casefold() for part in folder.split("/"))
        return all(
            part in _NO_CLASSES or (self._word and SPLIT_WORDS.get(part) == self._word) for part in parts
        )

    def _first_beside(self, path: str, index: _Index) -> list[str]:
        whole = self._first(path, index.whole, index.called)
        return list(dict.fromkeys([*whole, *self._first(path, index.stems, index.stem_called)]))

    def _first(self, name: str, paths: Mapping[str, list[str]], called: Mapping[str, list[str]]) -> list[str]:
        if len(name) > _LONGEST:
            return []
        keys = [path_key(spelled) for spelled in dict.fromkeys((name, address_path(name)))]
        for key in keys:
            for end in self._ends(key):
                if end in paths:
                    return paths[end]
        for key in keys:
            folder, _, last = key.rpartition("/")
            if self.tells_no_class(folder):
                for spelled in (last, _UPLOADED.sub("", last, count=1)):
                    if spelled in called:
                        return called[spelled]
        return []

    def _ends(self, key: str) -> Iterator[str]:
        """A path, and every end of it that may be a photograph's."""
        yield key
        passed = True
        while "/" in key:
            folder, _, key = key.partition("/")
            word = SPLIT_WORDS.get(folder.casefold())
            if folder == self._split:
                passed = True
            elif word and self._word:
                passed = word == self._word
            elif folder in self._classes:
                passed = False
            if passed:
                yield key


class _Index:
    """Photographs by path, by path without ending, and by the last part of both."""

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self.whole: dict[str, list[str]] = {}
        self.stems: dict[str, list[str]] = {}
        self.called: dict[str, list[str]] = {}
        self.stem_called: dict[str, list[str]] = {}
        for key, image_id in keys:
            path = PurePosixPath(key)
            self.whole.setdefault(key, []).append(image_id)
            self.stems.setdefault(str(path.with_suffix("")), []).append(image_id)
            self.called.setdefault(path.name, []).append(image_id)
            self.stem_called.setdefault(path.stem, []).append(image_id)


def _in_one_folder(image_ids: Iterable[str]) -> bool:
    return len({PurePosixPath(image_id).parent for image_id in image_ids}) == 1


def address_path(address: str) -> str:
    """The path in an address: ``/data/local-files/?d=PATH``, ``s3://bucket/PATH``, ``https://host/PATH``.

    Example:
        >>> address_path("/data/local-files/?d=tench/a%20b.jpg"), address_path("tench/a%20b.jpg")
        ('tench/a b.jpg', 'tench/a b.jpg')
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    asked = parse_qs(parts.query, errors="surrogateescape").get("d")
    return asked[0] if asked else unquote(parts.path, errors="surrogateescape")
