"""The demo: train CAM and RFGA on embedded pictures, compare them, write boxes and the report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfga.data import open_dataset
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.files import write_class_folders
from rfga.engine.evaluating.evaluate import EvaluationOptions, evaluate
from rfga.engine.evaluating.report import evaluation_notes, method_report, record_evaluation, write_run_report
from rfga.engine.learning.train import train
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.devices import threads
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS, threshold_sources
from rfga.files import held_in, make_folder, mark_output
from rfga.output.export.formats import FORMATS
from rfga.output.report.page import MethodReport, write_report
from rfga.types import UserError

METHODS_SHOWN = ("cam", "rfga")
PICTURES, BOXES, REPORT = "birds", "boxes", "report.html"
SETTINGS: dict[str, Any] = {
    # A network small enough to learn from nothing in a minute on two cores; its maps are fine enough to
    # show the difference between a head and a body.
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 112,
    "output_stride": 8,
    "epochs": 10,
    "batch_size": 32,
    "lr": 0.02,
    "new_lr_factor": 2.0,
}
NOTES = (
    "The pictures are drawn by the program: six species of bird that differ in the head alone. Whoever looks "
    "only at what tells them apart boxes the head and misses the body.",
    "Networks start from nothing here and train for about a minute: this shows that everything works, "
    "not how good a method is on photographs.",
    "Where a map covers the head alone, the best threshold is almost zero, and the best box nearly the whole "
    "picture. The boxes in the demo's folder are cut at the usual threshold instead: look at what they miss.",
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves behind."""

    names: list[str]
    evaluations: list[dict[str, Any]]
    report: Path
    boxes: Path
    notes: tuple[str, ...] = NOTES  # how to read the numbers


def run_demo(
    out: Path, *, seed: int = 0, overwrite: bool = False, runtime: Runtime | None = None
) -> DemoResult:
    """``rfga demo``: the main job on embedded data, on a fresh machine, without a download.

    Args:
        out: gets class folders of pictures, a run for each method, boxes on the test pictures, report.html.
        seed: of the pictures and of training.
        overwrite: replace an earlier demo.
        runtime: device, workers, output.

    Raises:
        UserError: the folder holds something and overwriting was not asked for.
    """
    runtime = runtime or Runtime()
    pictures = SyntheticDataset(seed=seed)
    _prepare(out, overwrite)
    announcer(runtime.quiet)(f"drawing pictures of birds into {out / PICTURES}")
    write_class_folders(pictures, out / PICTURES)
    with threads(1):  # the network is so small that a second one costs more than it gives
        reports = [_train_and_test(out, method, seed, runtime) for method in METHODS_SHOWN]
    title = f"rfga demo: {' and '.join(METHODS_SHOWN)} on drawn birds"
    write_report(out / REPORT, title, [report for report, _ in reports], [*NOTES, *reports[0][1]])
    localizer = Localizer.load(out / METHODS_SHOWN[-1], device=runtime.device)
    # The threshold chosen on val is almost zero here (see NOTES), and its boxes teach nothing.
    localizer = localizer.with_threshold(FIXED_THRESHOLDS["minmax"], "fixed")
    photographs = find_photographs([out / PICTURES / "test"], localizer.classes)
    localize(localizer, photographs, out / BOXES, LocalizeOptions(formats=tuple(FORMATS)), runtime=runtime)
    return DemoResult(
        names=list(METHODS_SHOWN),
        evaluations=[dict(report.evaluation) for report, _ in reports],
        report=out / REPORT,
        boxes=out / BOXES,
    )


def _train_and_test(out: Path, method: str, seed: int, runtime: Runtime) -> tuple[MethodReport, list[str]]:
    """Train on train, choose the threshold on val, measure on test."""
    run = RunFolder(out / method)
    pictures = out / PICTURES
    val = open_dataset(pictures, pictures / "val_boxes.json", "val")
    test = open_dataset(pictures, pictures / "test_boxes.json", "test")
    config = TrainConfig(method=method, seed=seed, **SETTINGS)
    train(config, val, run, runtime=runtime, source={"source": str(pictures)})
    localizer = Localizer.load(run.path, device=runtime.device)
    chosen = evaluate(localizer, val, "val", EvaluationOptions(gallery=False), runtime)
    record_evaluation(run, chosen, config.normalisation)
    sources = threshold_sources(run, "test", config.normalisation, None)
    tested = evaluate(localizer, test, "test", EvaluationOptions(thresholds=sources), runtime)
    record_evaluation(run, tested, config.normalisation)
    write_run_report(run, tested)
    return method_report(run, tested), evaluation_notes(tested)


def _prepare(out: Path, overwrite: bool) -> None:
    """Make room for the demo without ever losing somebody's files."""
    make_folder(out)
    unfinished = f".{PICTURES}-"  # what a kill leaves behind while the pictures are drawn
    held = [name for name in held_in(out) if not name.startswith(unfinished)]
    if held and not overwrite:
        raise UserError(
            f"expected a new folder for the demo, found {out} in use: add --overwrite or choose another --out"
        )
    if held and not (out / PICTURES / "val_boxes.json").is_file():
        raise UserError(
            f"expected an earlier demo to overwrite, found other files in {out}: choose another --out"
        )
    mark_output(out)
    leftovers = [path.name for path in out.glob(f"{unfinished}*")]
    # The pictures go last, for they are the sign by which a demo is known.
    for name in (*leftovers, BOXES, REPORT, *METHODS_SHOWN, PICTURES):
        target = out / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
