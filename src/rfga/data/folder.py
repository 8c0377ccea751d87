"""Photographs in folders named after their class: ``train/CLASS/*.jpg``, ``val/CLASS/*.jpg`` and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from rfga.data.base import SPLITS, Dataset, canonical_split
from rfga.data.images import IMAGE_SUFFIXES, find_images, list_folder, read_image
from rfga.data.truth import open_truth
from rfga.types import Sample, Truth, UserError

# Folders of these names say that their parent is no plain collection of classes.
_NO_CLASS_NAMES = {"train", "training", "val", "valid", "validation", "eval", "test", "testing"} | {
    "images",
    "masks",
    "annotations",
    "labels",
}


class FolderDataset(Dataset):
    """Class folders of photographs; classes are the subfolders of ``train/``, sorted by name.

    Without ``train/`` they are those of ``val/``, then ``test/``. A root that holds class folders directly
    is taken as its own ``train``. Folders inside a class folder belong to the class.

    Args:
        root: the folder with ``train/`` and, optionally, ``val/`` and ``test/``.
        truth: any kind that ``rfga.data.truth.READERS`` lists, for the photographs of ``truth_split``.
        truth_split: "train", "val" or "test".

    Raises:
        UserError: the folders or the truth are not as described.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as root:
        ...     for name in ("perch", "tench"):
        ...         (Path(root) / "train" / name).mkdir(parents=True)
        ...         Image.new("RGB", (40, 30)).save(Path(root) / "train" / name / "0.png")
        ...     dataset = FolderDataset(Path(root))
        ...     [(sample.image_id, sample.label) for sample in dataset.samples("train")]
        [('perch/0.png', 0), ('tench/0.png', 1)]
    """

    needs_check = True

    def __init__(self, root: Path, truth: Path | None = None, truth_split: str = "val") -> None:
        self.root = Path(root)
        self.name = self.root.resolve().name
        self._split_folders = _find_splits(self.root)
        self.classes = self._find_classes()
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._truth_split = truth_split = canonical_split(truth_split)
        if not any(_has_images(folder) for folder in self._split_folders.values()):
            raise UserError(
                f"expected photographs in the class folders of {self.root}, found no file that ends in "
                f"{' '.join(sorted(IMAGE_SUFFIXES))}: add them"
            )
        if truth is not None:
            image_ids = [sample.image_id for sample in self.samples(truth_split)]
            if not image_ids:
                raise UserError(
                    f"expected photographs in {self.root / truth_split} for the truth {truth}, found none: "
                    "add them or choose another split"
                )
            self.truth_reader = open_truth(Path(truth), self._split_folders[truth_split], image_ids)

    def samples(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split``, class by class, sorted by name; empty where it has no folder."""
        split = canonical_split(split)
        if split not in self._samples:
            folder = self._split_folders.get(split)
            self._samples[split] = tuple(self._scan(folder)) if folder is not None else ()
        return self._samples[split]

    def truth(self, sample: Sample) -> Truth | None:
        """Boxes or a mask of ``sample`` in original pixels; None where nothing is known of it.

        Raises:
            UserError: the truth does not fit the photograph.
        """
        if self.truth_reader is None:
            return None
        # The path is compared, because photographs of two splits may share their id.
        if sample.path != self._split_folders[self._truth_split] / sample.image_id:
            return None
        return self.truth_reader.truth(sample.image_id)

    def reduced_image(self, sample: Sample, least_side: int) -> Image.Image:
        """As ``image``, smaller where that is faster, but on no side of less than ``least_side`` pixels."""
        return read_image(sample.path, least_side)

    def has_truth(self, split: str) -> bool:
        """Whether any sample of ``split`` has boxes or a mask."""
        return self.truth_reader is not None and canonical_split(split) == self._truth_split

    def _find_classes(self) -> tuple[str, ...]:
        """Names of the class folders of the first split; those of the others must be among them."""
        (first, folder), *others = self._split_folders.items()
        classes = subfolders(folder)
        if not classes:
            found, remedy = _found_loose(_count_loose(folder), folder)
            raise UserError(f"expected class folders {folder / 'CLASS'}/*.jpg, found {found}: {remedy}")
        for split, other in others:
            unknown = [name for name in subfolders(other) if name not in set(classes)]
            if unknown:
                raise UserError(
                    f"expected the class folders of {split}/ among those of {first}/, found "
                    f"{', '.join(unknown)} in {other} alone: rename or remove it"
                )
        return tuple(classes)

    def _scan(self, folder: Path) -> Iterator[Sample]:
        present = set(subfolders(folder))
        for label, name in enumerate(self.classes):
            if name in present:
                for image in sorted(find_images(folder / name)):
                    image_id = f"{name}/{image}"
                    yield Sample(image_id, folder / image_id, label)


def _find_splits(root: Path) -> dict[str, Path]:
    """The folder of each split that is there, in the order of ``SPLITS``."""
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise UserError(f"expected a folder with train/CLASS/*.jpg, found {found} at {root}: check its name")
    folders = subfolders(root)
    splits = {split: root / split for split in SPLITS if split in folders}
    if splits:
        return splits
    loose = _count_loose(root)
    reserved = [name for name in folders if name.lower() in _NO_CLASS_NAMES]
    deeper = [name for name in folders if not set(SPLITS).isdisjoint(subfolders(root / name))]
    if folders and not (loose or reserved or deeper):
        return {"train": root}
    if deeper:
        found, remedy = f"them one level deeper, in {deeper[0]!r}", f"give {root / deeper[0]}"
    elif reserved:
        found, remedy = f"the folder {reserved[0]!r}", "name the folders train, val and test"
    else:
        found, remedy = _found_loose(loose, root)
    raise UserError(f"expected class folders {root / 'train' / 'CLASS'}/*.jpg, found {found}: {remedy}")


def _found_loose(loose: int, folder: Path) -> tuple[str, str]:
    """What was found in place of class folders, and the remedy."""
    if loose:
        return f"{loose} images lying loose in {folder}", "move them into one folder for each class"
    return f"none in {folder}", "make one folder of photographs for each class"


def _count_loose(folder: Path) -> int:
    endings = tuple(IMAGE_SUFFIXES)
    return sum(entry.name.lower().endswith(endings) for entry in list_folder(folder) if not entry.is_dir())


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted.

    Raises:
        UserError: it cannot be listed.
    """
    return [entry.name for entry in list_folder(folder) if entry.is_dir()]


def _has_images(folder: Path) -> bool:
    return any(True for name in subfolders(folder) for _ in find_images(folder / name))
