"""Flags made of the engine's dataclasses, and these of flags: an option is described where it is used."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser

from rfga.cli.grammar.help import METHOD, MOST_USED, WRITTEN, into
from rfga.data import DATASETS
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.localizing.refiners import REFINER_NAMES
from rfga.engine.run.config import METHOD_NAMES, POSTHOC_NAMES, RunPolicy, TrainConfig
from rfga.engine.run.options import groups_of
from rfga.engine.runtime.machine import Runtime
from rfga.types import BACKGROUND_FOLDERS, SPLIT_ALIASES, SPLITS, UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Made = TypeVar("Made", bound=DataclassInstance)

DATA_HELP = (
    "folder with CLASS/*.jpg, or with train/CLASS/*.jpg and optionally val/CLASS/*.jpg; folder that "
    "rfga data prepare made; or NAME:FOLDER (NAME alone where it needs no files) with NAME out of "
    f"{', '.join(DATASETS)}"
)
TRUTH_HELP = (
    "COCO or Label Studio JSON, folder of Pascal VOC, of YOLO (with data.yaml) or of masks, or the "
    "benchmark's lists of the split; of a benchmark, all its lists"
)
CHOICES: dict[str, tuple[str, ...]] = {
    "method": METHOD_NAMES,
    "maps_from": POSTHOC_NAMES,
    "seeds_from": POSTHOC_NAMES,
    "refine": REFINER_NAMES,
    "split": (*SPLITS, *SPLIT_ALIASES),
}
"""Of options whose type is not a ``Literal``, for registries grow."""

VALUED = ("nesterov", "flip", "compile")
"""Options that are given as ``--NAME true`` or ``false``, for a recipe may have set either."""


def add_options(
    command: ArgumentParser,
    kind: type[DataclassInstance],
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    said: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    group: str | None = None,
) -> None:
    """One flag for each field of a dataclass, typed and explained as its docstring has it.

    What is true by default becomes ``--no-NAME``. Of a ``Path`` and of several names the flag is text. A
    field belongs to the group that its metadata names, or else to that of the field before it.

    Args:
        command: that gets the flags.
        kind: the dataclass.
        only: names of the fields; by default all.
        without: names of fields that get none.
        said: other help than the docstring's.
        defaults: other defaults than the fields'.
        group: title of the group that gets them, instead of the fields' own.
    """
    hints = get_type_hints(kind)
    documented = parse_docstring(kind.__doc__ or "").params
    meaning = {p.arg_name: " ".join((p.description or "").split()).rstrip(".") for p in documented}
    meaning |= said or {}
    groups = groups_of(kind)
    for option in fields(kind):
        name = option.name
        if name in without or (only and name not in only):
            continue
        default = (defaults or {}).get(name, None if option.default is MISSING else option.default)
        flag, more = f"--{_flag(option)}", _typed(name, hints[name], default)
        if default is True and name not in VALUED:
            flag = f"--no-{_flag(option)}"
            meaning[name] = (said or {}).get(name, f"do not {meaning[name]}")
        if "metavar" in option.metadata:
            more["metavar"] = option.metadata["metavar"]
        into(command, group or groups[name])(flag, help=meaning[name], **more)


def made(kind: type[Made], values: Mapping[str, Any], **known: Any) -> Made:
    """A dataclass from the values of its flags; ``known`` are those of its fields that have no flag."""
    hints, found = get_type_hints(kind), dict(known)
    for option in fields(kind):
        key = _flag(option).replace("-", "_")
        if option.name in known:
            continue
        if f"no_{key}" in values:
            found[option.name] = not values[f"no_{key}"]
        elif key in values:
            found[option.name] = _held(values[key], hints[option.name])
    return kind(**found)


def _flag(option: Field[Any]) -> str:
    return str(option.metadata.get("flag", option.name)).replace("_", "-")


def _typed(name: str, hint: Any, default: Any) -> dict[str, Any]:
    """What the parser is told of a flag's type."""
    if hint is bool and name not in VALUED:
        return {"action": "store_true"}
    literals = [get_args(h) for h in (hint, *get_args(hint)) if get_origin(h) is Literal]
    if choices := CHOICES.get(name) or next(iter(literals), None):
        return {"choices": choices, "default": default}
    if _is_of(hint, Path):
        return {"type": str | None if default is None else str, "default": default}
    if hint == Sequence[str]:
        return {"type": str, "default": ",".join(default)}
    return {"type": hint, "default": default}


def _held(value: Any, hint: Any) -> Any:
    if _is_of(hint, Path):
        return optional_path(value)
    return tuple(name.strip() for name in value.split(",")) if hint == Sequence[str] else value


def _is_of(hint: Any, kind: type) -> bool:
    return hint is kind or kind in get_args(hint)


# Flags that several commands have.


def add_truth(command: ArgumentParser, what: str = "boxes or masks of the split") -> None:
    """Boxes or masks from anywhere."""
    flag = into(command, MOST_USED)
    flag("--truth", type=str | None, default=None, help=f"{what}: {TRUTH_HELP}")


def add_background(command: ArgumentParser) -> None:
    """Photographs without any object."""
    text = (
        "folder beside the class folders of photographs without any object; of methods that are solved, "
        f"{', '.join(BACKGROUND_FOLDERS)} count as such without being named"
    )
    flag = into(command, METHOD)
    flag("--background", type=str | None, default=None, metavar="NAME", help=text)


def add_json(command: ArgumentParser, what: str = "write the numbers there too") -> None:
    """A file that gets what is printed."""
    flag = into(command, WRITTEN)
    flag("--json", type=str | None, default=None, metavar="FILE", help=what)


def add_policy(command: ArgumentParser, resume: str, overwrite: str) -> None:
    """What happens to what an earlier call left."""
    add_options(command, RunPolicy, said={"resume": resume, "overwrite": overwrite})


def add_settings(command: ArgumentParser, without: Collection[str] = (), first: Collection[str] = ()) -> None:
    """One flag for each setting of training; ``first`` are those that most people need."""
    if first:
        add_options(command, TrainConfig, only=first, group=MOST_USED)
    add_options(command, TrainConfig, without=("options", *first, *without))


def add_set(command: ArgumentParser) -> None:
    """Options of the method."""
    flag = into(command, METHOD)
    flag("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the method")


def add_reading(command: ArgumentParser) -> None:
    """How maps are read out of a run, and what shares the work."""
    add_options(command, EvaluateCommand, only=("normalisation", "maps_from", "batch_size"))
    add_runtime(command)
    add_options(command, Runtime, only=("devices", "nodes"))


def add_runtime(command: ArgumentParser, only: Collection[str] = ("device", "workers", "quiet")) -> None:
    """Where to compute, and how much to print."""
    add_options(command, Runtime, only=only)


def add_quiet(command: ArgumentParser) -> None:
    """How much to print."""
    add_runtime(command, only=("quiet",))


def runtime_of(values: Mapping[str, Any]) -> Runtime:
    """Where to compute, and how much to print."""
    return made(Runtime, values)


def policy_of(values: Mapping[str, Any]) -> RunPolicy:
    """What to do with what an earlier call left."""
    return made(RunPolicy, values)


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


def given_settings(
    values: Mapping[str, Any], explicit: set[str], without: Collection[str] = ()
) -> dict[str, Any]:
    """The settings of training that were given as flags of their own."""
    names = {setting.name for setting in fields(TrainConfig)} - {"options", *without}
    return {name: values[name] for name in explicit & values.keys() & names}
