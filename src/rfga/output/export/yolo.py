"""Predicted boxes as a data set for Ultralytics' YOLO: label files, data.yaml, and lists of photographs.

Its rules (ultralytics/data/utils.py, base.py): a photograph ``.../images/NAME.jpg`` has its boxes in
``.../labels/NAME.txt``, the last ``/images/`` counting; lists of photographs name them from the list's folder
where a line begins with ``./``; without ``path``, what data.yaml names is looked for beside it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import yaml

from rfga.files import replacing_folder
from rfga.output.export.checked import checked
from rfga.output.export.stems import Stems
from rfga.types import SPLIT_FOLDERS, SPLITS, FloatArray, Prediction
from rfga.untrusted import place_below

FOLDER, IMAGES, REVIEWED = "yolo", "images", "reviewed"
VAL_EVERY = 10
"""One photograph out of so many is set aside for val, where they do not lie in folders train, val, test."""

# What lists of lines cannot hold: ends of lines, control characters, bytes that are no UTF-8.
_NO_LINE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")

HEADER = """\
# Boxes by rfga. The lists name photographs below images/, whose boxes stand below labels/.
# Photographs in which nothing was found are in no list: Ultralytics would take them as empty of objects.
"""


def write_yolo(
    predictions: Iterable[Prediction],
    classes: Sequence[str],
    out_folder: Path,
    file_names: Mapping[str, str] | None = None,
) -> Path:
    r"""Write ``yolo/``: ``labels/*.txt``, ``data.yaml``, and the lists ``train.txt``, ``val.txt``.

    A label line is ``class x y width height``, the box's middle and size as fractions of the photograph.
    The photograph ``tench/a.jpg`` is listed as ``./images/tench/a.jpg``; `place_photographs` puts it there.
    Where another photograph took its label file, or Ultralytics would stumble over its name, it is listed
    under a name of its own, and data.yaml says which (``renamed``). Photographs below ``train/``, ``val/``
    and ``test/`` keep their split; of others, every tenth is val.

    Label lines have no place for who made a box: ``reviewed.txt`` lists the photographs that a person has
    looked at. Those without any box are listed with an empty label file, as photographs of background.

    Arguments, result and errors are those of `rfga.output.export.coco.write_coco`; a name that
    leads out of the folder is an error, too.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> box = np.array([[20.0, 15.0, 60.0, 45.0]])
        >>> found = Prediction("tench/1.jpg", (60, 80), 0, 0.9, box, np.array([0.8]), None, 0.2)
        >>> path = write_yolo([found], ["tench"], Path(tempfile.mkdtemp()))
        >>> (path / "labels" / "tench" / "1.txt").read_text()
        '0 0.50000000 0.50000000 0.50000000 0.50000000\n'
    """
    path, names, renamed = out_folder / FOLDER, _Names(), {}
    counts = dict.fromkeys(SPLITS, 0)
    with replacing_folder(path, keep=(IMAGES,)) as temporary, ExitStack() as files:
        lists = {split: files.enter_context(_list(temporary, split)) for split in SPLITS}
        reviewed = files.enter_context(_list(temporary, REVIEWED))
        (temporary / "labels").mkdir()
        for prediction in checked(predictions, len(classes)):
            name = prediction.image_id if file_names is None else file_names[prediction.image_id]
            listed, stem = names.of(name)
            if listed != name:
                renamed[listed] = name
            if not len(prediction.boxes) and not prediction.reviewed:
                continue
            split = _split(name, sum(counts.values()))
            counts[split] += 1
            lists[split].write(f"./{IMAGES}/{listed}\n")
            if prediction.reviewed:
                reviewed.write(f"./{IMAGES}/{listed}\n")
            label = place_below(temporary / "labels", f"{stem}.txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            boxes = zip(prediction.boxes, prediction.labels, strict=True)
            lines = [_line(box, label, prediction.size_hw) for box, label in boxes]
            label.write_text("".join(lines), encoding="utf-8", newline="\n")
        files.close()
        if not (temporary / f"{REVIEWED}.txt").stat().st_size:
            (temporary / f"{REVIEWED}.txt").unlink()
        _write_yaml(temporary, counts, classes, renamed)
    return path


def place_photographs(photographs: Iterable[tuple[str, Path]], out_folder: Path, how: str) -> Path:
    """Put photographs into ``yolo/images`` under the names that `write_yolo` listed them with.

    Args:
        photographs: image id and file, in the order of the predictions that were written.
        out_folder: the folder that ``yolo`` lies in.
        how: "link" (symbolic; hard or a copy where the system refuses), or "copy".

    Raises:
        UserError: the folder cannot be written.
    """
    path, names = out_folder / FOLDER / IMAGES, _Names()
    if path.is_symlink():  # somebody has put all photographs there in one go
        return path
    with replacing_folder(path) as temporary:
        for image_id, photograph in photographs:
            target = place_below(temporary, names.of(image_id)[0])
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(photograph.absolute(), target, how)
    return path


class _Names:
    """The name of each photograph below images/, and of its label file below labels/ without ending."""

    def __init__(self) -> None:
        self._stems = Stems()

    def of(self, name: str) -> tuple[str, str]:
        parts = _NO_LINE.sub("_", name).split("/")
        # The last /images/ of a path becomes /labels/, and every ./ of a line the list's folder.
        folders = [f"{part}_" if part == IMAGES or part.endswith(".") else part for part in parts[:-1]]
        safe = "/".join([*folders, parts[-1]])
        stem = self._stems.of(safe)
        return stem + PurePosixPath(safe).suffix, stem


def _list(folder: Path, split: str) -> TextIO:
    return (folder / f"{split}.txt").open("w", encoding="utf-8", newline="\n")


def _split(name: str, index: int) -> str:
    split = SPLIT_FOLDERS.get(name.partition("/")[0].lower())
    if split is not None:
        return split
    return "val" if index % VAL_EVERY == VAL_EVERY - 1 else "train"


def _line(box: FloatArray, label: int, size_hw: tuple[int, int]) -> str:
    height, width = size_hw
    x0, y0, x1, y1 = box.tolist()
    shape = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
    return " ".join([str(label), *(f"{number:.8f}" for number in shape)]) + "\n"


def _write_yaml(
    folder: Path, counts: Mapping[str, int], classes: Sequence[str], renamed: Mapping[str, str]
) -> None:
    used = [split for split in SPLITS if counts[split]] or ["train"]
    for split in set(SPLITS) - set(used):
        (folder / f"{split}.txt").unlink()
    held: dict[str, Any] = {}
    # Ultralytics wants train and val, and neither empty.
    for split in ("train", "val", *used):
        held[split] = f"{split if split in used else used[0]}.txt"
    held["names"] = dict(enumerate(classes))
    if renamed:
        held["renamed"] = dict(renamed)
    with (folder / "data.yaml").open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(HEADER)
        if "val" not in used:
            stream.write(f"# No photographs were set aside: val is {used[0]} too.\n")
        yaml.safe_dump(held, stream, sort_keys=False, allow_unicode=True)


def _place(photograph: Path, target: Path, how: str) -> None:
    if how == "link":
        for make in (os.symlink, os.link):
            try:
                make(photograph, target)
            except OSError:
                continue
            return
    shutil.copy2(photograph, target)
