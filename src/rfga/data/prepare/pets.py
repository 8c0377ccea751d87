"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): 37 breeds, a trimap for every photograph.

Addresses, checksums and folders are those of torchvision's ``OxfordIIITPet``, which opens what is made here.
"""

from __future__ import annotations

import re

from rfga.data.prepare import lists
from rfga.data.prepare.archive import safe_name
from rfga.data.prepare.download import Remote
from rfga.data.prepare.job import Built, Job, Recipe
from rfga.data.prepare.unpack import unpack
from rfga.types import UserError

FOLDER = "oxford-iiit-pet"
IMAGES = Remote(
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"
)
ANNOTATIONS = Remote(
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
    "md5:95a8c909bbe2e81eed6a22bccdf3f68f",
)
IMAGE_NAMES, ANNOTATION_NAMES = ("images.tar.gz", "images.tgz"), ("annotations.tar.gz", "annotations.tgz")
SPLITS = ("trainval", "test")
_KEPT = re.compile(r"(?:images|annotations)/.+")


def build(job: Job) -> Built:
    """Download or take both archives, and see that every listed photograph has its trimap.

    Raises:
        UserError: an archive cannot be had, or is not whole.
    """
    for remote, names in ((ANNOTATIONS, ANNOTATION_NAMES), (IMAGES, IMAGE_NAMES)):
        archive = job.obtain(remote, *names)
        unpack(
            archive, job.folder, lambda name: f"{FOLDER}/{name}" if _KEPT.fullmatch(name) else None, job.watch
        )
    return Built({split: _count(job, split) for split in SPLITS})


def _count(job: Job, split: str) -> int:
    root = job.folder / FOLDER
    rows = lists.read_rows(root / "annotations" / f"{split}.txt", separator=None)
    names = [safe_name(row[0], ANNOTATION_NAMES[0]) for row in rows]
    if not names:
        raise UserError(
            f"expected annotations/{split}.txt in {ANNOTATION_NAMES[0]}, found none: get it from "
            f"{ANNOTATIONS.url}"
        )
    files = [
        *(f"images/{name}.jpg" for name in names),
        *(f"annotations/trimaps/{name}.png" for name in names),
    ]
    lists.require_all(lists.missing_files(root, files), files, f"photographs and trimaps of {split}")
    return len(names)


RECIPE = Recipe((*IMAGE_NAMES, *ANNOTATION_NAMES), build)
