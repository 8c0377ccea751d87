"""What is told of class folders that are not quite as expected: one sentence for each kind of thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from rfga.data.background import is_background
from rfga.data.formats import IMAGE_SUFFIXES, OTHER_PICTURES, how_to_read
from rfga.data.spelling import class_key, nearly_same
from rfga.data.walk import find_images, is_folder, is_picture, list_folder, subfolders

_NAMED = 3  # of each kind
_PICTURES = IMAGE_SUFFIXES | OTHER_PICTURES
_OF_TRUTH = ("mask", "label", "annot")  # parts of the names of folders that nobody takes for photographs


def layout_notes(
    root: Path,
    splits: Mapping[str, Path],
    classes: Sequence[str],
    truth: Path | None = None,
    background: Collection[str] = (),
) -> Iterator[str]:
    """What is odd about the folders themselves.

    Args:
        root: the folder of the data set.
        splits: the folder of each split.
        classes: names.
        truth: a folder that may lie beside the splits.
        background: names of folders without any object, which may lie there as well.

    Raises:
        UserError: a folder cannot be listed.
    """
    for split, folder in splits.items():
        if folder != root and folder.name != split:
            yield f"{folder.name}/ holds the photographs of the split {split}"
    if root not in splits.values():
        places = {folder.name for folder in splits.values()}
        beside = [name for name in subfolders(root) if not is_background(name, background)]
        others = [root / name for name in beside if name not in places]
        others = [folder for folder in others if not _is_truth(folder, truth) and _holds_images(folder)]
        if others:
            yield (
                f"expected train/, val/ and test/ in {root}, found other folders with photographs beside "
                f"them ({_some([folder.name for folder in others])}): they are left out"
            )
    for folder in splits.values():
        yield from _one_of_several(folder)
    yield from _alike(classes)
    first = next(iter(splits.values()))
    if len(classes) == 1:
        yield from _one_level_deeper(first)


def loose_photographs(root: Path, splits: Mapping[str, Path]) -> Iterator[str]:
    """How many photographs lie beside the folders that they should be in."""
    for folder in dict.fromkeys((root, *splits.values())):
        loose = [e.name for e in list_folder(folder) if is_picture(e.name, _PICTURES) and not is_folder(e)]
        if loose:
            yield (
                f"expected photographs in class folders, found {len(loose)} beside them in {folder} "
                f"({_some(loose)}): they have no class and are left out"
            )


def _one_of_several(folder: Path) -> Iterator[str]:
    """Classes whose photographs lie in two folders."""
    counts = Counter(map(class_key, subfolders(folder)))
    for key in (key for key, count in counts.items() if count > 1):
        yield (
            f"expected one folder for each class, found two in {folder} called {key} that differ in how "
            "their letters are composed alone: both count for the class"
        )


def _one_level_deeper(folder: Path) -> Iterator[str]:
    """The only class has no photograph of its own, but folders of them, which may be meant as the classes."""
    for name in subfolders(folder):
        only = folder / name
        inside = [inner for inner in subfolders(only) if _holds_images(only / inner)]
        if len(inside) > 1 and not any(is_picture(entry.name) for entry in list_folder(only)):
            yield (
                f"expected class folders in {folder}, found one, {name}, whose photographs lie in folders of "
                f"their own ({_some(inside)}): give {only} if these are the classes"
            )


def _alike(classes: Sequence[str]) -> Iterator[str]:
    """Classes whose names differ in case or surrounding space alone."""
    told: set[str] = set()
    for name in classes:
        near = nearly_same(name, classes)
        if near and name not in told:
            told.update(near)
            yield (
                f"expected class names that differ in more than case and space, found "
                f"{', '.join(map(repr, (name, *near)))}: they count as classes of their own"
            )


def unread(endings: Mapping[str, int], where: str) -> str:
    """Pictures of kinds that are not read, with what helps."""
    found = ", ".join(f"{count} that end in {ending}" for ending, count in sorted(endings.items()))
    helps = "; ".join(dict.fromkeys(how_to_read(f"a{ending}") for ending in sorted(endings)))
    return f"expected photographs in {where} as JPEG, PNG or the like, found {found}, left out: {helps}"


def _is_truth(folder: Path, truth: Path | None) -> bool:
    if truth is not None and (truth == folder or folder in truth.parents):
        return True
    return any(word in folder.name.lower() for word in _OF_TRUTH)


def _holds_images(folder: Path) -> bool:
    return any(True for _ in find_images(folder))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
