"""Features of many photographs in a folder: shards of named tensors, and a note of what they were made of.

A shard appears whole or not at all, so that a computation that was stopped goes on after the last one. They
are read by mapping the files into memory, where the system keeps as much of them as there is room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rfga.engine.run.weights_file import system_errors_told
from rfga.files import remove_leftovers, replacing, write_json
from rfga.types import UserError
from rfga.untrusted import parse_json

ABOUT, NAME = "about.json", "features"
SHARD_BYTES = 2**27


class FeatureStore:
    """The features (C, h, w) of photographs in a fixed order.

    Args:
        folder: of the shards; it need not exist before something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: list[Tensor] = []
        self._about: dict[str, Any] = {}

    @property
    def images(self) -> list[tuple[str, int]]:
        """Id and class index of each photograph."""
        return [(str(image_id), int(label)) for image_id, label in self.about["images"]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, h, w of the features of one photograph."""
        channels, height, width = self.about["shape"]
        return channels, height, width

    @property
    def about(self) -> dict[str, Any]:
        """What the folder says of itself; ``complete`` when all shards are there.

        Raises:
            UserError: it says nothing, or is damaged.
        """
        if not self._about:
            path = self.folder / ABOUT
            try:
                held = parse_json(path.read_text(encoding="utf-8"))
                self._about = {
                    **held,
                    "shape": list(held["shape"]),
                    "images": list(held["images"]),
                    "made_of": dict(held["made_of"]),
                    "per_shard": max(1, int(held["per_shard"])),
                    "complete": bool(held["complete"]),
                }
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"expected features in {self.folder}, found no sound {ABOUT}: remove the folder"
                ) from error
        return self._about

    def __len__(self) -> int:
        return len(self.about["images"])

    def __getitem__(self, index: int) -> Tensor:
        """The features of one photograph, (C, h, w) float32."""
        if not self._shards:
            self._shards = [self._read(n) for n in range(_count(len(self), self.about["per_shard"]))]
        shard, row = divmod(index, int(self.about["per_shard"]))
        return self._shards[shard][row].float()

    def holds(self, made_of: Mapping[str, Any]) -> bool:
        """Whether all features are there.

        Raises:
            UserError: those there are were made of something else.
        """
        if not (self.folder / ABOUT).is_file():
            return False
        held = self.about["made_of"]
        changed = [name for name, value in made_of.items() if held.get(name) != value]
        if changed:
            raise UserError(
                f"expected the features in {self.folder} to be of the same {', '.join(changed)}, found "
                "others: go on with what they were made of, or start anew with --overwrite"
            )
        return bool(self.about["complete"])

    def write(
        self,
        made_of: Mapping[str, Any],
        images: Sequence[tuple[str, int]],
        shape: tuple[int, int, int],
        features: Callable[[range], Iterable[Tensor]],
        half: bool = False,
    ) -> None:
        """Make what is not there yet.

        Args:
            made_of: what decides the features, for ``holds``.
            images: id and class index of each.
            shape: C, h, w.
            features: of a range of the images, tensors (n, C, h, w) that follow each other.
            half: keep half the digits, in half the room.

        Raises:
            UserError: the folder cannot be written.
        """
        kind = torch.float16 if half else torch.float32
        bytes_each = shape[0] * shape[1] * shape[2] * kind.itemsize
        # Shards that are there already stay as long as they were begun.
        per_shard = self._about.get("per_shard") or max(1, SHARD_BYTES // bytes_each)
        about = {
            "made_of": dict(made_of),
            "shape": list(shape),
            "per_shard": per_shard,
            "images": [list(image) for image in images],
            "complete": False,
        }
        remove_leftovers(self.folder)
        write_json(self.folder / ABOUT, about)
        for number in range(_count(len(images), per_shard)):
            path = self._shard(number)
            if not path.is_file():
                rows = range(number * per_shard, min(len(images), (number + 1) * per_shard))
                whole = torch.cat([part.to("cpu", kind) for part in features(rows)])
                with replacing(path) as temporary, system_errors_told():
                    save_file({NAME: whole.contiguous()}, temporary)
        write_json(self.folder / ABOUT, {**about, "complete": True})
        self._about, self._shards = {}, []

    def _shard(self, number: int) -> Path:
        return self.folder / f"{number:05d}.safetensors"

    def _read(self, number: int) -> Tensor:
        path = self._shard(number)
        try:
            tensors: dict[str, Tensor] = load_file(path)
            return tensors[NAME]
        except (OSError, SafetensorError, KeyError) as error:
            raise UserError(
                f"expected features in {path}, found it missing or damaged ({error}): remove {self.folder}"
            ) from error


def _count(images: int, per_shard: int) -> int:
    return -(-images // per_shard)
