"""What the network gave for photographs, on disk between two looks at them, up to a limit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rfga.backbones.base import Memory
from rfga.types import UserError

LIMIT_BYTES = 4 * 2**30
PIXELS, LAST = "pixels", "last"


class Shelf:
    """Pixels and features of the first so many photographs, in mapped files, one a kind.

    The system keeps of them in memory what there is room for, and takes it back where others need it. They
    are as the network gave them, so a look that takes them from here has the same sums. Nothing is kept from
    one run to the next: a killed look goes on with the network.

    Args:
        folder: of the files; emptied first.
        photographs: how many there are.
        limit_bytes: what the files may take together.
    """

    def __init__(self, folder: Path, photographs: int, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.photographs, self.limit_bytes = folder, photographs, limit_bytes
        self._files: dict[str, np.memmap] = {}
        self._held: set[int] = set()
        self.remove()

    def __contains__(self, position: int) -> bool:
        return position in self._held

    def keep(self, pixels: Tensor, memory: Memory, positions: Sequence[int]) -> None:
        """Put away what the network has just given, as far as there is room.

        Args:
            pixels: (B, 3, S, S) uint8.
            memory: of the network, which has seen them.
            positions: of the photographs.
        """
        if memory.maps is None:
            return
        parts = {PIXELS: pixels, LAST: memory.maps, **{name: memory.seen[name] for name in memory.asked}}
        if not self._files:
            self._open(parts)
        for row, position in enumerate(positions):
            if position < len(self._files.get(PIXELS, ())) and parts.keys() == self._files.keys():
                for name, part in parts.items():
                    self._files[name][position] = part[row].cpu().numpy()
                self._held.add(position)

    def pixels(self, positions: Sequence[int]) -> Tensor:
        """(B, 3, S, S) uint8."""
        return torch.from_numpy(self._files[PIXELS][list(positions)])

    def recall(self, memory: Memory, images: Tensor, positions: Sequence[int]) -> None:
        """Let the network remember what it gave for these photographs, when it is asked for ``images``."""
        parts = {
            name: torch.from_numpy(held[list(positions)]).to(images.device)
            for name, held in self._files.items()
            if name != PIXELS
        }
        memory.images, memory.maps = images, parts.pop(LAST)
        memory.seen.update(parts)
        memory.asked.update(parts)

    def remove(self) -> None:
        """Take the files away."""
        self._files, self._held = {}, set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, parts: dict[str, Tensor]) -> None:
        each = sum(part[0].numel() * part.element_size() for part in parts.values())
        room = min(self.photographs, self.limit_bytes // each)
        if not room:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < 2 * room * each:  # never the one that fills a disk
                return
            for number, (name, part) in enumerate(parts.items()):
                dtype = np.dtype(str(part.dtype).removeprefix("torch."))
                shape = (room, *part.shape[1:])
                self._files[name] = np.lib.format.open_memmap(
                    self.folder / f"{number}.npy", "w+", dtype, shape
                )
        except OSError as error:
            raise UserError(
                f"expected to write features to {self.folder}, found: {error}: make room there"
            ) from error
