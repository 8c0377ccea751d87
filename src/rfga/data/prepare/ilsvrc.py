"""ILSVRC 2012 (Russakovsky et al., IJCV 2015), whose archives are given out to registered users alone.

The benchmark's train-fullsup is the Threshold0.7 set of ImageNetV2 (Recht et al., ICML 2019), which anyone
may download; its boxes are in the benchmark's lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from rfga.data.prepare import lists
from rfga.data.prepare.archive import Entry, entries
from rfga.data.prepare.download import Remote
from rfga.data.prepare.job import Built, Job, Recipe
from rfga.data.prepare.unpack import Unpacker, opened_entries, unpack
from rfga.data.truth.metadata import IDS
from rfga.data.walk import list_folder
from rfga.types import UserError

SET = "ILSVRC"
TRAIN_NAMES = ("ILSVRC2012_img_train*.tar",)
TEST_NAMES = ("ILSVRC2012_img_val*.tar",)
VAL_NAMES = ("imagenetv2-threshold0.7*",)
UNUSED_NAMES = (
    "ILSVRC2012_bbox_val*",
    "ILSVRC2012_devkit*",
)  # the benchmark's lists hold their boxes and classes
# The authors' place since 2023; the checksum is the one that TensorFlow Datasets records for this address.
VAL_ARCHIVE = Remote(
    "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-threshold0.7.tar.gz",
    "sha256:32142bfe998f9cfa4141be691f6a80eeb1e27b24bd532a668eb08c26d98897a2",
)
TRAIN_IMAGES, CLASSES = 1_281_167, 1000
MAPPING = "mapping.txt"
_CLASS_TAR = re.compile(r"(?:.*/)?(n\d{8})\.tar")


def build(job: Job) -> Built:
    """Unpack what is given of train (ILSVRC "train"), val (ImageNetV2) and test (ILSVRC "val").

    Raises:
        UserError: no archive was given, or an archive or list is not as described.
    """
    train, test = job.archives.find(*TRAIN_NAMES), job.archives.find(*TEST_NAMES)
    if train is None and test is None:
        raise UserError(
            "expected local archives, since ILSVRC needs an account, found none: register at "
            "https://image-net.org/download.php, download ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar, and give them with --archives FILE FILE --metadata DIR, where DIR is "
            f"{lists.LISTS_THERE} (it holds the boxes of ILSVRC2012_bbox_val_v3.tgz)"
        )
    lists.require_lists(job.metadata, SET, ("val", "test"))
    test_lists = lists.find_split(job.metadata, SET, "test")
    if test is not None and test_lists is None:
        raise UserError(
            f"expected the lists of {test.name}, found none: give --metadata DIR with {lists.LISTS_THERE}"
        )
    counts: dict[str, int] = {}
    notes: list[str] = []
    if train is not None:
        counts["train"], notes = _add_train(job, train)
    else:
        notes.append("train is empty, since ILSVRC2012_img_train.tar was not given")
    if val_lists := lists.find_split(job.metadata, SET, "val"):
        counts["val"] = _add_val(job, val_lists)
    else:
        notes.append(
            f"val (ImageNetV2) is empty, since its lists were not given: they are {lists.LISTS_THERE}"
        )
    if test is not None and test_lists is not None:
        counts["test"] = _add_test(job, test, test_lists)
    else:
        notes.append("test is empty, since ILSVRC2012_img_val.tar was not given")
    return Built(counts, tuple(notes))


def _add_train(job: Job, archive: Path) -> tuple[int, list[str]]:
    """A tar of tars, one for each class; a class's index is its place among the sorted names."""
    images = job.folder / "images" / "train"
    with opened_entries(archive, images, job.watch) as (found, size_bytes):
        outer = Unpacker(images, archive.name, size_bytes)
        for entry in found:
            outer.count(entry)
            if named := _CLASS_TAR.fullmatch(entry.name):
                _unpack_class(entry, images / named[1])
    classes = list(_names_in(images)) if images.is_dir() else []
    if not classes:
        raise UserError(
            f"expected a tar for each class (n01440764.tar) in {archive.name}, found none: give "
            "ILSVRC2012_img_train.tar"
        )
    labels = [
        (f"train/{name}/{image}", label)
        for label, name in enumerate(classes)
        for image in _names_in(images / name)
    ]
    _require_classes(job, classes)
    lists.write_lists(job.folder / "metadata" / "train", lists.SplitLists(labels))
    lists.write_classes(job.folder, classes)
    if (len(labels), len(classes)) == (TRAIN_IMAGES, CLASSES):
        return len(labels), []
    return len(labels), [
        f"train holds {len(labels)} photographs of {len(classes)} classes; "
        f"the whole one has {TRAIN_IMAGES} of {CLASSES}"
    ]


def _require_classes(job: Job, classes: list[str]) -> None:
    """Without all of them, places among the sorted names would not be the lists' class indices."""
    found = (lists.find_split(job.metadata, SET, split) for split in ("val", "test"))
    labels = {label for folder in found if folder is not None for _, label in lists.read_labels(folder)}
    if labels and max(labels) >= len(classes):
        raise UserError(
            f"expected the {max(labels) + 1} classes of the lists in the archive of train, found "
            f"{len(classes)}: get the whole ILSVRC2012_img_train.tar"
        )


def _unpack_class(entry: Entry, folder: Path) -> None:
    with entry.open() as handle, closing(entries(handle, entry.name, folder)) as found:
        unpacker = Unpacker(folder, entry.name, entry.size_bytes)
        for image in found:
            unpacker.count(image)
            unpacker.write(image, PurePosixPath(image.name).name)


def _names_in(folder: Path) -> Iterator[str]:
    return (entry.name for entry in list_folder(folder))


def _add_val(job: Job, source: Path) -> int:
    """ImageNetV2: CLASS/NAME.jpeg becomes val2/CLASS/NUMBER.jpeg, as the lists call it.

    The authors renamed the photographs in 2020; the benchmark's ``mapping.txt`` (``0/0.jpeg, 0/a31....jpeg``)
    leads back to the names of its lists.
    """
    names = lists.read_ids(source)
    wanted = set(names)
    old_names = {row[1]: row[0] for row in lists.read_rows(source / MAPPING) if len(row) == 2}

    def place(name: str) -> str | None:
        own = "/".join(PurePosixPath(name).parts[-2:])
        image_id = f"val2/{old_names.get(own, own)}"
        return f"images/{image_id}" if image_id in wanted else None

    archive = job.obtain(VAL_ARCHIVE, *VAL_NAMES)
    unpack(archive, job.folder, place, job.watch)
    missing = lists.missing_files(job.folder / "images", names)
    if missing and not old_names:
        raise UserError(
            f"expected the {len(names)} photographs of {source / IDS} in {archive.name}, found "
            f"{len(missing)} of them missing, for later archives name them otherwise: put {MAPPING} of "
            f"{lists.BENCHMARK}/tree/master/metadata/{SET}/val into {source}"
        )
    lists.require_all(missing, names, "photographs of val")
    lists.copy_lists(source, job.folder / "metadata" / "val")
    return len(names)


def _add_test(job: Job, archive: Path, source: Path) -> int:
    names = lists.read_ids(source)
    wanted = set(names)

    def place(name: str) -> str | None:
        image_id = f"val/{PurePosixPath(name).name}"
        return f"images/{image_id}" if image_id in wanted else None

    unpack(archive, job.folder, place, job.watch)
    lists.require_all(lists.missing_files(job.folder / "images", names), names, "photographs of test")
    lists.copy_lists(source, job.folder / "metadata" / "test")
    return len(names)


RECIPE = Recipe((*TRAIN_NAMES, *TEST_NAMES, *VAL_NAMES, *UNUSED_NAMES), build)
