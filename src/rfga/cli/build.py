"""``rfga build``: its flags, and what carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.printing import print_summary, print_table, say, tell, warn
from rfga.cli.values import given_settings, option_pairs, optional_path, runtime_of, writable, write_json_to
from rfga.engine.localizing.refiners import NO_REFINER, REFINER_NAMES
from rfga.engine.run.config import METHOD_NAMES
from rfga.output.export.formats import FORMATS

LISTED = 10  # of photographs that failed
NOT_SETTINGS = ("method",)
"""Settings of training with a default of their own here."""


def add_build(command: ArgumentParser) -> None:
    """Put the flags below the command ``build``, those of training apart."""
    add = command.add_argument
    add(
        "--out", type=str, required=True, help="folder for the check, the run, the boxes and the review sheet"
    )
    add("--method", choices=METHOD_NAMES, default="foreground", help="how the network learns to localize")
    add("--set", action="append", type=str, default=[], metavar="KEY=VALUE", help="an option of the method")
    add("--format", type=str, default=",".join(FORMATS), help=f"joined by commas: {', '.join(FORMATS)}")
    add(
        "--photographs",
        choices=("link", "copy", "none"),
        default="link",
        help="how yolo/images gets the photographs, without which YOLO does not find their boxes",
    )
    add(
        "--class",
        dest="class_name",
        type=str | None,
        default=None,
        metavar="NAME",
        help="of photographs that lie in DATA itself, without class folders; by default the folder's name",
    )
    add("--max-boxes", type=int, default=1, help="boxes per photograph at most")
    add("--masks", action="store_true", help="write masks too")
    add("--refine", choices=REFINER_NAMES, default=NO_REFINER, help="write masks, refined in this way")
    add("--sam-weights", type=str | None, default=None, metavar="DIR", help="folder of the model of sam")
    add("--no-second-look", action="store_true", help="half the time, and a confidence that ranks worse")
    add("--review", type=int, default=500, help="photographs on the review sheet at most")
    add("--overwrite", action="store_true", help="start anew, instead of going on where it stopped")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the summary there too")


def run_build(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.box_set import BuildCommand, build_boxes
    from rfga.engine.localizing.output import LocalizeOptions

    file = writable(values["json"])
    options = LocalizeOptions(
        formats=tuple(name.strip() for name in values["format"].split(",")),
        max_boxes=values["max_boxes"],
        second_look=not values["no_second_look"],
        review=values["review"],
        masks=values["masks"],
        refine=values["refine"],
        sam_weights=optional_path(values["sam_weights"]),
        photographs=values["photographs"],
    )
    command = BuildCommand(
        data=values["data"],
        out=Path(values["out"]),
        settings={"method": values["method"], **given_settings(values, explicit)},
        options=option_pairs(values["set"]),
        truth=optional_path(values["truth"]),
        localize=options,
        overwrite=values["overwrite"],
        class_name=values["class_name"],
    )
    built = build_boxes(command, runtime_of(values))
    _print(built, values)
    write_json_to(file, built.as_json())


def _print(built: Any, values: dict[str, Any]) -> None:
    summary = built.summary
    for name, reason in list(summary.failed.items())[:LISTED]:
        warn(f"failed {name}: {reason}")
    if len(summary.failed) > LISTED:
        warn(f"failed: {len(summary.failed) - LISTED} more, in boxes/summary.json")
    print_summary(summary, built.out / "boxes")
    for note in built.notes:
        tell(f"note: {note}")
    say(values, built.threshold)
    (warn if built.verdict.unsure else tell)(built.verdict.sentence)
    tell("look at first:")
    if built.findings:
        tell(f"- {built.check}: {built.out / 'check' / 'check.html'}")
    tell(f"- the boxes of least confidence: {built.review}")
    for warning, count in summary.warnings.items():
        tell(f"- {count} photographs with the warning: {warning}")
    rows = [(name, f"{mean:.2f}", str(count)) for name, mean, count in built.least_sure]
    print_table(("classes of least confidence", "mean confidence", "photographs"), rows)
