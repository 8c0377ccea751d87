"""``rfga data link``: class folders of links to photographs, from a table or a COCO file of their labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rfga.data.truth.coco import read_coco
from rfga.engine.localizing.inputs import read_lines
from rfga.engine.localizing.labels import columns_of
from rfga.files import held_in, make_folder
from rfga.types import UserError

_DELIMITERS = "\t;,"


@dataclass(frozen=True)
class Linked:
    """What was laid out."""

    classes: dict[str, int]  # photographs of each
    several: int  # photographs of more than one class
    missing: tuple[str, ...]  # named, and not there


def link_photographs(labels: Path, photographs: Path, out: Path) -> Linked:
    """Make a link ``out/CLASS/NAME`` for every class of every photograph.

    Args:
        labels: lines ``image,label``, several for an image of several classes, with or without a line that
            names the columns; or a COCO JSON file, of which the categories of annotations count, with boxes
            or without.
        photographs: folder that the names are relative to.
        out: a new folder.

    Raises:
        UserError: a file or folder is not as described, none of the photographs is there, or no links can be
            made here.
    """
    pairs = _of_coco(labels) if labels.suffix.lower() == ".json" else _of_table(labels)
    if not photographs.is_dir():
        raise UserError(f"expected a folder of photographs, found none at {photographs}: check its name")
    make_folder(out)
    if held_in(out):
        raise UserError(f"expected a new folder for the links, found {out} in use: choose another --out")
    classes: dict[str, int] = {}
    of_image: dict[str, int] = {}
    missing: dict[str, None] = {}
    for name, label in dict.fromkeys(pairs):
        if not (photographs / name).is_file():
            missing[name] = None
            continue
        _link(photographs / name, out / label / name)
        classes[label] = classes.get(label, 0) + 1
        of_image[name] = of_image.get(name, 0) + 1
    if not of_image:
        raise UserError(
            f"expected photographs of {photographs} in {labels}, found none of the {len(missing)} that it "
            f"names{f' (first {next(iter(missing))})' if missing else ''}: give names relative to that folder"
        )
    several = sum(count > 1 for count in of_image.values())
    return Linked(dict(sorted(classes.items())), several, tuple(missing))


def _of_table(file: Path) -> list[tuple[str, str]]:
    lines = read_lines(file)
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((sign for sign in _DELIMITERS if sign in first), ",")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    rows = [row for row in rows if any(row)]
    columns = columns_of(rows[0]) if rows else None
    image, label = columns or (0, 1)
    pairs = []
    for row in rows[columns is not None :]:
        if len(row) <= max(image, label):
            raise UserError(
                f"expected 'image,label' in every line of {file}, found {','.join(row)!r}: correct it"
            )
        pairs.append(_sound(row[image], row[label], file))
    return pairs


def _of_coco(file: Path) -> list[tuple[str, str]]:
    images = read_coco(file).images
    return [_sound(image.file_name, box.class_name, file) for image in images for box in image.boxes]


def _sound(name: str, label: str, file: Path) -> tuple[str, str]:
    """Both, where they stay inside their folders."""
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
    if not inside or not label or label.startswith(".") or not {"/", "\\"}.isdisjoint(label):
        raise UserError(
            f"expected a path below the photographs' folder and a class that can be a folder's name, found "
            f"{name!r:.80} and {label!r:.80} in {file}: correct them"
        )
    return name, label


def _link(photograph: Path, link: Path) -> None:
    make_folder(link.parent)
    try:
        link.symlink_to(photograph.absolute())
    except OSError as error:
        raise UserError(
            f"expected to make links in {link.parent}, found that it cannot be done ({error.strerror}): "
            "choose an --out on a disk with links"
        ) from error


def linked_lines(linked: Linked, out: Path) -> Sequence[str]:
    """What was done, a sentence each."""
    said = [f"{sum(linked.classes.values())} links of {len(linked.classes)} classes in {out}"]
    if linked.several:
        said.append(f"{linked.several} photographs have several classes")
    if linked.missing:
        said.append(f"{len(linked.missing)} photographs are not there (first {linked.missing[0]})")
    return said
