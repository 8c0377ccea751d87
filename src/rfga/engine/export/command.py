"""``rfga export``: from a run folder to one of the forms in ``EXPORTERS``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfga.engine.export import EXPORTERS
from rfga.engine.export.agreement import Agreement
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import resolve
from rfga.files import require_writable
from rfga.types import UserError

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""Forms that are a single file -> the ending of its name."""


@dataclass(frozen=True)
class ExportCommand:
    """What ``rfga export`` was asked for.

    Args:
        run: folder that ``rfga train`` made.
        out: file or folder to write.
        form: a name in ``EXPORTERS``.
        overwrite: replace an earlier export.

    Raises:
        UserError: an unknown form, or a file name with another ending than the form's.
    """

    run: Path
    out: Path
    form: str = "onnx"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.form not in EXPORTERS:
            raise UserError(f"expected --format out of {', '.join(EXPORTERS)}, found {self.form!r}: give one")
        suffix = SUFFIXES.get(self.form)
        if suffix is not None and self.out.suffix.lower() != suffix:
            raise UserError(f"expected --out FILE{suffix}, found {self.out}: name the file so")


@dataclass(frozen=True)
class Exported:
    """What was written, and how well it agrees with the run."""

    path: Path
    bytes: int
    agreement: Agreement | None  # None where the weights themselves were copied

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.agreement
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "largest_difference": None if found is None else {"logits": found.logits, "maps": found.maps},
            "maps_apart": 0 if found is None else found.maps_apart,
        }


def export_run(command: ExportCommand) -> Exported:
    """Write a run in another form, whole or not at all, and see that it says the same.

    Raises:
        UserError: no finished run, an output that exists (without ``overwrite``) or cannot be written, a
            library that is not installed, or a network that cannot be exported.
    """
    _require_free(command)
    export = resolve(EXPORTERS, command.form, "form")
    localizer = Localizer.load(command.run, device="cpu")
    agreement = export(RunFolder(command.run), localizer, command.out)
    files = [path for path in command.out.rglob("*") if path.is_file()] or [command.out]
    return Exported(command.out, sum(path.stat().st_size for path in files), agreement)


def _require_free(command: ExportCommand) -> None:
    """See before long work whether the output may be written."""
    out = command.out
    if out.exists() and out.resolve() == command.run.resolve():
        raise UserError(f"expected another --out than the run itself, found {out}: choose another")
    holds = any(out.iterdir()) if out.is_dir() else out.exists()
    if holds and not command.overwrite:
        raise UserError(
            f"expected a new --out, found that {out} exists: add --overwrite to replace it, or choose another"
        )
    if command.form in SUFFIXES:
        require_writable(out)
