"""Pascal VOC as truth: a folder with one XML file for each photograph, such as labelImg and CVAT write."""

from __future__ import annotations

import codecs
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from rfga.data.spelling import path_key
from rfga.data.truth.gathered import Gathered
from rfga.data.truth.marked import BoxTruth, Marked
from rfga.data.truth.naming import PhotographNames
from rfga.data.truth.remarks import Remarks
from rfga.data.walk import find_images
from rfga.types import UserError
from rfga.untrusted import read_text

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")
_STALE = (
    "expected the photograph that each XML file lies at in its <filename>, too, found {count} files that "
    "name another one there (first: {first}): each is taken as that of its own place, so correct it where "
    "that is wrong"
)
_EASY = ("", "0", "false", "no", "unspecified")
_DIFFICULT = "expected objects to find, found {count} marked difficult (first: in {first}): left out"


def is_voc(path: Path) -> bool:
    """Whether ``path`` is a folder with XML files, at any depth.

    Example:
        >>> is_voc(Path("no/such/folder"))
        False
    """
    return path.is_dir() and any(True for _ in find_images(path, (".xml",)))


class VocTruth(BoxTruth):
    """Boxes of a folder of Pascal VOC files.

    The photograph of a file is the one at its own place, and otherwise the one that it names; both by the
    one rule for names. VOC counts pixels from 1 and the last one is inside, so xmin 1 and xmax 10 are the
    edges 0 and 10. Objects marked ``difficult`` are left out, as in VOC's own evaluation; so are files and
    objects that are not as VOC has them.

    Raises:
        UserError: no file gives a box of a photograph of the split.
    """

    def __init__(self, path: Path, split_folder: Path, image_ids: Sequence[str]) -> None:
        gathered = Gathered[Marked](image_ids, split_folder)
        files, classes = sorted(find_images(path, (".xml",))), set[str]()
        for name in files:
            try:
                root = read_xml(path / name)
            except UserError as error:
                gathered.remarks.fault(str(error))
                continue
            image = _marked(root, path / name, gathered.remarks)
            classes.update(class_name for class_name, _ in image.boxes)
            file, tags = PurePosixPath(name), _tags(root)
            flat = gathered.names.tells_no_class(str(file.parent))
            if flat and gathered.names.is_elsewhere(tags.path):
                gathered.leave_elsewhere(tags.path)
                continue
            # Where all files lie in one folder, their tags may say that a photograph of this name is another.
            image_id = gathered.one(name, _photographs(file, tags, gathered), in_any_case=not flat)
            if image_id is not None and image.boxes:
                gathered.put(image_id, str(path / name), image)
        super().__init__(gathered, classes, split_folder, image_ids)
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
        content: str | bytes = path.read_bytes()
        if isinstance(content, bytes) and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = read_text(path)
        # A zero byte means UTF-16 or UTF-32 without a mark, in which the search would find nothing.
        text = content.decode("latin-1") if isinstance(content, bytes) else content
        if "\x00" in text or any(word in text for word in _DECLARATIONS):
            raise UserError(
                f"expected Pascal VOC XML without document type and entities, found them in {path}: save it "
                "without, in UTF-8"
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


@dataclass(frozen=True)
class _Tags:
    """What a file says of its photograph, as paths in one spelling; empty where it says nothing."""

    filename: str
    folder: str
    path: str


def _tags(root: ElementTree.Element) -> _Tags:
    texts = ((root.findtext(tag) or "").strip() for tag in ("filename", "folder", "path"))
    return _Tags(*(path_key(text) if text else "" for text in texts))


def _photographs(file: PurePosixPath, tags: _Tags, gathered: Gathered[Marked]) -> list[str]:
    """The photograph that a file is of; several, where it does not say which."""
    own, stated = _own(file, tags, gathered.names), _stated(file, tags, gathered.names)
    both = [image_id for image_id in own if image_id in stated]
    if own and stated and not both:
        gathered.remarks.count("truth_claims", _STALE, f"{file}, which names {stated[0]}")
    return both or own or stated


def _own(file: PurePosixPath, tags: _Tags, names: PhotographNames) -> list[str]:
    """The photographs at the file's own place; where that tells no class, its tags may."""
    folder = _class_folder(tags, names)
    if folder and names.tells_no_class(str(file.parent)):
        return names.find_beside(f"{folder}/{file.stem}")
    return names.find_beside(str(file.with_suffix("")))


def _class_folder(tags: _Tags, names: PhotographNames) -> str:
    """The class folder that tags name; empty where they name none."""
    folders = (tags.folder, PurePosixPath(tags.path).parent.name)
    return next((folder for folder in folders if names.is_class(folder)), "")


def _stated(file: PurePosixPath, tags: _Tags, names: PhotographNames) -> list[str]:
    """The photographs that the tags may mean."""
    filename = tags.filename
    if not filename.strip("./"):
        return []
    if "/" in filename:
        places = [filename]
    elif not names.tells_no_class(str(file.parent)):
        places = [f"{file.parent}/{filename}"]
    else:
        folder = _class_folder(tags, names)
        places = [tags.path] if PurePosixPath(tags.path).name == filename else []
        places.append(f"{folder}/{filename}" if folder else filename)
    for place in places:
        # labelImg once left the ending out.
        if found := names.find(place) or names.find_beside(place):
            return found
    return []


def _marked(root: ElementTree.Element, path: Path, remarks: Remarks) -> Marked:
    image = Marked(str(path), None)
    size = root.find("size")
    if size is not None:
        sides = [_number(size, tag) for tag in ("height", "width")]
        if None in sides:
            remarks.fault(
                f"expected numbers as width and height of size, found others in {path}: correct them, since "
                "its boxes are taken without a look at the size"
            )
        elif all(side is not None and side > 0 for side in sides):  # some tools write 0 for unknown
            image.size_hw = (sides[0] or 0.0, sides[1] or 0.0)
    for item in root.findall("object"):
        if (item.findtext("difficult") or "").strip().casefold() not in _EASY:
            remarks.count("truth_left_out", _DIFFICULT, str(path))
            continue
        try:
            image.boxes.append(_box(item, path))
        except UserError as error:
            remarks.fault(str(error))
    return image


def _box(item: ElementTree.Element, path: Path) -> tuple[str, list[float]]:
    name, box = (item.findtext("name") or "").strip(), item.find("bndbox")
    if not name:
        raise UserError(f"expected a name in every object, found none in {path}: correct it")
    if box is None:
        raise UserError(f"expected a bndbox in every object, found none in {path}: mark objects with boxes")
    corners = []
    for tag in _CORNERS:
        value = _number(box, tag)
        if value is None:
            raise UserError(
                f"expected a number as {tag} of {box.tag}, found {(box.findtext(tag) or '').strip()!r:.60} "
                f"in {path}: correct it"
            )
        corners.append(value)
    xmin, ymin, xmax, ymax = corners
    if xmax < xmin or ymax < ymin:
        raise UserError(
            f"expected xmin <= xmax and ymin <= ymax, found {xmin:g}, {ymin:g}, {xmax:g}, {ymax:g} in "
            f"{path}: correct the bndbox"
        )
    return name, [xmin - 1, ymin - 1, xmax, ymax]


def _number(parent: ElementTree.Element, tag: str) -> float | None:
    try:
        value = float((parent.findtext(tag) or "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None
