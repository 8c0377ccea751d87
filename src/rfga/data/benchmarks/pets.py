"""Oxford-IIIT Pet: 37 breeds of cats and dogs with masks, which anyone can download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from torchvision.datasets import OxfordIIITPet

from rfga.data.base import Dataset, canonical_split
from rfga.data.benchmarks.stored import StoredPixels, stored_size
from rfga.data.images import opened
from rfga.data.names import LabelledNames, Names
from rfga.data.samples import SampleList
from rfga.types import MASK_BACKGROUND, MASK_IGNORED, MASK_OBJECT, ByteArray, Sample, Truth, UserError

VAL_SHARE = 10  # one photograph in so many of the official trainval part is of val


class PetsDataset(StoredPixels, Dataset):
    """3,680 photographs of train and val and 3,669 of test, each with a mask, read by torchvision's loader.

    val is a fixed tenth of the official trainval part, chosen by a hash of the name. The outline of each
    animal, which the trimap leaves open, is ignored. Pixels are taken as they are stored.
    Source: Parkhi et al., "Cats and Dogs", CVPR 2012.

    Args:
        root: the folder that holds ``oxford-iiit-pet/``.
        truth: to be left out; the masks come with the photographs.
        truth_split: ignored; masks of every split are there.

    Raises:
        UserError: the files are not there or damaged, or ``truth`` is given.
    """

    name = "pets"
    needs_check = True

    def __init__(self, root: Path, truth: Path | None = None, truth_split: str = "val") -> None:
        if truth is not None:
            raise UserError(
                f"expected no truth for {self.name!r}, which carries its own, found {truth}: leave it out"
            )
        self.root = Path(root)
        official, test = (_loader(self.root, split) for split in ("trainval", "test"))
        self.classes = tuple(official.classes)
        self._trimaps = {
            image.name: trimap
            for loader in (official, test)
            for image, trimap in zip(loader._images, loader._segs, strict=True)
        }
        of_val = np.array([_is_of_val(image.name) for image in official._images], bool)
        samples = _samples(official)
        self._samples = {
            "train": samples.picked(np.flatnonzero(~of_val)),
            "val": samples.picked(np.flatnonzero(of_val)),
            "test": _samples(test),
        }

    def samples(self, split: str) -> SampleList:
        """The photographs of ``split`` in the official order."""
        return self._samples[canonical_split(split)]

    def truth(self, sample: Sample) -> Truth | None:
        """The animal's mask in pixels as stored; None of a photograph that is not of this data set.

        Raises:
            UserError: the trimap is missing, damaged, or of another size than the photograph.
        """
        trimap = self._trimaps.get(sample.image_id)
        if trimap is None:
            return None
        mask, size_hw = _read_trimap(trimap), stored_size(sample.path)
        if mask.shape != size_hw:
            raise UserError(
                f"expected the trimap of {sample.image_id} to have its {size_hw[1]}x{size_hw[0]} pixels, "
                f"found {mask.shape[1]}x{mask.shape[0]} in {trimap}: download both again"
            )
        return Truth(size_hw=size_hw, mask=mask)

    def has_truth(self, split: str) -> bool:
        """Whether ``split`` has photographs: each has a mask."""
        return len(self.samples(split)) > 0


def _loader(root: Path, split: str) -> OxfordIIITPet:
    try:
        loader = OxfordIIITPet(root, split=split, target_types="segmentation", download=False)
        folders = {path.parent for path in (*loader._images, *loader._segs)}
        if outside := folders - {loader._images_folder, loader._segs_folder}:
            raise ValueError(f"its lists name files in {min(outside)}")
        return loader
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"expected Oxford-IIIT Pet (images/ and annotations/) in {root / 'oxford-iiit-pet'}, found it "
            f"not there or damaged ({error}): download it with rfga data prepare pets"
        ) from error


def _samples(loader: OxfordIIITPet) -> SampleList:
    images: list[Path] = loader._images
    names = Names.of([image.name for image in images])
    labels = np.array(loader._labels, np.int64)
    folder = images[0].parent if images else Path()
    return SampleList(LabelledNames(names, labels), folder)


def _is_of_val(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % VAL_SHARE == 0


def _read_trimap(path: Path) -> ByteArray:
    with opened(path) as image:
        trimap = np.asarray(image)
    if trimap.ndim != 2 or trimap.dtype != np.uint8 or not set(np.unique(trimap).tolist()) <= {1, 2, 3}:
        raise UserError(
            f"expected a trimap of 1 (animal), 2 (background) and 3 (outline), found other values in {path}: "
            "replace it"
        )
    mask: ByteArray = np.choose(trimap - 1, (MASK_OBJECT, MASK_BACKGROUND, MASK_IGNORED)).astype(np.uint8)
    return mask
