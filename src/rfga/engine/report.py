"""From what was measured to the report page of a run, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rfga.engine.evaluate import Evaluation
from rfga.engine.run_folder import RunFolder
from rfga.output.report import MethodReport, write_report


def method_report(run: RunFolder, evaluation: Evaluation) -> MethodReport:
    """One run's column of the report."""
    config, data = run.read_config()
    settings = {name: str(value) for name, value in config.to_dict().items()}
    return MethodReport(
        name=config.method,
        evaluation=evaluation.result,
        curves=evaluation.curves,
        history=run.read_metrics().get("history", []),
        gallery=evaluation.gallery,
        settings={**settings, "data": str(data.get("name", ""))},
    )


def write_run_report(run: RunFolder, evaluation: Evaluation) -> Path:
    """``report.html`` of one run."""
    report = method_report(run, evaluation)
    title = f"{report.name} on {evaluation.result['dataset']}, {evaluation.result['split']}"
    path = run.path / "report.html"
    write_report(path, title, [report], notes=left_out_notes([evaluation]))
    return path


def left_out_notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """One sentence for each photograph that was not scored, twenty at most."""
    lost = sorted({f"{name}: {reason}" for evaluation in evaluations for name, reason in evaluation.left_out})
    more = [f"and {len(lost) - 20} more photographs were left out"] if len(lost) > 20 else []
    return [f"left out: {text}" for text in lost[:20]] + more


def record_evaluation(run: RunFolder, evaluation: Evaluation, normalisation: str) -> None:
    """Keep the numbers in metrics.json and, from the validation split, the thresholds."""
    held = run.read_metrics()
    split = evaluation.result["split"]
    run.update_metrics(evaluations={**held.get("evaluations", {}), split: evaluation.result})
    if split == "val" and evaluation.best_thresholds:
        run.update_metrics(thresholds={**held.get("thresholds", {}), normalisation: evaluation.best_thresholds})
