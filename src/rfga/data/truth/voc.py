"""Pascal VOC as truth: a folder with one XML file for each photograph, such as labelImg and CVAT write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.naming import PhotographNames
from rfga.data.walk import find_images
from rfga.types import UserError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")


def is_voc(path: Path) -> bool:
    """Whether ``path`` is a folder with XML files, at any depth.

    Example:
        >>> is_voc(Path("no/such/folder"))
        False
    """
    return path.is_dir() and any(True for _ in find_images(path, (".xml",)))


class VocTruth(BoxTruth):
    """Boxes of a folder of Pascal VOC files.

    A photograph is found by the file's folder and its ``filename``, by the file's own path, or, where all
    files lie in one folder, by a ``filename`` that only one photograph has. VOC counts pixels from 1 and the
    last one is inside, so xmin 1 and xmax 10 are the edges 0 and 10. Objects marked ``difficult`` are left
    out, as in VOC's own evaluation.

    Raises:
        UserError: a file is not as VOC has it, or none is of a photograph of the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        photographs = PhotographNames(image_ids, split_folder.name)
        marked: dict[str, Marked] = {}
        missing, files = [], sorted(find_images(path, (".xml",)))
        classes: set[str] = set()
        for name in files:
            root = read_xml(path / name)
            image = _marked(root, path / name)
            classes.update(class_name for class_name, _ in image.boxes)
            image_id = _photograph(PurePosixPath(name), root, photographs)
            if image_id is None:
                missing.append(name)
            elif image_id in marked:
                raise UserError(
                    f"expected each image once, found {image_id!r} in {marked[image_id].where} and again in "
                    f"{path / name}: drop one"
                )
            else:
                marked[image_id] = image
        super().__init__(marked, classes, split_folder, image_ids, missing)
        self.require_boxes(path, len(files), "put each XML file at its photograph's place (CLASS/NAME.xml)")


def read_xml(path: Path) -> ElementTree.Element:
    """The root ``annotation`` of a VOC file.

    Document types and entities, which VOC has no use for, are refused before anything is parsed: they can
    make a small file fill the memory.

    Raises:
        UserError: the file cannot be read, is no XML, declares a document type, or is of another kind.

    Example:
        >>> read_xml(Path("lost.xml"))
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected Pascal VOC XML, found lost.xml unreadable (...): write it anew
    """
    try:
        content = path.read_bytes()
        # A zero byte means UTF-16 or UTF-32, in which the search below would find nothing.
        if b"\x00" in content or any(word in content for word in _DECLARATIONS):
            raise UserError(
                f"expected Pascal VOC XML in UTF-8 without document type and entities, found them in {path}: "
                "save it without"
            )
        root = ElementTree.fromstring(content)
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise UserError(
            f"expected Pascal VOC XML, found {path} unreadable ({error}): write it anew"
        ) from error
    if root.tag != "annotation":
        raise UserError(
            f"expected Pascal VOC XML that begins with <annotation>, found <{root.tag[:40]}> in {path}: "
            "export it as Pascal VOC"
        )
    return root


def _photograph(file: PurePosixPath, root: ElementTree.Element, photographs: PhotographNames) -> str | None:
    stated = (root.findtext("filename") or "").strip()
    flat = file.parent == PurePosixPath()
    if stated:
        folder = (root.findtext("folder") or "").strip()
        places = [f"{file.parent}/{stated}", *([f"{folder}/{stated}", stated] if flat else [])]
        for place in places:
            if (found := photographs.at(place)) is not None:
                return found
    own = str(file.with_suffix(""))
    found = photographs.at(own)
    if found is None and len(same := photographs.with_stem(own)) == 1:
        found = same[0]
    if found is None and flat:
        found = photographs.called(PurePosixPath(stated).name) if stated else None
        found = found or photographs.called_with_stem(own)
    return found


def _marked(root: ElementTree.Element, path: Path) -> Marked:
    size = root.find("size")
    size_hw = None
    if size is not None:
        height, width = (_number(size, tag, path) for tag in ("height", "width"))
        # Some tools write 0 where they do not know the size.
        size_hw = (height, width) if height > 0 and width > 0 else None
    image = Marked(str(path), size_hw)
    for item in root.findall("object"):
        name = (item.findtext("name") or "").strip()
        if not name:
            raise UserError(f"expected a name in every object, found none in {path}: correct it")
        if (item.findtext("difficult") or "0").strip() not in ("0", ""):
            continue
        image.boxes.append((name, _edges(item, path)))
    return image


def _edges(item: ElementTree.Element, path: Path) -> list[float]:
    box = item.find("bndbox")
    if box is None:
        raise UserError(f"expected a bndbox in every object, found none in {path}: mark objects with boxes")
    xmin, ymin, xmax, ymax = (_number(box, tag, path) for tag in _CORNERS)
    if xmax < xmin or ymax < ymin:
        raise UserError(
            f"expected xmin <= xmax and ymin <= ymax, found {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g} in "
            f"{path}: correct the bndbox"
        )
    return [xmin - 1, ymin - 1, xmax, ymax]


def _number(parent: ElementTree.Element, tag: str, path: Path) -> float:
    text = (parent.findtext(tag) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"expected a number as {tag} of {parent.tag}, found {text!r:.60} in {path}: correct it"
        )
    return value
