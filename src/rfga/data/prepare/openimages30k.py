"""OpenImages30k (Choe et al., CVPR 2020; Benenson et al., CVPR 2019): 100 classes, masks of val and test.

The authors keep it on Google Drive, which gives files of this size to browsers alone, and name no checksums.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rfga.data.prepare import lists
from rfga.data.prepare.job import Built, Job, Recipe
from rfga.data.prepare.unpack import unpack
from rfga.data.truth.metadata import LOCALIZATION
from rfga.types import SPLITS, UserError

SET = "OpenImages"
NAMES = ("OpenImages_images*", "OpenImages_annotations*", "OpenImages30k*")
IMAGES_URL = "https://drive.google.com/open?id=1oOb4WQ-lb8SYppHEg3lWnpHk1X8WVO4e"
MASKS_URL = "https://drive.google.com/open?id=1eu1YvcZlsEalhXTS_5Ni5tkImCliIPie"
HOW_TO = (
    f"download {IMAGES_URL} as OpenImages_images.zip and {MASKS_URL} as OpenImages_annotations.zip with a "
    f"browser, and give them with --archives FILE FILE --metadata DIR, where DIR is {lists.LISTS_THERE}"
)


def build(job: Job) -> Built:
    """Unpack photographs and masks, and copy the benchmark's lists.

    A split none of whose photographs is in the archives is left out: the archive for evaluation holds no
    train.

    Raises:
        UserError: archives or lists are missing, or a split is there in part.
    """
    archives = list(dict.fromkeys(path for name in NAMES if (path := job.archives.find(name)) is not None))
    if not archives:
        raise UserError(f"expected the archives of OpenImages30k, found none: {HOW_TO}")
    sources = {split: lists.find_split(job.metadata, SET, split) for split in SPLITS}
    found = {split: source for split, source in sources.items() if source is not None}
    if len(found) < len(SPLITS):
        lacking = ", ".join(split for split in SPLITS if split not in found)
        raise UserError(
            f"expected the lists of all splits, found none of {lacking}: give --metadata DIR with "
            f"{lists.LISTS_THERE}"
        )
    images = {split: lists.read_ids(source) for split, source in found.items()}
    masks = {split: _mask_names(source) for split, source in found.items()}
    wanted = {name: f"images/{name}" for names in images.values() for name in names}
    wanted |= {name: f"masks/{name}" for names in masks.values() for name in names}
    for archive in archives:
        # The last three parts are SPLIT/CLASS/FILE, whatever folder the archive puts before them.
        unpack(
            archive, job.folder, lambda name: wanted.get("/".join(PurePosixPath(name).parts[-3:])), job.watch
        )
    counts, notes = {}, []
    for split, source in found.items():
        if _is_there(job, split, images[split], masks[split]):
            lists.copy_lists(source, job.folder / "metadata" / split)
            counts[split] = len(images[split])
        else:
            notes.append(f"{split} is empty, since its photographs are not in the archives: {HOW_TO}")
    if not counts:
        raise UserError(
            f"expected SPLIT/CLASS/NAME.jpg in {', '.join(path.name for path in archives)}, found none of "
            f"the lists' photographs: {HOW_TO}"
        )
    _write_classes(job, found)
    return Built(counts, tuple(notes))


def _is_there(job: Job, split: str, images: list[str], masks: list[str]) -> bool:
    """Whether a split is there; in part it is refused."""
    missing = lists.missing_files(job.folder / "images", images)
    if len(missing) == len(images):
        return False
    lists.require_all(missing, images, f"photographs of {split}")
    lists.require_all(lists.missing_files(job.folder / "masks", masks), masks, f"masks of {split}")
    return True


def _mask_names(source: Path) -> list[str]:
    """Every mask and ignored region that the list names, once."""
    names = (cell for row in lists.read_rows(source / LOCALIZATION) for cell in row[1:] if cell)
    return list(dict.fromkeys(names))


def _write_classes(job: Job, sources: dict[str, Path]) -> None:
    """The folder of a class is its name in Open Images without the slashes, ``0bt_c3`` for ``/m/0bt_c3``."""
    folders = {
        label: name.split("/")[1] for source in sources.values() for name, label in lists.read_labels(source)
    }
    lists.write_classes(
        job.folder, (folders.get(label, f"class {label}") for label in range(max(folders) + 1))
    )


RECIPE = Recipe(NAMES, build)
