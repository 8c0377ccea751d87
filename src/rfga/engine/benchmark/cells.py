"""One task of a benchmark, done: a run trained or gone on with, and measured under every normalisation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from lightning.pytorch.utilities.exceptions import SIGTERMException

from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.engine.benchmark.plan import Task
from rfga.engine.benchmark.schedule import DONE, FAILED, Outcome
from rfga.engine.building.train import TrainCommand, train_and_report
from rfga.engine.evaluating.baselines import evaluate_baseline
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.evaluate import Evaluation, EvaluationOptions, evaluate
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.learning.few_shot_training import train_few_shot
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import trained_method
from rfga.engine.runtime.devices import pick_device
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS, Threshold, threshold_sources
from rfga.methods.base import Method
from rfga.types import UserError

T = TypeVar("T", bound=Task)

OF_CLASSES = ("Top1Cls", "Top5Cls", "Top1Loc", "Top5Loc")  # metrics that need a classifier


def attempt(task: Task) -> Outcome:
    """Do a task of a benchmark; for what comes of it see ``guarded``."""
    return guarded(_WAYS[task.kind], task)


def guarded(way: Callable[[T], dict[str, Any]], task: T) -> Outcome:
    """Do a task in some way; whatever goes wrong is told in its outcome.

    Returns:
        ``state`` "done" with ``evaluations`` (normalisation -> numbers), ``weights``, ``train_seconds``,
        ``evaluate_seconds`` and ``device``; or ``state`` "failed" with ``reason``.

    Raises:
        UserError: the system stopped the program (SIGTERM), which ends the grid too.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        return {"state": DONE, **way(task)}
    except UserError as error:
        if isinstance(error.__cause__, SIGTERMException):
            raise
        return {"state": FAILED, "reason": str(error)}
    except Exception as error:  # one cell's trouble, of whatever kind, must not cost the others
        return {"state": FAILED, "reason": " ".join(f"unexpected {type(error).__name__}: {error}".split())}


def _method(task: Task) -> Outcome:
    assert task.folder is not None
    run, source = RunFolder(task.out / task.folder), task.source
    settings = dict(task.settings)
    options = settings.pop("options")
    if not run.is_started:  # a run that goes on keeps the normalisation that came first when it began
        settings["normalisation"] = task.normalisations[0]
    was_finished = run.is_finished
    command = TrainCommand(
        source.data,
        run.path,
        settings,
        options,
        truth=source.val_truth,
        policy=RunPolicy(resume=True),
    )
    measured = train_and_report(command, task.runtime)
    own: str = run.read_config()[0].normalisation
    started = time.perf_counter()
    known = {} if was_finished or source.split != "val" or measured is None else {own: measured}
    evaluations = {how: known.get(how) or _measured(run, task, how, own) for how in task.normalisations}
    return _outcome(task, run, trained_method(run)[0], evaluations, started)


def _measured(run: RunFolder, task: Task, normalisation: str, own: str) -> dict[str, Any]:
    """The numbers of a trained run on the reported split; those of its own normalisation enter its report."""
    source = task.source
    if source.split != "val":
        _choose_thresholds(run, task, normalisation)
    if normalisation == own:
        command = EvaluateCommand(truth=source.truth, split=source.split)
        return evaluate_run(run.path, source.data, command, task.runtime).result
    localizer = Localizer.load(run.path, device=task.runtime.device, normalisation=normalisation)
    sources = threshold_sources(run, source.split, normalisation, None)
    return _evaluate(localizer, reported(task), task, source.split, sources).result


def _choose_thresholds(run: RunFolder, task: Task, normalisation: str) -> None:
    """Measure on val, where its truth is known, so that its thresholds can be tried on the reported split."""
    chosen = run.read_metrics().get("thresholds", {})
    if normalisation in chosen:
        return
    dataset = validation(task)
    if dataset.samples("val") and dataset.has_truth("val"):
        localizer = Localizer.load(run.path, device=task.runtime.device, normalisation=normalisation)
        best = _evaluate(localizer, dataset, task, "val", {}).best_thresholds
        if best:  # masks choose none
            run.update_metrics(thresholds={**chosen, normalisation: best})


def _few_shot(task: Task) -> Outcome:
    assert task.folder is not None
    run, dataset = RunFolder(task.out / task.folder), validation(task)
    config = TrainConfig.from_dict(task.settings)
    network, config = train_few_shot(config, dataset, run, task.runtime)
    started = time.perf_counter()
    evaluations = {}
    for how in task.normalisations:
        localizer = Localizer(
            network,
            tuple(dataset.classes),
            TrainConfig.from_dict({**config.to_dict(), "normalisation": how}),
            Threshold(FIXED_THRESHOLDS[how], "fixed"),
            pick_device(task.runtime.device),
        )
        found = _evaluate(localizer, reported(task), task, task.source.split, {}).result
        metrics = {name: entries for name, entries in found["metrics"].items() if name not in OF_CLASSES}
        evaluations[how] = {**found, "metrics": metrics}
    return _outcome(task, run, network, evaluations, started)


def _baseline(task: Task) -> Outcome:
    started = time.perf_counter()
    dataset, split = reported(task), task.source.split
    evaluations = {
        how: evaluate_baseline(task.method, dataset, split, how, task.runtime) for how in task.normalisations
    }
    return {
        "evaluations": evaluations,
        "weights": 0,
        "train_seconds": 0.0,
        "evaluate_seconds": round(time.perf_counter() - started, 2),
    }


_WAYS: dict[str, Callable[[Task], Outcome]] = {
    "method": _method,
    "few-shot": _few_shot,
    "baseline": _baseline,
}


def reported(task: Task) -> Dataset:
    """The data set with the truth of the split that is reported."""
    return open_dataset(task.source.data, task.source.truth, task.source.split)


def validation(task: Task) -> Dataset:
    """The data set with the truth of its val split."""
    return open_dataset(task.source.data, task.source.val_truth, "val")


def trained_seconds(run: RunFolder) -> float:
    """How long all epochs of a run took, those before a stop included."""
    history: list[dict[str, float]] = run.read_metrics().get("history", [])
    return round(sum(entry.get("seconds", 0.0) for entry in history), 2)


def _evaluate(
    localizer: Localizer, dataset: Dataset, task: Task, split: str, thresholds: dict[str, Any]
) -> Evaluation:
    options = EvaluationOptions(thresholds=thresholds, gallery=False)
    return evaluate(localizer, dataset, split, options, task.runtime)


def _outcome(
    task: Task, run: RunFolder, network: Method, evaluations: dict[str, Any], started: float
) -> Outcome:
    return {
        "evaluations": evaluations,
        "weights": sum(weight.numel() for weight in network.parameters()),
        "train_seconds": trained_seconds(run),
        "evaluate_seconds": round(time.perf_counter() - started, 2),
        "device": str(pick_device(task.runtime.device)),
    }
