"""``rfga ablate``: its own flags, and what carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from rfga.cli.grammar import flags
from rfga.cli.grammar.help import LEARNING, MEASURED, MOST_USED, into
from rfga.cli.printing import print_table, say, tell
from rfga.engine.ablation.variants import MECHANISMS
from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.output.ablation.table import AblationTable

NOT_SETTINGS = ("method", "seed", "freeze_backbone")
"""Settings of training that are no flags of this command, for it decides them."""

EXAMPLES = """
# every mechanism off by itself, on features that are computed once
rfga ablate photographs --out ablation --truth val_boxes.json
# two mechanisms with three seeds, the whole network trained
rfga ablate photographs --out ablation --truth val_boxes.json --only position,gate --seeds 0,1,2 --fine-tune
"""


def add(command: ArgumentParser) -> None:
    """Put its flags below the command."""
    first = into(command, MOST_USED)
    first("data", type=str, help=flags.DATA_HELP)
    first("--out", type=str, required=True, help="folder for features, runs, numbers and tables")
    first(
        "--only",
        type=str | None,
        default=None,
        metavar="MECHANISM,..",
        help=f"which mechanisms to change: {', '.join(MECHANISMS)}",
    )
    seeds = "joined by commas; the table has their mean and deviation"
    first("--seeds", type=str, default="0", help=seeds)
    flags.add_truth(command)
    first("--config", type=str | None, default=None, help="a recipe or other YAML with any of these settings")
    flag = into(command, MEASURED)
    flag("--split", choices=("val", "test"), default="val", help="which photographs are measured")
    flag = into(command, LEARNING)
    flag("--fine-tune", action="store_true", help="train the whole network, which takes much longer")
    flag(
        "--freeze-backbone",
        action="store_true",
        help="train the layer and the head on features that are computed once (the default)",
    )
    flag("--half-features", action="store_true", help="keep these features in half the room")
    again, anew = (
        "go on with an ablation that was stopped, or add to it",
        "start anew in a folder that holds an ablation",
    )
    flags.add_policy(command, again, anew)
    flags.add_json(command)
    flags.add_settings(command, without=NOT_SETTINGS)
    flags.add_runtime(command)


def run(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.ablation.grid import run_ablation
    from rfga.engine.ablation.plan import AblationCommand
    from rfga.engine.benchmark.grid import require_all_done
    from rfga.output.ablation.table import make_ablation_table

    if values["fine_tune"] and values["freeze_backbone"]:
        raise UserError("expected --fine-tune or --freeze-backbone, found both: leave one out")
    file = flags.writable(values["json"])
    command = flags.made(
        AblationCommand,
        values,
        seeds=values["seeds"].split(","),
        only=[name.strip() for name in (values["only"] or "").split(",") if name.strip()],
        settings=flags.given_settings(values, explicit, without=NOT_SETTINGS),
        recipe=values["config"],
        policy=flags.policy_of(values),
    )
    found = run_ablation(command, flags.runtime_of(values))
    print_ablation(make_ablation_table(found))
    flags.write_json_to(file, found)
    say(values, f"tables: {command.out / 'ablation.html'}, table.md and table.csv beside it")
    require_all_done(found, str(command.out))


def print_ablation(table: AblationTable) -> None:
    """An ablation's table."""
    from rfga.output.ablation.text import short_rows

    what = "differences to the full layer in points (interval of 95 % over images)"
    tell(f"{table.dataset}, {table.split}, percent; {what}")
    print_table(*short_rows(table))
    for row in table.rows:
        for remark in row.remarks:
            tell(f"{row.name}: {remark}")
