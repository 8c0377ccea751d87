"""``rfga ablate``: its own flags, and what carries it out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from rfga.cli.printing import print_table, say, tell
from rfga.cli.values import optional_path, policy_of, runtime_of, writable, write_json_to
from rfga.engine.ablation.variants import MECHANISMS
from rfga.types import UserError

if TYPE_CHECKING:
    from rfga.output.ablation.table import AblationTable

NOT_SETTINGS = ("method", "seed", "freeze_backbone")
"""Settings of training that are no flags of this command, for it decides them."""


def add_ablate(command: ArgumentParser) -> None:
    """Add the flags that no other command has, and those of its output."""
    add = command.add_argument
    add("--out", type=str, required=True, help="folder for features, runs, numbers and tables")
    add("--seeds", type=str, default="0", help="joined by commas; the table has their mean and deviation")
    add(
        "--only",
        type=str | None,
        default=None,
        metavar="MECHANISM,..",
        help=f"which mechanisms to change: {', '.join(MECHANISMS)}",
    )
    add("--fine-tune", action="store_true", help="train the whole network, which takes much longer")
    add(
        "--freeze-backbone",
        action="store_true",
        help="train the layer and the head on features that are computed once (the default)",
    )
    add("--half-features", action="store_true", help="keep these features in half the room")
    add("--split", choices=("val", "test"), default="val", help="which photographs are measured")
    add("--config", type=str | None, default=None, help="a recipe or other YAML with any of these settings")
    add("--resume", action="store_true", help="go on with an ablation that was stopped, or add to it")
    add("--overwrite", action="store_true", help="start anew in a folder that holds an ablation")
    add("--json", type=str | None, default=None, metavar="FILE", help="write the numbers there too")


def run_ablate(values: dict[str, Any], explicit: set[str]) -> None:
    """Carry out the command."""
    from rfga.engine.ablation.grid import run_ablation
    from rfga.engine.ablation.plan import AblationCommand
    from rfga.engine.benchmark.grid import require_all_done
    from rfga.engine.run.config import TrainConfig
    from rfga.output.ablation.table import make_ablation_table

    if values["fine_tune"] and values["freeze_backbone"]:
        raise UserError("expected --fine-tune or --freeze-backbone, found both: leave one out")
    file = writable(values["json"])
    names = {setting.name for setting in fields(TrainConfig)} - {"options", *NOT_SETTINGS}
    command = AblationCommand(
        data=values["data"],
        out=Path(values["out"]),
        seeds=values["seeds"].split(","),
        only=[name.strip() for name in (values["only"] or "").split(",") if name.strip()],
        settings={name: values[name] for name in names & explicit},
        recipe=values["config"],
        fine_tune=values["fine_tune"],
        half_features=values["half_features"],
        split=values["split"],
        truth=optional_path(values["truth"]),
        policy=policy_of(values),
    )
    found = run_ablation(command, runtime_of(values))
    print_ablation(make_ablation_table(found))
    write_json_to(file, found)
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
