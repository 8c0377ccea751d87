"""The sums of a look at the collection on disk, so that a killed look goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rfga.engine.run.weights_file import system_errors_told
from rfga.files import replacing


class SumsFile:
    """Named sums, and of how many photographs they are.

    Args:
        path: of the file; it need not exist.
        of: what the sums are of; those of something else count for nothing.
    """

    def __init__(self, path: Path, of: str = "") -> None:
        self.path, self.of = path, of

    def load(self, into: dict[str, Tensor]) -> int:
        """Bring the sums to what was saved, in place, and tell of how many photographs they are.

        A file that is missing, damaged, or of other sums or photographs counts for nothing: the look begins
        anew.
        """
        try:
            with safe_open(self.path, "pt") as held:
                about = held.metadata()
                done = int(json.loads(about["done"])) if about["of"] == self.of else 0
                names: list[str] = list(held.keys())
                parts = {name: held.get_tensor(name) for name in names}
        except (OSError, SafetensorError, ValueError, TypeError, KeyError):
            return 0
        fits = (
            done
            and parts.keys() == into.keys()
            and all(
                part.shape == into[name].shape and bool(part.isfinite().all()) for name, part in parts.items()
            )
        )
        if not fits:
            return 0
        for name, part in parts.items():
            into[name].copy_(part)
        return done

    def save(self, sums: dict[str, Tensor], done: int) -> None:
        """Keep the sums of ``done`` photographs, in place of earlier ones once they are whole."""
        with replacing(self.path, one_of_many=True) as temporary, system_errors_told():
            save_file(sums, temporary, metadata={"done": json.dumps(done), "of": self.of})
