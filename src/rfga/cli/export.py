"""``rfga export``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import MOST_USED, into
from rfga.cli.printing import say, tell
from rfga.engine.export import EXPORTERS

EXAMPLES = """
# one file for ONNX Runtime
rfga export run --out model.onnx
# a folder to upload to a hub
rfga export run --format folder --out folder
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("run", type=str, help="run folder that rfga train made")
    first("--format", choices=tuple(EXPORTERS), default="onnx", help="what to write")
    first("--out", type=str, required=True, help="file (.onnx, .pt2) or folder to write")
    first("--overwrite", action="store_true", help="replace an earlier export")
    flags.add_json(command)
    flags.add_quiet(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.export.command import ExportCommand, export_run

    file = flags.writable(values["json"])
    command = ExportCommand(Path(values["run"]), Path(values["out"]), values["format"], values["overwrite"])
    say(values, f"exporting {command.run}, which takes up to a minute")
    exported = export_run(command)
    found = exported.agreement
    if found is None:
        tell("the folder loads as the same model")
    else:
        apart = (
            f"; {found.maps_apart} of {found.maps_checked} maps differ by more" if found.maps_apart else ""
        )
        tell(
            f"agrees with the run on random input to {max(found.logits, found.maps):.1e} of the largest value"
            f"{apart}"
        )
    flags.write_json_to(file, exported.to_dict())
    say(values, f"{exported.path}: {exported.bytes / 1e6:.1f} MB")
