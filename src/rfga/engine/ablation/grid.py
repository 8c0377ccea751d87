"""``rfga ablate``: every mechanism of the RFGA layer changed by itself, beside the full layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rfga.backbones.build import build_backbone
from rfga.engine.ablation.cells import attempt_variant
from rfga.engine.ablation.pairs import summary
from rfga.engine.ablation.plan import (
    REPLICATES,
    AblationCommand,
    AblationPlan,
    AblationTask,
    make_ablation_plan,
)
from rfga.engine.benchmark.cells import reported, validation
from rfga.engine.benchmark.grid import GridOutput, about_data, begin_tasks, grid_slots, of_each, work_through
from rfga.engine.benchmark.plan import RUNS
from rfga.engine.benchmark.record import TABLE_CSV, TABLE_MD, GridKind, GridRecord
from rfga.engine.benchmark.schedule import Slot, Work
from rfga.engine.learning.frozen_features import FOLDER, FeatureRequest, prepare_features
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.output.ablation.page import write_ablation_page
from rfga.output.ablation.table import make_ablation_table
from rfga.output.ablation.text import ablation_csv, ablation_markdown
from rfga.types import UserError

ABLATION = GridKind("ablation", folders=(RUNS, REPLICATES, FOLDER))


def run_ablation(
    command: AblationCommand,
    runtime: Runtime | None = None,
    *,
    work: Work[AblationTask] = attempt_variant,
    slots: Sequence[Slot] | None = None,
) -> dict[str, Any]:
    """Train and measure every variant that is not there yet; tables are written after each of them.

    On a frozen network its features are computed once, and kept with what they were made of; a variant's
    training then takes about as long as the layer alone needs. A variant that fails is recorded with its
    reason and does not end the grid.

    Arguments and errors are those of ``run_benchmark``; what comes back is what ablation.json holds.
    """
    runtime = runtime or Runtime()
    slots = grid_slots(runtime) if slots is None else slots
    plan = make_ablation_plan(command, of_each(runtime, len(slots)))
    data = reported(plan.tasks[0])
    about = about_data(data, plan.split)
    reasons = _impossible(plan)
    record = GridRecord(command.out, plan, about, command.policy, ABLATION)
    for task in plan.variant_tasks:
        if (reason := reasons.get(task.variant.name)) is not None:
            record.exclude(task, reason)
    waiting = begin_tasks(record, plan.tasks)
    say = announcer(runtime.quiet)
    todo, there = len(waiting), len(plan.tasks) - len(waiting)
    say(f"ablation on {data.name}, {plan.split}: {todo} runs to do, {there} done before or not possible")
    if waiting and not command.fine_tune:
        request = FeatureRequest(plan.config, plan.split, command.out, command.half_features)
        prepare_features(request, validation(plan.tasks[0]), data, runtime)

    def texts(held: Mapping[str, Any]) -> dict[str, str]:
        record.held.update(summary(held, command.out))
        record.save()
        table = make_ablation_table(held)
        return {TABLE_MD: ablation_markdown(table), TABLE_CSV: ablation_csv(table)}

    def page(path: Path, held: Mapping[str, Any]) -> None:
        write_ablation_page(path, make_ablation_table(held))

    return work_through(
        record, waiting, GridOutput(command.out, ABLATION.page, texts, page), work, slots, say
    )


def _impossible(plan: AblationPlan) -> dict[str, str]:
    """The variants that cannot be tried, with the reason."""
    earlier = {task.variant.name: task.variant.earlier_stages for task in plan.variant_tasks}
    earlier = {name: stages for name, stages in earlier.items() if stages}
    if not earlier:
        return {}
    if plan.config.freeze_backbone:
        reason = "the features before the last stage are needed, which --fine-tune has"
        return dict.fromkeys(earlier, reason)
    config = plan.config
    try:
        stages = build_backbone(config.backbone, output_stride=config.output_stride).stages
    except ValueError as error:
        raise UserError(str(error)) from error
    reason = f"{config.backbone} has no more stages than {', '.join(stages)}"
    return {name: reason for name, count in earlier.items() if count >= len(stages)}
