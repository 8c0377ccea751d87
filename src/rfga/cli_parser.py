"""The command line's grammar: commands, flags and their help, without importing anything heavy."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser

from rfga.engine.config import METHOD_NAMES, Device, Normalisation, TrainConfig
from rfga.version import __version__


def build_parser() -> ArgumentParser:
    """The parser of every command."""
    parser = ArgumentParser(
        prog="rfga",
        version=__version__,
        description="From class labels to boxes: weakly supervised object localization.",
    )
    commands = parser.add_subcommands(dest="command", required=True, metavar="COMMAND")
    for name, (describe, add) in COMMANDS.items():
        command = ArgumentParser(description=describe)
        add(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        commands.add_subcommand(name, command, help=describe)
    return parser


def _add_demo(command: ArgumentParser) -> None:
    command.add_argument("--out", type=str, default="demo", help="folder for runs, pictures and the report")
    command.add_argument("--overwrite", action="store_true", help="replace an earlier demo in that folder")
    command.add_argument("--seed", type=int, default=0, help="of the pictures and of training")
    _add_runtime(command)


def _add_train(command: ArgumentParser) -> None:
    command.add_argument("data", type=str, help="folder with train/CLASS/*.jpg and optionally val/CLASS/*.jpg")
    command.add_argument("--out", type=str, required=True, help="run folder to make")
    command.add_argument("--truth", type=str | None, default=None, help="boxes or masks of val: COCO JSON or folder")
    command.add_argument("--config", type=str | None, default=None, help="YAML with any of the settings below")
    command.add_argument(
        "--set", action="append", type=str, default=[], metavar="KEY=VALUE", help="an option of the method; repeatable"
    )
    _add_settings(command)
    command.add_argument("--resume", action="store_true", help="go on after the last whole epoch")
    command.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    _add_runtime(command)


def _add_evaluate(command: ArgumentParser) -> None:
    command.add_argument("run", type=str, help="run folder that rfga train made")
    command.add_argument("data", type=str, help="folder of photographs, as for training")
    command.add_argument("--truth", type=str | None, default=None, help="boxes (COCO JSON) or a folder of masks")
    command.add_argument("--split", type=str, default="val", help="train, val or test")
    command.add_argument("--step", type=float, default=0.001, help="distance of the thresholds")
    command.add_argument("--threshold", type=str, default="auto", help="auto, or a number, reported beside the oracle")
    command.add_argument("--json", type=str | None, default=None, metavar="FILE", help="write the numbers there too")
    _add_reading(command)


def _add_localize(command: ArgumentParser) -> None:
    command.add_argument("run", type=str, help="run folder that rfga train made")
    command.add_argument("paths", type=str, nargs="+", help="photographs, folders, or .txt lists of paths")
    command.add_argument("--out", type=str, required=True, help="folder for boxes and pictures")
    command.add_argument("--format", type=str, default="coco", help="formats of the boxes, joined by commas: coco, csv")
    command.add_argument("--labels", type=str | None, default=None, help="class to box: folder, predicted, or a file")
    command.add_argument("--threshold", type=str, default="auto", help="auto, or a fraction of the map's maximum")
    command.add_argument("--max-boxes", type=int, default=1, help="boxes per photograph at most")
    command.add_argument("--no-pictures", action="store_true", help="do not write photographs with their boxes")
    command.add_argument("--maps", action="store_true", help="write score maps as .npy")
    command.add_argument("--masks", action="store_true", help="write what is above the threshold as masks")
    command.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    command.add_argument("--overwrite", action="store_true", help="replace the output of an earlier run")
    command.add_argument("--json", type=str | None, default=None, metavar="FILE", help="write the summary there too")
    _add_reading(command)


def _add_methods(command: ArgumentParser) -> None:
    command.add_argument("name", type=str, nargs="?", default=None, help="method whose options to explain")


def _add_reading(command: ArgumentParser) -> None:
    command.add_argument("--normalisation", type=Normalisation | None, default=None, help="of score maps")
    command.add_argument("--batch-size", type=int, default=32, help="photographs at a time")
    _add_runtime(command)


def _add_runtime(command: ArgumentParser) -> None:
    command.add_argument("--device", type=Device, default="auto", help="where to compute")
    command.add_argument("--workers", type=int, default=-1, help="processes that read photographs; -1 chooses")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors and results")


@cache
def setting_names() -> tuple[str, ...]:
    """The settings of training that are flags of their own."""
    return tuple(f.name for f in fields(TrainConfig) if f.name != "options")


def _add_settings(command: ArgumentParser) -> None:
    """One flag for each setting of training, typed and explained as ``TrainConfig`` has it."""
    hints: dict[str, Any] = get_type_hints(TrainConfig)
    said = {p.arg_name: " ".join((p.description or "").split()) for p in parse_docstring(TrainConfig.__doc__ or "").params}
    for setting in fields(TrainConfig):
        if setting.name == "options":
            continue
        flag = f"--{setting.name.replace('_', '-')}"
        default = None if setting.default is MISSING else setting.default
        if setting.name == "freeze_backbone":
            command.add_argument(flag, action="store_true", help=said[setting.name])
        elif setting.name == "method":
            command.add_argument(flag, choices=METHOD_NAMES, default=default, help=said[setting.name])
        else:
            command.add_argument(flag, type=hints[setting.name], default=default, help=said[setting.name])


COMMANDS = {
    "demo": ("train CAM and RFGA on embedded pictures and compare them", _add_demo),
    "train": ("train on class folders of photographs", _add_train),
    "evaluate": ("measure a run on photographs whose boxes or masks are known", _add_evaluate),
    "localize": ("boxes for photographs", _add_localize),
    "methods": ("list the methods, or explain the options of one", _add_methods),
}
