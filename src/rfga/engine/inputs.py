"""What a user points at: files, folders and lists of photographs, each with the class to box."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rfga.data.images import IMAGE_SUFFIXES
from rfga.types import UserError


@dataclass(frozen=True)
class Photograph:
    """One file to localize in."""

    image_id: str  # path relative to the folder that was given, with forward slashes
    path: Path
    folder_class: str | None  # the nearest folder around it that is named as a class


def find_photographs(paths: Sequence[Path], classes: Sequence[str]) -> list[Photograph]:
    """All photographs that ``paths`` name, in a fixed order.

    Args:
        paths: image files, folders (searched through), or ``.txt`` lists with one path a line, relative to
            the list.
        classes: names that class folders may have.

    Raises:
        UserError: a path is not there, nothing is found, or two photographs would share one name.
    """
    found: list[Photograph] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_image(p))
            found += [Photograph(p.relative_to(path).as_posix(), p, _folder_class(p, path, classes)) for p in inside]
        elif path.suffix.lower() == ".txt" and path.is_file():
            lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
            found += [_listed(path.parent, line, classes) for line in lines if line]
        elif path.exists():
            found.append(Photograph(path.name, path, _folder_class(path, path.parent, classes)))
        else:
            raise UserError(f"expected a photograph, a folder or a list, found nothing at {path}: check the path")
    if not found:
        raise UserError(f"expected photographs in {', '.join(map(str, paths))}, found none: give another folder")
    seen: set[str] = set()
    for photograph in found:
        if photograph.image_id in seen:
            raise UserError(
                f"expected names that differ, found {photograph.image_id} twice: give the folder above both"
            )
        seen.add(photograph.image_id)
    return found


def read_labels(file: Path, classes: Sequence[str]) -> dict[str, int]:
    """Class indices by image id from lines ``image id,class name``.

    Raises:
        UserError: the file is not there, or a line names an unknown class.
    """
    if not file.is_file():
        raise UserError(f"expected --labels folder, predicted or a file, found nothing at {file}: check the path")
    index = {name: i for i, name in enumerate(classes)}
    labels: dict[str, int] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row:
                continue
            if len(row) != 2 or row[1].strip() not in index:
                known = ", ".join(list(classes)[:10])
                raise UserError(
                    f"expected 'image,class' with a class out of {known}, found {','.join(row)!r} "
                    f"in line {number} of {file}: correct the line"
                )
            labels[row[0].strip()] = index[row[1].strip()]
    return labels


def choose_labels(photographs: Sequence[Photograph], wanted: str | None, classes: Sequence[str]) -> list[int | None]:
    """The class index to box in each photograph; None stands for the most probable one.

    Args:
        photographs: from ``find_photographs``.
        wanted: "folder", "predicted", a file of labels, or None: the folder's class where every photograph
            lies in a class folder, else the predicted one.
        classes: names by index.

    Raises:
        UserError: a photograph has no class where one is needed.
    """
    index = {name: i for i, name in enumerate(classes)}
    if wanted is None:
        wanted = "folder" if all(p.folder_class is not None for p in photographs) else "predicted"
    if wanted == "predicted":
        return [None] * len(photographs)
    if wanted == "folder":
        chosen = {p.image_id: index.get(p.folder_class or "") for p in photographs}
    else:
        given = read_labels(Path(wanted), classes)
        chosen = {p.image_id: given.get(p.image_id) for p in photographs}
    without = [name for name, label in chosen.items() if label is None]
    if without:
        raise UserError(
            f"expected a class for every photograph, found none for {len(without)} (first {without[0]}): "
            "use --labels predicted, or complete the labels"
        )
    return list(chosen.values())


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _folder_class(path: Path, top: Path, classes: Sequence[str]) -> str | None:
    names = set(classes)
    around = [path.parent, *path.parent.parents]
    inside = around[: around.index(top) + 1] if top in around else around[:1]
    return next((folder.resolve().name for folder in inside if folder.resolve().name in names), None)


def _listed(folder: Path, line: str, classes: Sequence[str]) -> Photograph:
    path = folder / line
    if not path.is_file():
        raise UserError(f"expected a photograph at {path}, found none: correct the list")
    image_id = Path(line).as_posix() if not Path(line).is_absolute() and ".." not in Path(line).parts else path.name
    return Photograph(image_id, path, _folder_class(path, folder, classes))
