"""Photographs in folders named after their class: ``train/CLASS/*.jpg``, ``val/CLASS/*.jpg`` and so on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from PIL import Image

from rfga.data.background import background_samples, is_background
from rfga.data.base import Dataset, canonical_split
from rfga.data.folder_notes import layout_notes, loose_photographs, unread
from rfga.data.formats import IMAGE_SUFFIXES, OTHER_PICTURES
from rfga.data.images import read_image
from rfga.data.spelling import class_key, nearly_same, same_names
from rfga.data.truth.corrections import read_corrections
from rfga.data.truth.readers import open_truth
from rfga.data.walk import (
    find_images,
    is_folder,
    is_picture,
    list_folder,
    of_several_classes,
    of_two_classes,
    subfolders,
)
from rfga.types import SPLIT_FOLDERS, SPLITS, Sample, Truth, UserError

# Folders of these names say that their parent is no plain collection of classes.
_NO_CLASS_NAMES = {"images", "masks", "annotations", "labels"}


class FolderDataset(Dataset):
    """Class folders of photographs; classes are the subfolders of ``train/``, sorted by name.

    Without ``train/`` they are those of ``val/``, then ``test/``; other names that people give to splits are
    listed in ``rfga.types.SPLIT_FOLDERS``. A root that holds class folders directly is taken as its own
    ``train``. Folders inside a class folder belong to the class.

    Args:
        root: the folder with ``train/`` and, optionally, ``val/`` and ``test/``.
        truth: any kind that ``READERS`` (``data.truth.readers``) lists, for photographs of ``truth_split``.
        truth_split: "train", "val" or "test".
        background: names of folders, beside those of the classes, whose photographs show no object.

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

    def __init__(
        self,
        root: Path,
        truth: Path | None = None,
        truth_split: str = "val",
        background: Collection[str] = (),
    ) -> None:
        self.root, self._no_classes = Path(root), background
        self.name = self.root.resolve().name
        self._split_folders = self._find_splits()
        self.classes = self._find_classes()
        self.notes = (
            *layout_notes(self.root, self._split_folders, self.classes, truth, background),
            *loose_photographs(self.root, self._split_folders),
        )
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._background: dict[str, tuple[Sample, ...]] | None = None
        self._truth_split = truth_split = canonical_split(truth_split)
        self._require_photographs()
        if truth is not None:
            samples = self.samples(truth_split)
            if not samples:
                raise UserError(
                    f"expected photographs in {self.root / truth_split} for the truth {truth}, found none: "
                    "add them or choose another split"
                )
            image_ids = [sample.image_id for sample in samples]
            self.truth_reader = open_truth(Path(truth), self._split_folders[truth_split], image_ids)

    def samples(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split``, class by class, sorted by name; empty where it has no folder."""
        split = canonical_split(split)
        if split not in self._samples:
            folder = self._split_folders.get(split)
            self._samples[split] = tuple(self._scan(folder)) if folder is not None else ()
        return self._samples[split]

    def several_classes(self, split: str) -> Mapping[Path, tuple[int, ...]]:
        """Photographs that lie in several class folders, by links of any kind."""
        return of_several_classes(self.samples(split))

    def background(self, split: str) -> Sequence[Sample]:
        """The photographs of ``split`` in folders that were named as without any object."""
        if self._background is None:
            self._background = background_samples(self.root, self._split_folders, self._no_classes)
        return self._background.get(canonical_split(split), ())

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

    def correct(self, path: Path) -> None:
        """Take over what a person has said of photographs of any split, as any kind of truth.

        Raises:
            UserError: it is of no known kind, or tells nothing of any photograph.
        """
        photographs = {
            split: [*self.samples(split), *self.background(split)] for split in self._split_folders
        }
        self.corrections, left_out = read_corrections(path, self._split_folders, photographs)
        self.notes += tuple(left_out)

    def has_truth(self, split: str) -> bool:
        """Whether any sample of ``split`` has boxes or a mask."""
        return self.truth_reader is not None and canonical_split(split) == self._truth_split

    def _find_splits(self) -> dict[str, Path]:
        return split_folders(self.root)

    def _find_classes(self) -> tuple[str, ...]:
        """Names of the class folders of the first split; those of the others must be among them."""
        (first, folder), *others = self._split_folders.items()
        classes = class_folders(folder, self._no_classes)
        if not classes:
            found, remedy = _found_loose(_count_loose(folder), folder)
            raise UserError(f"expected class folders {folder / 'CLASS'}/*.jpg, found {found}: {remedy}")
        for split, other in others:
            unknown = [name for name in class_folders(other, self._no_classes) if name not in classes]
            if unknown:
                near = nearly_same(unknown[0], classes)
                hint = f" (it differs from {near[0]!r} in case or space alone)" if near else ""
                raise UserError(
                    f"expected the class folders of {split}/ among those of {first}/, found "
                    f"{', '.join(unknown)} in {other} alone{hint}: rename or remove it"
                )
        return tuple(classes)

    def _require_photographs(self) -> None:
        found: dict[str, int] = {}
        for folder in self._split_folders.values():
            for name in chain(*class_folders(folder, self._no_classes).values()):
                for image in find_images(folder / name, IMAGE_SUFFIXES | OTHER_PICTURES):
                    if is_picture(image):
                        return
                    ending = Path(image).suffix.lower()
                    found[ending] = found.get(ending, 0) + 1
        if found:
            raise UserError(unread(found, f"the class folders of {self.root}"))
        raise UserError(
            f"expected photographs in the class folders of {self.root}, found no file that ends in "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}: add them"
        )

    def _scan(self, folder: Path) -> Iterator[Sample]:
        present, left_out, names = class_folders(folder, self._no_classes), dict[str, int](), list[str]()
        places: dict[tuple[Path, str], None] = {}
        for label, key in enumerate(self.classes):
            for name in present.get(key, ()):
                for image in sorted(find_images(folder / name, IMAGE_SUFFIXES | OTHER_PICTURES)):
                    image_id = f"{name}/{image}"
                    if is_picture(image):
                        names.append(image_id)
                        places[(folder / image_id).parent, key] = None
                        yield Sample(image_id, folder / image_id, label)
                    else:
                        ending = Path(image).suffix.lower()
                        left_out[ending] = left_out.get(ending, 0) + 1
        self.notes += tuple(of_two_classes(places))
        if left_out:
            self.notes += (unread(left_out, f"{folder}"),)
        if twice := same_names(names):
            self.notes += (
                f"expected names that differ, found {len(twice)} in {folder} that differ in how letters are "
                f"composed alone (first {min(twice)}): each is a photograph of its own, but truth cannot "
                "tell them apart",
            )


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split that is there, in the order of ``SPLITS``; class folders alone are train.

    Raises:
        UserError: there are neither splits nor class folders, or two folders of one split.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise UserError(f"expected a folder with train/CLASS/*.jpg, found {found} at {root}: check its name")
    folders = subfolders(root)
    if splits := _named_splits(root, folders):
        return splits
    loose = _count_loose(root)
    reserved = [name for name in folders if name.lower() in _NO_CLASS_NAMES | SPLIT_FOLDERS.keys()]
    deeper = [name for name in folders if not set(SPLITS).isdisjoint(subfolders(root / name))]
    if folders and not (reserved or deeper) and (not loose or len(folders) > 1):
        return {"train": root}
    if deeper:
        found, remedy = f"them one level deeper, in {deeper[0]!r}", f"give {root / deeper[0]}"
    elif reserved:
        found, remedy = f"the folder {reserved[0]!r}", "name the folders train, val and test"
    else:
        found, remedy = _found_loose(loose, root)
    raise UserError(f"expected class folders {root / 'train' / 'CLASS'}/*.jpg, found {found}: {remedy}")


def _named_splits(root: Path, folders: Sequence[str]) -> dict[str, Path]:
    """The folders that are called as splits are; none where they may be classes."""
    named: dict[str, list[str]] = {}
    for name in folders:
        if (split := SPLIT_FOLDERS.get(name.lower())) is not None:
            named.setdefault(split, []).append(name)
    others = [name for name in folders if name.lower() not in SPLIT_FOLDERS.keys() | _NO_CLASS_NAMES]
    if others and "train" not in named and set(SPLITS).isdisjoint(folders):
        return {}
    for split, names in named.items():
        if len(names) > 1:
            raise UserError(
                f"expected one folder of the split {split} in {root}, found {' and '.join(names)}: put their "
                "photographs into one"
            )
    return {split: root / named[split][0] for split in SPLITS if split in named}


def class_folders(folder: Path, background: Collection[str] = ()) -> Mapping[str, list[str]]:
    """The classes that have a folder in ``folder``, sorted, each with the names of its folders there.

    Folders called as one of ``background`` are of no class.

    Raises:
        UserError: it cannot be listed.
    """
    found: dict[str, list[str]] = {}
    for name in subfolders(folder):
        if not is_background(name, background):
            found.setdefault(class_key(name), []).append(name)
    return dict(sorted(found.items()))


def _found_loose(loose: int, folder: Path) -> tuple[str, str]:
    """What was found in place of class folders, and the remedy."""
    if loose:
        return f"{loose} images lying loose in {folder}", "move them into one folder for each class"
    return f"none in {folder}", "make one folder of photographs for each class"


def _count_loose(folder: Path) -> int:
    return sum(is_picture(entry.name) and not is_folder(entry) for entry in list_folder(folder))
