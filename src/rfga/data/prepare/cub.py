"""CUB-200-2011 (Wah et al., CNS-TR-2011-001): 5,994 training and 5,794 test photographs of 200 birds.

The benchmark's 1,000 photographs for validation (CUBV2, Choe et al., CVPR 2020) are a download of their own.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from rfga.data.benchmarks.stored import stored_size
from rfga.data.prepare import lists
from rfga.data.prepare.archive import safe_name
from rfga.data.prepare.download import Remote
from rfga.data.prepare.job import Built, Job, Recipe
from rfga.data.prepare.unpack import Place, unpack
from rfga.data.truth.metadata import LOCALIZATION
from rfga.types import UserError

SET = "CUB"
# The archive's record: https://data.caltech.edu/records/65de6-vp158
ARCHIVE = Remote(
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "md5:97eceeb196236b17998738112f37df78",
)
ARCHIVE_NAMES = ("CUB_200_2011*",)
VAL_NAMES = ("CUBV2*",)
VAL_URL = "https://drive.google.com/open?id=1U6cwKHS65wayT9FFvoLIA8cn1k0Ot2M1"
TABLES = ("images", "train_test_split", "image_class_labels", "bounding_boxes", "classes")
_IMAGE = re.compile(r"(?:CUB_200_2011/)?images/([^/]+/[^/]+)")
_TABLE = re.compile(rf"(?:CUB_200_2011/)?({'|'.join(TABLES)})\.txt")


def build(job: Job) -> Built:
    """Unpack the archive and derive the lists of train and test from its own files.

    Raises:
        UserError: an archive or list is missing, or is not as described.
    """
    lists.require_lists(job.metadata, SET, ("train", "val", "test"))
    val_archive, val_lists = job.archives.find(*VAL_NAMES), lists.find_split(job.metadata, SET, "val")
    if val_archive is not None and val_lists is None:
        raise UserError(
            f"expected the lists of {val_archive.name} (its boxes are in no archive), found none: give "
            f"--metadata DIR with {lists.LISTS_THERE}"
        )
    unpack(job.obtain(ARCHIVE, *ARCHIVE_NAMES), job.work, _placer(job), job.watch)
    counts, notes = _derive(job)
    if val_archive is not None and val_lists is not None:
        counts["val"] = _add_val(job, val_archive, val_lists)
    else:
        missing = "its lists and photographs" if val_lists is None else "its photographs"
        notes.append(
            f"val (CUBV2) is empty, since {missing} were not given: download {VAL_URL} as CUBV2.tar with a "
            f"browser, and prepare the set again with --archives CUBV2.tar --metadata DIR --overwrite, where "
            f"DIR is {lists.LISTS_THERE}"
        )
    return Built(counts, tuple(notes))


def benchmark_box(box_xywh: tuple[float, ...], size_hw: tuple[int, int]) -> tuple[int, ...]:
    """The benchmark's box of a photograph from x, y, width and height of the data set.

    It is (x, y, min(x + width, W - 1), min(y + height, H - 1)): so it was found by comparing the data set's
    own lines of its first 61 photographs with the benchmark's. Their numbers are whole; that a fraction would
    be cut off is assumed.

    Example:
        >>> benchmark_box((60.0, 27.0, 325.0, 304.0), (335, 500))
        (60, 27, 385, 331)
        >>> benchmark_box((1.0, 2.0, 499.0, 286.0), (335, 500))
        (1, 2, 499, 288)
    """
    x, y, width, height = box_xywh
    image_height, image_width = size_hw
    return int(x), int(y), min(int(x + width), image_width - 1), min(int(y + height), image_height - 1)


def _placer(job: Job) -> Place:
    """Photographs go where the set is built, the archive's own lists aside."""
    images, tables = f"{job.folder.name}/images", f"{job.scratch.name}/tables"

    def place(name: str) -> str | None:
        if found := _IMAGE.fullmatch(name):
            return f"{images}/{found[1]}"
        return f"{tables}/{found[1]}.txt" if (found := _TABLE.fullmatch(name)) else None

    return place


def _derive(job: Job) -> tuple[dict[str, int], list[str]]:
    """Lists of train and test, in the archive's order, which is the benchmark's too."""
    tables = {name: _table(job, name) for name in TABLES if name != "classes"}
    rows: dict[str, list[tuple[str, int, tuple[int, int], tuple[int, ...]]]] = {"train": [], "test": []}
    with job.watch.meter("reading sizes", len(tables["images"])) as meter:
        for number, named in tables["images"].items():
            meter.advance(1)
            name = " ".join(named)
            try:
                is_train = {"1": True, "0": False}[tables["train_test_split"][number][0]]
                label = int(tables["image_class_labels"][number][0]) - 1
                box = tuple(float(text) for text in tables["bounding_boxes"][number])
                size_hw = stored_size(job.folder / "images" / safe_name(name, ARCHIVE_NAMES[0]))
                row = (name, label, size_hw, benchmark_box(box, size_hw))
            except (KeyError, ValueError, IndexError) as error:
                raise UserError(
                    f"expected split, class and box of photograph {number} ({name}) in the archive's lists, "
                    f"found none or another form ({error}): get the archive again"
                ) from error
            rows["train" if is_train else "test"].append(row)
    notes = []
    for split, found in rows.items():
        derived = lists.SplitLists(
            labels=[(name, label) for name, label, _, _ in found],
            sizes=[(name, width, height) for name, _, (height, width), _ in found],
            localization=[(name, *box) for name, _, _, box in found],
        )
        lists.write_lists(job.folder / "metadata" / split, derived)
        notes += _compare(job, split, derived)
    if classes := _table(job, "classes"):
        lists.write_classes(job.folder, (row[0] for row in classes.values()))
    return {split: len(found) for split, found in rows.items()}, notes


def _table(job: Job, name: str) -> dict[str, list[str]]:
    """A file of the archive: lines of a number and what belongs to it."""
    rows = lists.read_rows(job.scratch / "tables" / f"{name}.txt", separator=None)
    if not rows and name != "classes":
        raise UserError(
            f"expected {name}.txt in the archive, found none or an empty one: give CUB_200_2011.tgz of "
            f"{ARCHIVE.url}"
        )
    return {row[0]: row[1:] for row in rows}


def _compare(job: Job, split: str, derived: lists.SplitLists) -> list[str]:
    """A note where the given lists say something else; the archive's own files decide."""
    given = lists.find_split(job.metadata, SET, split)
    if given is None:
        return []
    said = {tuple(row) for row in lists.read_rows(given / LOCALIZATION)}
    found = {tuple(map(str, row)) for row in derived.localization}
    if said == found:
        return []
    return [f"{len(said ^ found)} lines of {given} differ from the archive's own files, which were followed"]


def _add_val(job: Job, archive: Path, source: Path) -> int:
    names = lists.read_ids(source)
    wanted = set(names)

    def place(name: str) -> str | None:
        # Whether the class folders stand alone or in a folder of their own in the archive is not documented.
        image_id = "/".join(PurePosixPath(name).parts[-2:])
        return f"images/{image_id}" if image_id in wanted else None

    unpack(archive, job.folder, place, job.watch)
    lists.require_all(lists.missing_files(job.folder / "images", names), names, "photographs of val")
    lists.copy_lists(source, job.folder / "metadata" / "val")
    return len(names)


RECIPE = Recipe((*ARCHIVE_NAMES, *VAL_NAMES), build)
