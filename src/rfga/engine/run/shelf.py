"""What a frozen network gave for photographs, on disk for the next look at them, and for the next call."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

import PIL
import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rfga.backbones.base import Backbone
from rfga.backbones.layout import Watch
from rfga.engine.run.weights_file import weights_fingerprint
from rfga.files import remove_leftovers, replacing
from rfga.types import UserError
from rfga.version import __version__

FEATURES = "features"  # folder of a run
TEMPORARY_GB = 4.0
"""What learning may take for as long as it lasts, where nothing is to be kept after it."""
PIXELS, LAST, PREFIX = " pixels", " last", " prefix"  # no place of a network is called so
_TURNED = " channels last"  # in this order, for sums in another one are rounded otherwise
_OF_NETWORK = re.compile(r"[0-9a-f]{32}")
_VERSIONS = (__version__, torch.__version__, timm.__version__, PIL.__version__)  # others, other numbers
_GIGABYTE = 10**9


class Shelf:
    """Pixels and features of photographs, a file of each, which is good as long as all stays as it was.

    They lie in a folder for one network and size of the input, and others are taken away. A file tells of
    which photograph it is, with its size and the times of its last changes as the system knows them, and has
    a checksum. So a photograph that was changed, a file that was cut short or damaged, and another network
    are as if nothing was there. Files appear whole; several threads and processes may share a shelf.

    Args:
        folder: of all networks; it need not exist.
        backbone: whose features these are; it does not learn any more.
        image_size: side of its square.
        limit_gb: what the files may take, in gigabytes, and never more than half of what the disk has free.
    """

    def __init__(self, folder: Path, backbone: Backbone, image_size: int, limit_gb: float) -> None:
        self.folder = folder / _key(backbone, image_size)
        self._lock, self._stamp = Lock(), cache(stamp_of)  # of before anything is read
        for other in folder.iterdir() if folder.is_dir() else ():
            if other != self.folder and _OF_NETWORK.fullmatch(other.name):
                shutil.rmtree(other, ignore_errors=True)
        remove_leftovers(self.folder)
        files = sorted(self.folder.iterdir(), key=_changed) if self.folder.is_dir() else []
        self.used = sum(path.stat().st_size for path in files)
        above = next(path for path in (folder, *folder.parents) if path.exists())
        self.limit = min(int(limit_gb * _GIGABYTE), self.used + shutil.disk_usage(above).free // 2)
        for path in files:
            if self.used > self.limit:
                self._remove(path)

    def knows(self, photographs: Sequence[Path]) -> bool:
        """Whether there are some, and all are here, as far as can be told without reading them."""
        return bool(photographs) and all(self._header(path) is not None for path in photographs)

    def find(self, photographs: Sequence[Path]) -> Held:
        """What is here of a batch."""
        held = [self._read(path) for path in photographs]
        whole = [parts for parts in held if parts is not None]
        if not held or len(whole) < len(held) or len({tuple(parts) for parts in whole}) > 1:
            return Held(self, photographs, None)
        return Held(self, photographs, {name: torch.stack([one[name] for one in whole]) for name in whole[0]})

    def keep(self, photographs: Sequence[Path], parts: Mapping[str, Tensor]) -> None:
        """Put away what was found out of a batch, as far as there is room; what cannot be written is not."""
        for row, path in enumerate(photographs):
            stamp = self._stamp(path)
            if stamp is None or self.used >= self.limit:
                continue
            # Copies, for a place may be the last features themselves, and a file holds nothing twice.
            own = {
                name: part[row].clone(memory_format=torch.contiguous_format)
                for name, part in sorted(parts.items())
            }
            held = save(own, {"photograph": stamp, "checksum": _checksum(own)})
            with self._lock:
                fits = self.used + len(held) <= self.limit
                self.used += len(held) * fits
            if fits:
                try:
                    with replacing(self._file(path), one_of_many=True) as temporary:
                        temporary.write_bytes(held)
                except UserError:
                    self.limit = 0  # the disk takes no more; it is not needed

    def keep_only(self, photographs: Collection[Path]) -> None:
        """Take away all others, which are not of the collection any more."""
        wanted = {self._file(path) for path in photographs}
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path not in wanted:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        self.used -= path.stat().st_size
        path.unlink()

    def _file(self, photograph: Path) -> Path:
        return self.folder / f"{_digest(str(photograph.absolute()))}.safetensors"

    def _header(self, photograph: Path) -> str | None:
        """The checksum of what is held of a photograph as it is now; None where nothing is."""
        try:
            with safe_open(self._file(photograph), "pt") as held:
                about = held.metadata() or {}
        except (OSError, SafetensorError):
            return None
        stamp = self._stamp(photograph)
        return about.get("checksum") if stamp and about.get("photograph") == stamp else None

    def _read(self, photograph: Path) -> dict[str, Tensor] | None:
        checksum = self._header(photograph)
        if checksum is None:
            return None
        try:
            with safe_open(self._file(photograph), "pt") as held:
                parts = {name: held.get_tensor(name) for name in sorted(held.keys())}
        except (OSError, SafetensorError):
            return None
        return parts if _checksum(parts) == checksum else None


class Held:
    """A batch of photographs and what a shelf holds of it.

    Args:
        shelf: that was asked.
        photographs: of the batch.
        parts: what the network gave, with the pixels; None where that is not known of all of them.
    """

    def __init__(self, shelf: Shelf, photographs: Sequence[Path], parts: dict[str, Tensor] | None) -> None:
        self.shelf, self.photographs, self._parts = shelf, photographs, parts

    @property
    def pixels(self) -> Tensor | None:
        """(B, 3, S, S) uint8, where all is known."""
        return None if self._parts is None else self._parts[PIXELS]

    @contextmanager
    def remembering(self, backbone: Backbone, pixels: Tensor, images: Tensor) -> Iterator[None]:
        """Within, the network gives what is known for ``images``; what it has to find out is kept.

        Args:
            backbone: the network.
            pixels: (B, 3, S, S) uint8.
            images: the same, normalised; the very tensor that the network will be asked of.
        """
        with backbone.remembering() as memory:
            if self._parts is not None:
                _recall(self._parts, memory, images)
            known = set(memory.asked)
            yield
            new = self._parts is None or not memory.asked <= known
            if new and memory.images is images and memory.maps is not None:
                self.shelf.keep(self.photographs, _seen(pixels, memory))


def stamp_of(photograph: Path) -> str | None:
    """What changes when a photograph does: its size and times; None where there is no such file."""
    try:
        found = photograph.stat()
    except OSError:
        return None
    return json.dumps([str(photograph), found.st_size, found.st_mtime_ns, found.st_ctime_ns])


def _recall(parts: Mapping[str, Tensor], memory: Watch, images: Tensor) -> None:
    there = {
        name.removesuffix(_TURNED): (part.permute(0, 3, 1, 2) if name.endswith(_TURNED) else part)
        for name, part in ((name, part.to(images.device)) for name, part in parts.items() if name != PIXELS)
    }
    memory.images, memory.maps = images, there.pop(LAST)
    names = {name for name in there if not name.endswith(PREFIX)}
    memory.seen.update({name: (there[name], there[name + PREFIX]) for name in names})
    memory.asked.update(names)


def _seen(pixels: Tensor, memory: Watch) -> dict[str, Tensor]:
    assert memory.maps is not None
    parts = {PIXELS: pixels, LAST: memory.maps}
    for name in memory.asked:
        parts[name], parts[name + PREFIX] = memory.seen[name]
    turned = {
        name
        for name, part in parts.items()
        if part.ndim == 4
        and not part.is_contiguous()
        and part.is_contiguous(memory_format=torch.channels_last)
    }
    return {
        name + _TURNED * (name in turned): (part.permute(0, 2, 3, 1) if name in turned else part).cpu()
        for name, part in parts.items()
    }


def _key(backbone: Backbone, image_size: int) -> str:
    """Of everything that decides the features beside the photograph."""
    device = next(backbone.parameters()).device.type
    about = [weights_fingerprint(backbone), image_size, backbone.mean, backbone.std, backbone.pad_type]
    about += [backbone.layout.stride, device, _VERSIONS]
    return _digest(json.dumps(about))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _checksum(parts: Mapping[str, Tensor]) -> str:
    found = 0
    for name, part in parts.items():
        found = zlib.crc32(part.numpy().data, zlib.crc32(name.encode(), found))
    return str(found)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns
