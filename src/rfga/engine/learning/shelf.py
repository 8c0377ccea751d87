"""What the network gave for photographs, on disk between two looks at them, up to a limit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from rfga.backbones.layout import Watch
from rfga.types import UserError

LIMIT_BYTES = 4 * 2**30
PIXELS, LAST, PREFIX = " pixels", " last", " prefix"  # no place of a network is called so


class Shelf:
    """Pixels and features of the first so many photographs: a record each, all of one length, in one file.

    The system keeps of it in memory what there is room for. Records are what the network gave, so a look that
    takes them from here has the same sums. Nothing stays from one run to the next: a killed look goes on with
    the network.

    Args:
        path: of the file; one that is there goes.
        photographs: how many there are.
        limit_bytes: what the file may take.
    """

    def __init__(self, path: Path, photographs: int, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path, self.photographs, self.limit_bytes = path, photographs, limit_bytes
        self._file: BinaryIO | None = None
        self._record: np.dtype[np.void] | None = None  # of one photograph
        self._room = 0  # photographs
        self._held: set[int] = set()
        self.remove()

    def __contains__(self, position: int) -> bool:
        return position in self._held

    def keep(self, pixels: Tensor, memory: Watch, positions: Sequence[int]) -> None:
        """Put away what the network has just given, as far as there is room.

        Args:
            pixels: (B, 3, S, S) uint8.
            memory: of the network, which has seen them.
            positions: of the photographs.

        Raises:
            UserError: the disk is full, or refuses.
        """
        if memory.maps is None:
            return
        parts = {PIXELS: pixels, LAST: memory.maps}
        for name in memory.asked:
            parts[name], parts[name + PREFIX] = memory.seen[name]
        arrays = {name: part.cpu().numpy() for name, part in sorted(parts.items())}
        record = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
        try:
            if self._record is None:
                self._open(record)
            for row, position in enumerate(positions):
                if self._file and position < self._room and record == self._record:
                    self._file.seek(position * record.itemsize)
                    self._file.write(b"".join(array[row].tobytes() for array in arrays.values()))
                    self._held.add(position)
        except OSError as error:
            raise UserError(
                f"expected to write features to {self.path}, found: {error}: make room there"
            ) from error

    def pixels(self, positions: Sequence[int]) -> Tensor:
        """(B, 3, S, S) uint8."""
        return self._read(positions)[PIXELS]

    def recall(self, memory: Watch, images: Tensor, positions: Sequence[int]) -> None:
        """Let the network remember what it gave for these photographs, when it is asked for ``images``."""
        parts = {name: part.to(images.device) for name, part in self._read(positions).items()}
        del parts[PIXELS]
        memory.images, memory.maps = images, parts.pop(LAST)
        names = {name for name in parts if not name.endswith(PREFIX)}
        memory.seen.update({name: (parts[name], parts[name + PREFIX]) for name in names})
        memory.asked.update(names)

    def remove(self) -> None:
        """Take the file away."""
        if self._file:
            self._file.close()
        self._file, self._record, self._held = None, None, set()
        self.path.unlink(missing_ok=True)

    def _open(self, record: np.dtype[np.void]) -> None:
        self._record, self._room = record, min(self.photographs, self.limit_bytes // record.itemsize)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path.parent).free
        if 0 < 2 * self._room * record.itemsize < free:  # it is not what fills a disk
            self._file = self.path.open("w+b", buffering=0)

    def _read(self, positions: Sequence[int]) -> dict[str, Tensor]:
        if self._file is None or self._record is None or self._record.names is None:
            raise ValueError("expected photographs that are held, found none: ask first")
        records = np.empty(len(positions), self._record)
        for row, position in enumerate(positions):
            self._file.seek(position * self._record.itemsize)
            records[row] = np.frombuffer(self._file.read(self._record.itemsize), self._record)[0]
        return {name: torch.from_numpy(records[name].copy()) for name in self._record.names}
