"""What flags stand for: the engine's values from the command line's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.engine.run.config import RunPolicy
    from rfga.engine.runtime.machine import Runtime


def runtime_of(values: Mapping[str, Any]) -> Runtime:
    """Where to compute, and how much to print."""
    from rfga.engine.runtime.machine import Runtime

    return Runtime(
        device=values["device"],
        workers=values["workers"],
        quiet=values["quiet"],
        devices=values.get("devices"),
        nodes=values.get("nodes"),
    )


def policy_of(values: Mapping[str, Any]) -> RunPolicy:
    """What to do with what an earlier call left."""
    from rfga.engine.run.config import RunPolicy

    return RunPolicy(resume=values["resume"], overwrite=values["overwrite"])


def optional_path(value: str | None) -> Path | None:
    """A path, where one was given."""
    return None if value is None else Path(value)


def writable(value: str | None) -> Path | None:
    """A file to write at the end of long work, seen to be possible before it; one process alone writes it."""
    from rfga.engine.runtime.processes import started_processes
    from rfga.files import require_writable

    started = started_processes()
    path = optional_path(value if started is None or started.first else None)
    if path is not None:
        require_writable(path)
    return path


def write_json_to(file: Path | None, value: Mapping[str, Any]) -> None:
    """Write a command's numbers to the file that ``--json`` named, if it did."""
    from rfga.files import write_json

    if file is not None:
        write_json(file, value)


def option_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """The options of ``--set KEY=VALUE``, as text.

    Raises:
        UserError: one has no value.

    Example:
        >>> option_pairs(["kernel-size=5"])
        {'kernel_size': '5'}
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"expected --set KEY=VALUE, found {pair}: see rfga methods NAME for the options")
        options[key.strip().replace("-", "_")] = value.strip()
    return options


def given_settings(values: Mapping[str, Any], explicit: set[str]) -> dict[str, Any]:
    """The settings of training that were given as flags of their own."""
    from rfga.engine.run.config import TrainConfig

    names = {setting.name for setting in fields(TrainConfig)} - {"options"}
    return {name: values[name] for name in explicit & values.keys() & names}
