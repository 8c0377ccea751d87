"""What a user points at: files, folders and lists of photographs, each with its folder's class."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from rfga.data.background import is_background
from rfga.data.formats import IMAGE_SUFFIXES, OTHER_PICTURES
from rfga.data.spelling import nearly_same, same_names
from rfga.data.truth.given import NOTHING_HERE, Given
from rfga.data.walk import FolderClasses, find_images, of_two_classes
from rfga.types import UserError
from rfga.untrusted import fitting


@dataclass(frozen=True)
class Photograph:
    """One file to localize in."""

    image_id: str  # path relative to the folder that was given, with forward slashes
    path: Path
    folder_class: str | None  # the class whose folder it lies in
    given: Given | None = field(default=None, compare=False)  # its boxes by a person

    @property
    def is_empty(self) -> bool:
        """Whether a person said that it shows no object."""
        return self.given is not None and self.given.is_empty


def find_photographs(
    paths: Sequence[Path],
    classes: Sequence[str],
    outputs: Path | None = None,
    background: Sequence[str] = (),
) -> list[Photograph]:
    """All photographs that ``paths`` name, in a fixed order; a file named twice counts once.

    Args:
        paths: image files, folders (searched through), or ``.txt`` lists with one path a line, relative to
            the list.
        classes: names that class folders may have.
        outputs: a folder that is passed over where it lies in one of ``paths``: an earlier run may have
            written pictures there.
        background: names of folders whose photographs show no object.

    Raises:
        UserError: a path is not there, nothing is found, or two photographs would share one name.
    """
    found: dict[str, Photograph] = {}
    places: set[str] = set()
    for path in paths:
        beyond = _below(path, outputs)
        for named in _named_by(path, classes):
            photograph = _without_object(named, path, background)
            where = place(photograph.path)  # links stay apart, since each has a class folder
            if where in places or (beyond and where.startswith(beyond)):
                continue
            places.add(where)
            if photograph.image_id in found:
                raise UserError(
                    f"expected names that differ, found {photograph.image_id} for {photograph.path} and "
                    f"{found[photograph.image_id].path}: give the folder above both"
                )
            found[photograph.image_id] = photograph
    if not found:
        raise UserError(
            f"expected photographs in {', '.join(map(str, paths))}, found none: give another folder"
        )
    return list(found.values())


def given_fingerprint(photographs: Sequence[Photograph]) -> str | None:
    """The same for the same boxes by a person; None where there are none."""
    told = [(p.image_id, p.given.boxes.tolist(), p.given.classes) for p in photographs if p.given is not None]
    return hashlib.sha256(repr(told).encode(errors="replace")).hexdigest()[:16] if told else None


def folders_of(photographs: Sequence[Photograph]) -> list[str]:
    """The folders that the photographs' ids are relative to, as whole paths; most often there is one.

    Example:
        >>> folders_of([Photograph("cat/a.jpg", Path("/photos/cat/a.jpg"), "cat")])
        ['/photos']
    """
    ends = ((photograph.path.absolute().as_posix(), f"/{photograph.image_id}") for photograph in photographs)
    return sorted({path.removesuffix(end) or "/" for path, end in ends if path.endswith(end)})


def of_one_file(photographs: Sequence[Photograph]) -> dict[str, str]:
    """Photographs that lie in folders of several classes, because links lead to one file.

    Those that a person has looked at in one folder are left out: what was said is of that class alone.

    Returns:
        Id of each but the first of a file -> id of the first.
    """
    files: dict[tuple[int, int], list[Photograph]] = {}
    for photograph in photographs:
        if photograph.folder_class is not None and photograph.given is None:
            with suppress(OSError):
                held = photograph.path.stat()
                files.setdefault((held.st_dev, held.st_ino), []).append(photograph)
    same = [held for held in files.values() if len({one.folder_class for one in held}) == len(held)]
    return {one.image_id: held[0].image_id for held in same for one in held[1:]}


def shorter_names(image_ids: Sequence[str]) -> dict[str, str]:
    """The pictures of photographs whose names leave no room for an ending."""
    pictures = ((name, fitting(name, ".jpg")) for name in image_ids)
    return {name: picture for name, picture in pictures if picture != f"{name}.jpg"}


def input_notes(
    photographs: Sequence[Photograph], classes: Sequence[str], shorter: Collection[str] = ()
) -> list[str]:
    """A sentence for each thing about the photographs that is not as expected and yet no error.

    Args:
        photographs: from ``find_photographs``.
        classes: names that class folders may have.
        shorter: ids of photographs that ``shorter_names`` has.

    Example:
        >>> print(*input_notes([Photograph("Cat/a.jpg", Path("Cat/a.jpg"), None)], ["cat", "dog"]))
        expected the class folder 'cat', found 'Cat' with 1 photographs, which differs in case or space alone:
        rename it, since it counts as no class
    """
    near: Counter[tuple[str, str]] = Counter()
    for photograph in photographs:
        if photograph.folder_class is None:
            folders = photograph.path.parts[-1 - max(1, photograph.image_id.count("/")) : -1]
            near.update((same[0], name) for name in folders if (same := nearly_same(name, classes)))
    twice = same_names(photograph.image_id for photograph in photographs)
    notes = [
        f"expected the class folder {name!r}, found {folder!r} with {count} photographs, which differs in "
        "case or space alone: rename it, since it counts as no class"
        for (name, folder), count in near.items()
    ]
    notes += of_two_classes((p.path.parent, p.folder_class) for p in photographs if p.folder_class)
    if shorter:
        notes.append(
            f"expected names with room for an ending, found {len(shorter)} without (first {min(shorter)}): "
            "their pictures, maps and masks have shorter ones, which summary.json lists"
        )
    if twice:
        notes.append(
            f"expected names that differ, found {len(twice)} that differ in how letters are composed alone "
            f"(first {min(twice)}): each has its box, but other programs may take them for one"
        )
    return notes


def place(path: Path) -> str:
    """Where ``path`` is, in one spelling, without following links."""
    return os.path.normpath(path.absolute())


def read_lines(file: Path) -> list[str]:
    """The lines of a text.

    Raises:
        UserError: it cannot be read as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a list in UTF-8, found {file} unreadable ({error}): save it as UTF-8"
        ) from error


def _named_by(path: Path, classes: Sequence[str]) -> Iterator[Photograph]:
    classes_below = cache(lambda folder: FolderClasses(Path(place(folder)), classes))
    if path.is_dir():
        # Pictures of kinds that are not read are counted, too, and fail with what helps.
        for name in sorted(find_images(path, IMAGE_SUFFIXES | OTHER_PICTURES)):
            yield Photograph(name, path / name, classes_below(path).of(Path(place(path / name))))
    elif path.suffix.lower() == ".txt" and path.is_file():
        for line in read_lines(path):
            if line.strip():
                yield _listed(path.parent, line.strip(), classes_below)
    elif path.exists():
        yield Photograph(path.name, path, classes_below(path.parent).of(Path(place(path))))
    else:
        raise UserError(f"expected a photograph, a folder or a list, found nothing at {path}: check the path")


def _without_object(photograph: Photograph, top: Path, background: Sequence[str]) -> Photograph:
    """The photograph, marked where a folder that it lies in, and no class folder, says that it shows none."""
    if not background or photograph.folder_class is not None:
        return photograph
    folders = (top.name, *Path(photograph.image_id).parent.parts)
    if not any(is_background(name, background) for name in folders):
        return photograph
    return replace(photograph, given=NOTHING_HERE)


def _below(path: Path, outputs: Path | None) -> str:
    """What names begin with in ``outputs``, if it lies in the folder ``path``; else nothing."""
    if outputs is None:
        return ""
    above, ours = place(path), place(outputs)
    return ours + os.sep if Path(above) in Path(ours).parents else ""


def _listed(folder: Path, line: str, folders_of: Callable[[Path], FolderClasses]) -> Photograph:
    named = Path(line)
    path = folder / named
    if not path.is_file():
        raise UserError(f"expected a photograph at {path}, found none: correct the list")
    # A name leads elsewhere, too, where it begins with a drive or ends as Windows does not write names.
    elsewhere = bool(named.anchor) or any(not part.strip(". ") for part in named.parts)
    above = folders_of(path.parent if elsewhere else folder)
    return Photograph(path.name if elsewhere else named.as_posix(), path, above.of(Path(place(path))))
