"""Predicted boxes as Pascal VOC: one XML file a photograph."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from rfga.files import replacing_folder
from rfga.output.export.checked import checked
from rfga.output.export.stems import Stems
from rfga.types import FloatArray, Prediction
from rfga.untrusted import place_below

CORNERS = ("xmin", "ymin", "xmax", "ymax")

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_voc(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
) -> Path:
    """Write ``voc/``: one XML file for each photograph, with or without a box, in the photograph's folder.

    ``tench/a.jpg`` gets ``tench/a.xml``, or ``tench/a.jpg.xml`` where another photograph took that name.
    Boxes are VOC's: whole pixels counted from 1, the last one included, so that edges are rounded to the
    nearest pixel border (`voc_pixels`). Each object also has its ``score``. The file of a photograph that a
    person has looked at begins with ``<annotation verified="yes">``, as labelImg marks it, and each of its
    objects has ``<source>person</source>``.

    Arguments, result and errors are those of `rfga.output.export.coco.write_coco`; a name that
    leads out of the folder is an error, too.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> box = np.array([[10.0, 5.0, 30.0, 25.0]])
        >>> found = Prediction("tench/1.jpg", (60, 80), 0, 0.9, box, np.array([0.8]), None, 0.2)
        >>> path = write_voc([found], ["tench"], Path(tempfile.mkdtemp()))
        >>> ElementTree.parse(path / "tench" / "1.xml").findtext("object/bndbox/xmin")
        '11'
    """
    path, stems = out_folder / "voc", Stems()
    with replacing_folder(path) as temporary:
        for prediction in checked(predictions, len(classes)):
            name = prediction.image_id if file_names is None else file_names[prediction.image_id]
            target = place_below(temporary, f"{stems.of(name)}.xml")
            target.parent.mkdir(parents=True, exist_ok=True)
            root = _annotation(prediction, PurePosixPath(name), classes)
            ElementTree.indent(root)
            target.write_text(ElementTree.tostring(root, encoding="unicode") + "\n", encoding="utf-8")
    return path


def voc_pixels(box: FloatArray, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The first and the last pixel, counted from 1, of edges rounded to pixel borders; never empty.

    Args:
        box: (4,) edges x0, y0, x1, y1 in pixels.
        size_hw: height and width of the photograph.

    Example:
        >>> import numpy as np
        >>> voc_pixels(np.array([0.0, 0.6, 80.0, 60.0]), (60, 80))
        (1, 2, 80, 60)
    """
    x0, y0, x1, y1 = box.tolist()
    (left, right), (top, bottom) = _whole(x0, x1, size_hw[1]), _whole(y0, y1, size_hw[0])
    return left + 1, top + 1, right, bottom


def _whole(low: float, high: float, length: int) -> tuple[int, int]:
    first, after = (min(max(math.floor(edge + 0.5), 0), length) for edge in (low, high))
    if first == after:  # less than half a pixel on both sides: the pixel that holds the middle
        first = min(math.floor((low + high) / 2), length - 1)
        after = first + 1
    return first, after


def _annotation(prediction: Prediction, name: PurePosixPath, classes: Sequence[str]) -> ElementTree.Element:
    # labelImg's own word for a file that a person has looked at
    root = ElementTree.Element("annotation", {"verified": "yes"} if prediction.reviewed else {})
    _add(root, "folder", "" if name.parent == PurePosixPath() else str(name.parent))
    _add(root, "filename", name.name)
    height, width = prediction.size_hw
    _add_all(ElementTree.SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    _add(root, "segmented", 0)
    found = zip(prediction.boxes, prediction.scores.tolist(), prediction.labels, strict=True)
    for box, score, label in found:
        item = ElementTree.SubElement(root, "object")
        _add_all(item, {"name": classes[label], "pose": "Unspecified", "truncated": 0, "difficult": 0})
        _add_all(item, {"score": score} | ({"source": "person"} if prediction.reviewed else {}))
        corners = zip(CORNERS, voc_pixels(box, prediction.size_hw), strict=True)
        _add_all(ElementTree.SubElement(item, "bndbox"), dict(corners))
    return root


def _add_all(parent: ElementTree.Element, texts: Mapping[str, object]) -> None:
    for tag, text in texts.items():
        _add(parent, tag, text)


def _add(parent: ElementTree.Element, tag: str, text: object) -> None:
    # Characters that XML does not have, such as bytes of a name that is no UTF-8, become question marks.
    ElementTree.SubElement(parent, tag).text = _NO_XML.sub("?", str(text))
