"""``rfga benchmark``: a grid of methods x backbones x seeds on a data set, and its table."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from rfga.data.base import Dataset
from rfga.engine.benchmark.cells import attempt, reported, validation
from rfga.engine.benchmark.plan import BenchmarkCommand, Task, make_plan
from rfga.engine.benchmark.record import BENCHMARK, TABLE_CSV, TABLE_MD, GridRecord
from rfga.engine.benchmark.schedule import DONE, FAILED, VISIBLE, Outcome, Slot, Work, cuda_slots, run_tasks
from rfga.engine.runtime.devices import pick_device
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.files import replacing
from rfga.output.benchmark.page import write_page
from rfga.output.benchmark.table import make_table
from rfga.output.benchmark.text import csv_text, markdown
from rfga.types import UserError

SECONDS_BETWEEN_PAGES = 30.0
SHORT = ("MaxBoxAccV2", "PxAP", "Top1Cls")  # of a finished cell the first of these is told


def run_benchmark(
    command: BenchmarkCommand,
    runtime: Runtime | None = None,
    *,
    work: Work[Task] = attempt,
    slots: Sequence[Slot] | None = None,
) -> dict[str, Any]:
    """Train and measure every cell that is not there yet; numbers and tables are written after each of them.

    Runs go one after the other, or over the CUDA devices where there are several. A cell that fails is
    recorded with its reason and does not end the grid.

    Args:
        command: the grid.
        runtime: device, workers, output.
        work: what does a task.
        slots: environment of each process that does tasks; by default one for each CUDA device.

    Returns:
        What benchmark.json holds.

    Raises:
        UserError: anything that no cell could work with, or SIGTERM.
        KeyboardInterrupt: Ctrl-C; the grid goes on with ``--resume``.
    """
    runtime = runtime or Runtime()
    slots = grid_slots(runtime) if slots is None else slots
    each = of_each(runtime, len(slots))
    plan = make_plan(command, each)  # tells what is wrong with it before the data are looked through
    data = reported(plan.tasks[0])
    if command.val_truth is None and command.truth is not None and data.has_truth("val"):
        plan = make_plan(replace(command, val_truth=command.truth), each)  # the lists of all splits in one
    record = GridRecord(command.out, plan, about_data(data, plan.split), command.policy)
    reasons = _impossible(plan.tasks, data)
    for task in plan.tasks:
        if task.kind in reasons:
            record.exclude(task, reasons[task.kind])
    waiting = begin_tasks(record, plan.tasks)
    say = announcer(runtime.quiet)
    todo = sum(task.kind != "baseline" for task in waiting)
    there = sum(task.kind != "baseline" for task in plan.tasks) - todo
    say(f"benchmark of {data.name}, {plan.split}: {todo} runs to do, {there} done before or not possible")

    def texts(held: Mapping[str, Any]) -> dict[str, str]:
        table = make_table(held)
        return {TABLE_MD: markdown(table), TABLE_CSV: csv_text(table)}

    def page(path: Path, held: Mapping[str, Any]) -> None:
        write_page(path, make_table(held))

    output = GridOutput(command.out, BENCHMARK.page, texts, page)
    return work_through(record, waiting, output, work, slots, say)


@dataclass
class GridOutput:
    """The tables and the page of what is known so far.

    Args:
        out: the grid's folder.
        page_name: of the page's file.
        texts: makes the other files of a record, by their names.
        page: writes the page of a record.
    """

    out: Path
    page_name: str
    texts: Callable[[Mapping[str, Any]], Mapping[str, str]]
    page: Callable[[Path, Mapping[str, Any]], None]
    page_written: float = field(default=-math.inf, init=False)

    def write(self, held: Mapping[str, Any], *, last: bool = False) -> None:
        """Write all; the page only now and then, for its plots take a second, much beside small runs."""
        for name, text in self.texts(held).items():
            with replacing(self.out / name) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="")
        if last or time.monotonic() - self.page_written > SECONDS_BETWEEN_PAGES:
            self.page(self.out / self.page_name, held)
            self.page_written = time.monotonic()


def begin_tasks(record: GridRecord, tasks: Sequence[Task]) -> list[Task]:
    """What is still to be done of a grid; what is known of it is forgotten, on disk too."""
    waiting = [rest for task in tasks if (rest := record.rest_of(task)) is not None]
    for task in waiting:
        record.begin(task)
    record.save()
    return waiting


def work_through(
    record: GridRecord,
    waiting: Sequence[Task],
    output: GridOutput,
    work: Work[Any],
    slots: Sequence[Slot],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Do tasks; record and tables are written after each of them.

    Returns:
        The record.
    """

    def start(task: Task) -> None:
        say(f"[{waiting.index(task) + 1}/{len(waiting)}] {task.title}")

    def done(task: Task, outcome: Outcome) -> None:
        record.add(task, outcome)
        output.write(record.held)
        say(f"    {task.title}: {_short(outcome)}")

    run_tasks(waiting, work, done, slots, start)
    output.write(record.held, last=True)
    return record.held


def require_all_done(held: Mapping[str, Any], where: str) -> None:
    """Say which cells failed.

    Raises:
        UserError: one or more did.

    Example:
        >>> require_all_done({"cells": [{"name": "cam", "state": "done"}]}, "out")
    """
    failed = [cell for cell in held["cells"] if cell["state"] == FAILED]
    if failed:
        first = failed[0]
        raise UserError(
            f"expected every cell to succeed, found {len(failed)} of {len(held['cells'])} failed (first "
            f"{first['name']}: {first['reason']}): all other numbers are in {where}; try these again with "
            "--resume"
        )


def grid_slots(runtime: Runtime) -> list[Slot]:
    """One slot for each CUDA device, where there are several."""
    if pick_device(runtime.device).type != "cuda":
        return []
    return cuda_slots(torch.cuda.device_count(), os.environ.get(VISIBLE))


def of_each(runtime: Runtime, processes: int) -> Runtime:
    """How each of several processes runs: quietly, with its share of the machine."""
    if processes < 2:
        return runtime
    share = max(1, min(8, (os.cpu_count() or 1) // processes))
    return replace(runtime, workers=share if runtime.workers < 0 else runtime.workers, quiet=True)


def about_data(data: Dataset, split: str) -> dict[str, Any]:
    """What a record says of its data.

    Raises:
        UserError: there are no photographs in the split.
    """
    images = len(data.samples(split))
    if not images:
        raise UserError(
            f"expected photographs in the split {split} of {data.name}, found none: give another --split"
        )
    return {"dataset": data.name, "classes": len(data.classes), "images": images}


def _impossible(tasks: Sequence[Task], data: Dataset) -> dict[str, str]:
    """The kinds of tasks that cannot be done on this split, with the reason."""
    reasons = {}
    split = tasks[0].source.split
    if not data.has_truth(split):
        reasons["baseline"] = f"no boxes or masks of {split} are known"
        reasons["few-shot"] = reasons["baseline"]
    elif split == "val":
        reasons["few-shot"] = "it learns from the truth of val, which is the split that is reported"
    elif any(task.kind == "few-shot" for task in tasks):
        val = validation(tasks[0])
        if not val.samples("val") or not val.has_truth("val"):
            reasons["few-shot"] = "no boxes or masks of val are known, from which it would learn"
    return reasons


def _short(outcome: Outcome) -> str:
    """A finished task in half a line."""
    if outcome["state"] != DONE:
        return f"failed: {outcome['reason']}"
    parts = []
    for how, found in outcome["evaluations"].items():
        name = next((name for name in SHORT if name in found["metrics"]), None)
        if name is not None:
            parts.append(f"{name} {100 * found['metrics'][name][0]['value']:.1f} % ({how})")
    minutes = (outcome["train_seconds"] + outcome["evaluate_seconds"]) / 60
    return ", ".join([*parts, f"{minutes:.1f} min"])
