"""Score maps on disk, of any tool: one ``.npy`` for each image, or stacks in ``.npz`` with their ids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from rfga.geometry.maps import EVAL_SIZE_HW, NORMALISATIONS, score_maps
from rfga.types import FloatArray, UserError

MOST_NAME_BYTES = 2**29  # of the names in one stack; the 1.28 million of ILSVRC take a third of it


@dataclass(frozen=True)
class MapFiles:
    """Where the map of each image lies.

    Args:
        single: image id -> its ``.npy`` file.
        stacked: image id -> (``.npz`` file, its place in it).
        extra: names found on disk that are no image of the list.
    """

    single: dict[str, Path] = field(default_factory=dict)
    stacked: dict[str, tuple[Path, int]] = field(default_factory=dict)
    extra: tuple[str, ...] = ()

    def missing(self, image_ids: Sequence[str]) -> list[str]:
        """Images of the list that have no map."""
        return [i for i in image_ids if i not in self.single and i not in self.stacked]

    def read(self, image_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.floating] | UserError]]:
        """Each image's map as it is on disk, or why it cannot be read; stacks are held one at a time."""
        for image_id in image_ids:
            if image_id in self.single:
                yield image_id, _load_single(self.single[image_id])
        places: dict[Path, dict[int, str]] = {}
        for image_id in image_ids:
            if image_id in self.stacked and image_id not in self.single:
                path, place = self.stacked[image_id]
                places.setdefault(path, {})[place] = image_id
        for path, names in places.items():
            for place, held in enumerate(_stack_maps(path, max(names) + 1)):
                if place in names:
                    yield names[place], held


def find_maps(root: Path, image_ids: Sequence[str]) -> MapFiles:
    """Look for the maps of ``image_ids`` below ``root``, or in the one ``.npz`` file that it is.

    ``ROOT/<image id>.npy`` with or without the id's own extension, and any ``.npz`` with ``maps`` (N, H, W)
    and ``ids`` (N,).

    Raises:
        UserError: nothing there, or a stack that does not hold what it should.

    Example:
        >>> find_maps(Path("no/such/folder"), ["a.jpg"])
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected score maps, found nothing at no/such/folder: ...
    """
    if not root.exists():
        raise UserError(f"expected score maps, found nothing at {root}: give a folder or an .npz file")
    wanted = set(image_ids)
    # "val/0.npy" stands for "val/0.jpeg" where only one image of that name without extension is known.
    bare: dict[str, str] = {}
    for image_id in image_ids:
        bare.setdefault(str(Path(image_id).with_suffix("").as_posix()), image_id)
    single: dict[str, Path] = {}
    stacked: dict[str, tuple[Path, int]] = {}
    extra: list[str] = []
    for path in [root] if root.is_file() else sorted(p for p in root.rglob("*.np[yz]") if p.is_file()):
        if path.suffix == ".npz":
            for place, name in enumerate(_stack_ids(path)):
                known = name if name in wanted else bare.get(name)
                if known is None:
                    extra.append(f"{path.name}: {name}")
                else:
                    stacked[known] = (path, place)
            continue
        name = path.relative_to(root).with_suffix("").as_posix() if path != root else path.stem
        known = name if name in wanted else bare.get(name)
        if known is None:
            extra.append(name)
        elif name == known or known not in single:
            single[known] = path
    return MapFiles(single, stacked, tuple(extra))


def prepared(raw: NDArray[np.floating], normalisation: str) -> FloatArray:
    """A map ready for the metrics: (224, 224) in [0, 1].

    A map of that size is taken as it is; a smaller one is raw, so it is resized and then normalised.

    Raises:
        UserError: a wrong shape or type, values that are no numbers, or a full-size map outside [0, 1].

    Example:
        >>> prepared(np.eye(14, dtype=np.float32), "minmax").shape
        (224, 224)
    """
    _require_map(raw.shape, raw.dtype)
    if not np.isfinite(raw).all():
        raise UserError(
            f"expected numbers, found {int((~np.isfinite(raw)).sum())} values that are NaN or infinite"
        )
    if raw.shape == EVAL_SIZE_HW:
        low, high = float(raw.min()), float(raw.max())
        if low < 0 or high > 1:
            raise UserError(f"expected values in [0, 1] in a map of full size, found {low:g} to {high:g}")
        return raw.astype(np.float64)
    if normalisation not in NORMALISATIONS:
        raise UserError(
            f"expected a normalisation out of {', '.join(NORMALISATIONS)}, found {normalisation!r}"
        )
    return score_maps(raw, normalisation)


def _load_single(path: Path) -> NDArray[np.floating] | UserError:
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype = _header(stream)
            _require_map(shape, dtype)
            return _read_map(stream, shape, dtype, "F" if fortran else "C")
    except UserError as error:
        return error
    except Exception as error:  # of the file, of numpy's header, of memory
        return UserError(f"expected an array in {path.name}, found it unreadable ({error})")


def _stack_maps(path: Path, end: int) -> Iterator[NDArray[np.floating] | UserError]:
    """The first ``end`` maps of a stack one after the other, so that a stack of any length fits in memory."""
    given = 0
    try:
        with ZipFile(path) as archive, archive.open("maps.npy") as stream:
            shape, fortran, dtype = _header(stream)
            if fortran:
                raise ValueError("stored by columns")
            _require_map(shape[1:], dtype)
            for _ in range(end):
                yield _read_map(stream, shape[1:], dtype)
                given += 1
    except Exception as error:  # damaged archives make their readers raise errors of any type
        for _ in range(given, end):
            yield UserError(f"expected the array maps in {path.name}, found it unreadable ({error})")


def _stack_ids(path: Path) -> list[str]:
    try:
        with ZipFile(path) as archive:
            with archive.open("maps.npy") as stream:
                shape = _header(stream)[0]
            with archive.open("ids.npy") as stream:
                ids = _read_names(stream)
    except Exception as error:
        raise UserError(
            f"expected maps (N, H, W) and ids (N,) in {path}, found them unreadable ({error}): replace it"
        ) from error
    if len(shape) != 3 or shape[0] != len(ids):
        raise UserError(
            f"expected maps (N, H, W) and ids (N,) in {path}, found maps {shape} and {len(ids)} ids: "
            "write it anew"
        )
    return ids


def _read_names(stream: IO[bytes]) -> list[str]:
    """The names in an ``.npy`` stream, which says first how much room they take."""
    (count,), _, dtype = _header(stream)
    if dtype.kind not in "US" or count * dtype.itemsize > MOST_NAME_BYTES:
        raise ValueError(f"{count} ids of type {dtype}")
    return [str(name) for name in np.frombuffer(_read_exactly(stream, count * dtype.itemsize), dtype)]


def _read_map(
    stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], order: Literal["C", "F"] = "C"
) -> NDArray[np.floating]:
    data = _read_exactly(stream, math.prod(shape) * dtype.itemsize)
    found: NDArray[np.floating] = np.frombuffer(data, dtype).reshape(shape, order=order)
    return found


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it ends too early")
    return data


def _require_map(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse by its header what is no map, for a header may promise more than any memory holds."""
    if len(shape) != 2 or not np.issubdtype(dtype, np.floating) or min(shape) < 1:
        raise UserError(f"expected a map (H, W) of floats, found {dtype} of shape {shape}")
    if shape[0] > EVAL_SIZE_HW[0] or shape[1] > EVAL_SIZE_HW[1]:
        raise UserError(f"expected a map of at most {EVAL_SIZE_HW[0]} x {EVAL_SIZE_HW[1]}, found {shape}")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an ``.npy`` stream, which is left at its data."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if not all(type(side) is int and side >= 0 for side in shape):  # numpy lets True and -1 pass
        raise ValueError(f"a shape of {shape}")
    return shape, fortran, dtype
