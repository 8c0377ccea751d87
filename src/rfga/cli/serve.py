"""``rfga serve``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from rfga.cli.printing import tell, warn
from rfga.engine.run.config import POSTHOC_NAMES, Normalisation
from rfga.engine.runtime.machine import Device


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    flag = command.add_argument
    flag("run", type=str, help="run folder that rfga train made")
    flag("--host", type=str, default="127.0.0.1", help="address to listen at; by default this machine's own")
    flag("--port", type=int, default=7860, help="to listen at; 0 takes any that is free")
    flag("--maps-from", choices=POSTHOC_NAMES, default=None, help="post-hoc maps, not the method's own")
    flag(
        "--normalisation",
        choices=get_args(Normalisation),
        default=None,
        help="of score maps, instead of the run's own",
    )
    flag("--max-upload-mb", type=float, default=20.0, help="of one file, in megabytes")
    flag("--max-pixels", type=int, default=50_000_000, help="of one photograph; larger ones are not decoded")
    flag("--device", choices=get_args(Device), default="auto", help="where to compute")


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.serve.limits import Limits
    from rfga.engine.serve.server import ServeCommand, serve

    command = ServeCommand(
        run=Path(values["run"]),
        host=values["host"],
        port=values["port"],
        maps_from=values["maps_from"],
        normalisation=values["normalisation"],
        device=values["device"],
        limits=Limits(max_upload_mb=values["max_upload_mb"], max_pixels=values["max_pixels"]),
    )
    serve(command, _announce)


def _announce(sentence: str) -> None:
    warning = sentence.startswith("warning")
    (warn if warning else tell)(sentence)
