"""The command line's grammar: commands, flags and their help, without importing anything heavy."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser

from rfga.cli.ablate import NOT_SETTINGS, add_ablate
from rfga.cli.attention import add_attention
from rfga.cli.build import NOT_SETTINGS as NOT_BUILD_SETTINGS
from rfga.cli.build import add_build
from rfga.cli.data import add_data
from rfga.cli.export import add_export
from rfga.cli.serve import add_serve
from rfga.data import DATASETS
from rfga.engine.learning.loggers import LOGGERS
from rfga.engine.localizing.refiners import NO_REFINER, REFINER_NAMES
from rfga.engine.run.config import METHOD_NAMES, POSTHOC_NAMES, Normalisation, TrainConfig
from rfga.engine.runtime.machine import Device
from rfga.output.export.formats import FORMATS
from rfga.types import SPLIT_ALIASES, SPLITS
from rfga.version import __version__

DATA_HELP = (
    "folder with train/CLASS/*.jpg and optionally val/CLASS/*.jpg, folder that rfga data prepare made, or "
    f"NAME:FOLDER (NAME alone where it needs no files) with NAME out of {', '.join(DATASETS)}"
)
TRUTH_HELP = (
    "COCO or Label Studio JSON, folder of Pascal VOC, of YOLO (with data.yaml) or of masks, or the "
    "benchmark's lists of the split; of a benchmark, all its lists"
)


def build_parser() -> ArgumentParser:
    """The parser of every command; wrong usage raises ``ArgumentError``."""
    parser = ArgumentParser(
        prog="rfga",
        exit_on_error=False,
        version=__version__,
        description="From class labels to boxes: weakly supervised object localization.",
    )
    commands = parser.add_subcommands(dest="command", required=True, metavar="COMMAND")
    for name, (describe, add) in COMMANDS.items():
        command = ArgumentParser(description=describe, exit_on_error=False)
        commands.add_subcommand(name, command, help=describe)  # first, as its own subcommands need it
        add(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.prog = f"rfga {name}"
    return parser


def _add_demo(command: ArgumentParser) -> None:
    add = command.add_argument
    add("--out", type=str, default="demo", help="folder for runs, pictures and the report")
    add("--overwrite", action="store_true", help="replace an earlier demo in that folder")
    add("--seed", type=int, default=0, help="of the pictures and of training")
    _add_runtime(command)


def _add_train(command: ArgumentParser) -> None:
    add = command.add_argument
    add("data", type=str, help=DATA_HELP)
    add("--out", type=str, required=True, help="run folder to make")
    add("--truth", type=str | None, default=None, help=f"boxes or masks of val: {TRUTH_HELP}")
    add("--config", type=str | None, default=None, help="a recipe: its name or YAML file")
    add("--set", action="append", type=str, default=[], metavar="KEY=VALUE", help="an option of the method")
    _add_settings(command)
    loggers = f"log each epoch with example maps, joined by commas: {', '.join(LOGGERS)}"
    add("--logger", type=str | None, default=None, metavar="NAMES", help=loggers)
    add("--resume", action="store_true", help="go on after the last whole epoch")
    add("--overwrite", action="store_true", help="start anew in a folder that holds a run")
    _add_runtime(command)
    _add_processes(command)


def _add_benchmark(command: ArgumentParser) -> None:
    add = command.add_argument
    add("data", type=str, help=DATA_HELP)
    add("--out", type=str, required=True, help="folder for runs, numbers and tables")
    add("--methods", type=str, default=",".join(METHOD_NAMES), help="joined by commas")
    add("--backbones", type=str, default="resnet50", help="joined by commas")
    add("--seeds", type=str, default="0", help="joined by commas; the table has their mean and deviation")
    add(
        "--normalisations",
        type=str,
        default="minmax",
        help=f"of score maps, joined by commas: {', '.join(_choices(Normalisation))}",
    )
    splits = ("val", "test", "train-fullsup")
    add("--split", choices=splits, default="val", help="which photographs are measured")
    add("--truth", type=str | None, default=None, help=f"boxes or masks of the split: {TRUTH_HELP}")
    add("--val-truth", type=str | None, default=None, help="those of val, where the split is test")
    add("--config", type=str | None, default=None, help="a recipe or other YAML with any of these settings")
    add(
        "--set",
        action="append",
        type=str,
        default=[],
        metavar="[METHOD.]KEY=VALUE",
        help="an option of one method, or of all that have it",
    )
    add("--no-few-shot", action="store_true", help="leave out the baseline that learns from boxes or masks")
    add("--few-shot-epochs", type=int | None, default=None, help="of that baseline, if not as the methods")
    _add_settings(command, without=("method", "backbone", "seed", "normalisation"))
    add("--resume", action="store_true", help="go on with a grid that was stopped, or add to it")
    add("--overwrite", action="store_true", help="start anew in a folder that holds a benchmark")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the numbers there too")
    _add_runtime(command)


def _add_ablate(command: ArgumentParser) -> None:
    command.add_argument("data", type=str, help=DATA_HELP)
    add_ablate(command)
    truth = f"boxes or masks of the split: {TRUTH_HELP}"
    command.add_argument("--truth", type=str | None, default=None, help=truth)
    _add_settings(command, without=NOT_SETTINGS)
    _add_runtime(command)


def _add_build(command: ArgumentParser) -> None:
    command.add_argument("data", type=str, help=DATA_HELP)
    add_build(command)
    truth = f"boxes or masks of val, where they are known: {TRUTH_HELP}"
    command.add_argument("--truth", type=str | None, default=None, help=truth)
    _add_settings(command, without=NOT_BUILD_SETTINGS)
    _add_runtime(command)


def _add_evaluate(command: ArgumentParser) -> None:
    add = command.add_argument
    add("run", type=str, help="run folder that rfga train made")
    add("data", type=str, help=DATA_HELP)
    add("--truth", type=str | None, default=None, help=f"boxes or masks of the split: {TRUTH_HELP}")
    splits = (*SPLITS, *SPLIT_ALIASES)
    add("--split", choices=splits, default="val", help="which photographs")
    add("--step", type=float, default=0.001, help="distance of the thresholds")
    add("--threshold", type=str, default="auto", help="auto, or a number, reported beside the oracle")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the numbers there too")
    _add_reading(command)


def _add_localize(command: ArgumentParser) -> None:
    add = command.add_argument
    add("run", type=str, help="run folder that rfga train made")
    add("paths", type=str, nargs="+", help="photographs, folders, or .txt lists of paths")
    add("--out", type=str, required=True, help="folder for boxes and pictures")
    add("--format", type=str, default="coco", help=f"joined by commas: {', '.join(FORMATS)}")
    add(
        "--photographs",
        choices=("link", "copy", "none"),
        default="link",
        help="how yolo/images gets the photographs, without which YOLO does not find their boxes",
    )
    add("--labels", type=str | None, default=None, help="class to box: folder, predicted, or a file")
    add(
        "--threshold",
        type=str,
        default="auto",
        help="fraction of the map's maximum; auto: chosen on boxes of val, else estimated without boxes",
    )
    add("--max-boxes", type=int, default=1, help="boxes per photograph at most")
    add("--second-look", action="store_true", help="judge each box by another pass, for better confidence")
    add("--review", type=int, default=500, help="photographs on the review sheet at most; 0 for no sheet")
    add("--no-pictures", action="store_true", help="do not write photographs with their boxes")
    add("--maps", action="store_true", help="write score maps as .npy")
    add("--masks", action="store_true", help="write what is above the threshold as masks")
    add("--refine", choices=REFINER_NAMES, default=NO_REFINER, help="write masks, refined in this way")
    add("--sam-weights", type=str | None, default=None, metavar="DIR", help="folder of the model of sam")
    add("--resume", action="store_true", help="go on with a run that was stopped")
    add("--overwrite", action="store_true", help="replace the output of an earlier run")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the summary there too")
    _add_reading(command)


def _add_score(command: ArgumentParser) -> None:
    command.add_argument("maps", type=str, help="folder of .npy or .npz score maps, or one .npz")
    command.add_argument("--metadata", type=str, required=True, help="folder with the lists of one split")
    command.add_argument("--masks", type=str | None, default=None, help="folder that the lists' masks lie in")
    command.add_argument("--step", type=float, default=0.001, help="distance of the thresholds")
    command.add_argument(
        "--normalisation", type=Normalisation, default="minmax", help="of maps below 224 x 224"
    )
    command.add_argument("--threshold", type=str, default="auto", help="a number, reported beside the oracle")
    command.add_argument(
        "--policy",
        type=Literal["fail", "skip", "zero"],
        default="fail",
        help="for missing, extra and wrong maps: stop, leave them out, or count them as empty",
    )
    command.add_argument(
        "--curves", type=str | None, default=None, metavar="DIR", help="write the curves there as SVG"
    )
    command.add_argument(
        "--json", type=str | None, default=None, metavar="FILE", help="write the numbers there too"
    )
    command.add_argument("--quiet", action="store_true", help="print nothing but errors and results")


def _add_methods(command: ArgumentParser) -> None:
    command.add_argument(
        "name", type=str, nargs="?", default=None, help=f"method to explain: {', '.join(METHOD_NAMES)}"
    )


def _add_recipes(command: ArgumentParser) -> None:
    command.add_argument("name", type=str, nargs="?", default=None, help="recipe to print")


def _add_reading(command: ArgumentParser) -> None:
    choices = _choices(Normalisation)
    command.add_argument(
        "--normalisation", choices=choices, default=None, help="of score maps, if not the run's"
    )
    command.add_argument(
        "--maps-from", choices=POSTHOC_NAMES, default=None, help="post-hoc maps, instead of the method's own"
    )
    command.add_argument("--batch-size", type=int, default=32, help="photographs at a time")
    _add_runtime(command)
    _add_processes(command)


def _add_runtime(command: ArgumentParser) -> None:
    add = command.add_argument
    add("--device", choices=_choices(Device), default="auto", help="where to compute")
    add("--workers", type=int, default=-1, help="processes that read photographs; -1 chooses")
    add("--quiet", action="store_true", help="print nothing but errors and results")


def _add_processes(command: ArgumentParser) -> None:
    add = command.add_argument
    devices = "devices of this machine to share the work, one process each; under torchrun or srun of each"
    add("--devices", type=int | None, default=None, metavar="N", help=devices)
    nodes = "machines on which torchrun or srun starts this command"
    add("--nodes", type=int | None, default=None, metavar="M", help=nodes)


def _add_settings(command: ArgumentParser, without: Collection[str] = ()) -> None:
    """One flag for each setting of training, typed and explained as ``TrainConfig`` has it."""
    hints: dict[str, Any] = get_type_hints(TrainConfig)
    documented = parse_docstring(TrainConfig.__doc__ or "").params
    said = {p.arg_name: " ".join((p.description or "").split()).rstrip(".") for p in documented}
    for setting in fields(TrainConfig):
        if setting.name == "options" or setting.name in without:
            continue
        flag = f"--{setting.name.replace('_', '-')}"
        default = None if setting.default is MISSING else setting.default
        if setting.name == "freeze_backbone":
            command.add_argument(flag, action="store_true", help=said[setting.name])
        elif choices := METHOD_NAMES if setting.name == "method" else _choices(hints[setting.name]):
            command.add_argument(flag, choices=choices, default=default, help=said[setting.name])
        else:
            command.add_argument(flag, type=hints[setting.name], default=default, help=said[setting.name])


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def usage_sentence(error: Exception, command: str) -> str:
    """What is wrong with the usage, in the words of the command line instead of the parser's.

    Example:
        >>> usage_sentence(ValueError('Parser key "max_boxes": Expected int.'), "localize")
        '--max-boxes: Expected int.'
    """
    said = re.sub(r'Parser key "(\w+)"', lambda key: f"--{key[1].replace('_', '-')}", str(error))
    said = re.sub(r"(a )?<class '(\w+)'>", r"\2", said).replace(f"{command.replace(' ', '.')}.", "")
    return " ".join(said.split())


COMMANDS = {
    "demo": ("train CAM and RFGA on embedded pictures and compare them", _add_demo),
    "train": ("train on class folders of photographs", _add_train),
    "build": ("from class folders to a checked set of boxes, in one go", _add_build),
    "evaluate": ("measure a run on photographs whose boxes or masks are known", _add_evaluate),
    "localize": ("boxes for photographs", _add_localize),
    "benchmark": ("compare methods x backbones x seeds, beside the literature", _add_benchmark),
    "ablate": ("change every mechanism of RFGA by itself, beside the full layer", _add_ablate),
    "export": ("write a run as ONNX, as a torch program, or as a folder for a hub", add_export),
    "attention": ("picture what the attention layer of a run does with photographs", add_attention),
    "serve": ("open a local page to drop photographs on", add_serve),
    "score": ("measure score maps of any tool against the benchmark's lists", _add_score),
    "methods": ("list the methods, or explain the options of one", _add_methods),
    "recipes": ("list the literature's recipes with their numbers, or print one", _add_recipes),
    "data": ("set up benchmarks, and check photographs with their truth", add_data),
}
