"""``rfga build``: its flags, and what carries it out."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import METHOD, MOST_USED, WRITTEN, into
from rfga.cli.printing import print_summary, print_table, say, tell, warn
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.config import METHOD_NAMES
from rfga.engine.runtime.machine import Runtime
from rfga.output.export.formats import FORMATS

LISTED = 10  # of photographs that failed

EXAMPLES = """
# boxes for photographs/CLASS/*.jpg, in every format, with a sheet to review them
rfga build photographs --out boxes
# all photographs in one folder show a cat: up to three boxes each, and masks
rfga build photographs --class cat --out boxes --max-boxes 3 --masks
# boxes of some photographs are known: they stay, and the others are found by what they teach
rfga build photographs --out boxes --truth corrected.json
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("data", type=str, help=flags.DATA_HELP)
    out = "folder for the check, the run, the boxes and the review sheet"
    first("--out", type=str, required=True, help=out)
    first(
        "--class",
        dest="class_name",
        type=str | None,
        default=None,
        metavar="NAME",
        help="class of photographs that lie in DATA itself, without class folders; by default its name",
    )
    said = {
        "formats": f"joined by commas: {', '.join(FORMATS)}",
        "masks": "write masks too",
        "second_look": "half the time, and a confidence that ranks worse",
        "review": "photographs on the review sheet at most",
    }
    default = {"formats": tuple(FORMATS), "second_look": True}
    most = ("max_boxes", "formats", "masks")
    flags.add_options(command, LocalizeOptions, only=most, said=said, defaults=default, group=MOST_USED)
    correct = "then open the page of rfga review, on which the collection learns from what is corrected"
    first("--correct", action="store_true", help=correct)
    flags.add_truth(command, "boxes or masks of any photographs, which stay and are learned from")
    done = (*most, "labels", "pictures", "maps", "batch_size")
    flags.add_options(command, LocalizeOptions, without=done, said=said, defaults=default)
    flag = into(command, WRITTEN)
    flag("--overwrite", action="store_true", help="start anew, instead of going on where it stopped")
    flag("--port", type=int, default=7861, help="of the page of --correct; 0 takes any that is free")
    flags.add_json(command, "write the summary there too")
    flag = into(command, METHOD)
    flag("--method", choices=METHOD_NAMES, default="foreground", help="how the network learns to localize")
    flags.add_background(command)
    flags.add_set(command)
    flags.add_settings(command, without=("method",))
    flags.add_runtime(command)
    flags.add_options(command, Runtime, only=("features_gb",), defaults={"features_gb": 4.0})


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.building.box_set import BuildCommand, build_boxes
    from rfga.engine.building.correcting import correct_built, with_earlier_corrections

    file = flags.writable(values["json"])
    command = flags.made(
        BuildCommand,
        values,
        settings={"method": values["method"], **flags.given_settings(values, explicit)},
        options=flags.option_pairs(values["set"]),
        localize=flags.made(LocalizeOptions, values, batch_size=LocalizeOptions.batch_size),
    )
    runtime = flags.runtime_of(values)
    if values["correct"]:
        command = with_earlier_corrections(command)
    built = build_boxes(command, runtime)
    _print(built, values)
    if values["correct"]:
        built = correct_built(command, built, values["port"], runtime, tell)
    flags.write_json_to(file, built.as_json())


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
    tell(f"- the boxes of least confidence: {built.review} (to correct them: rfga review {built.out})")
    for warning, count in summary.warnings.items():
        tell(f"- {count} photographs with the warning: {warning}")
    rows = [(name, f"{mean:.2f}", str(count)) for name, mean, count in built.least_sure]
    print_table(("classes of least confidence", "mean confidence", "photographs"), rows)
