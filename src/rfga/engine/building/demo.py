"""The demo: birds are drawn, and boxes built from their class folders, beside those of a plain class map."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rfga.backbones.drawn import DRAWN_WEIGHTS
from rfga.data import open_dataset
from rfga.data.base import Dataset
from rfga.data.synthetic.dataset import SyntheticDataset
from rfga.data.synthetic.files import write_class_folders
from rfga.engine.building.box_set import BOXES, CHECK, RUN, BuildCommand, Built, build_boxes
from rfga.engine.evaluating.evaluate import EvaluationOptions, evaluate
from rfga.engine.evaluating.report import method_report, record_evaluation
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.run.folder import RunFolder
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Meter
from rfga.engine.thresholds.threshold import threshold_sources
from rfga.files import held_in, make_folder, mark_output
from rfga.geometry.boxes import iou
from rfga.output.export.formats import FORMATS
from rfga.output.report.page import Example, MethodReport, write_report
from rfga.types import SPLITS, FloatArray, Sample, Truth, UserError

PICTURES, REPORT, CLASS_MAP = "birds", "report.html", "class-map"
SETTINGS: dict[str, Any] = {
    "backbone": "drawn_birds",
    "weights": str(DRAWN_WEIGHTS),
    "image_size": 192,
}
METHODS: dict[str, dict[str, Any]] = {
    # What tells the species apart is the head alone, and the network knows a bird from a scene without one.
    "foreground": {"seeds": "norm"},
    "ridge": {},
}
RIGHT = 0.5  # IoU with the true box
SHARES = {"drawing": 40, "boxes": 35, "class map": 15, "report": 10}  # of the time, in percent
NOTES = (
    "The pictures are drawn by the program: six species of bird that differ in the head alone. Whoever boxes "
    "what tells them apart boxes heads.",
    "The network was made for this demo and knows drawn birds from scenes without one, and nothing else: how "
    "good boxes are on photographs is told elsewhere.",
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves behind."""

    pictures: int  # of the test split
    right: Mapping[str, int]  # boxes that are right, by method
    report: Path
    review: Path
    coco: Path


def run_demo(
    out: Path, *, seed: int = 0, overwrite: bool = False, runtime: Runtime | None = None
) -> DemoResult:
    """``rfga demo``: the main job on embedded data, on a fresh machine, without a download.

    Args:
        out: gets class folders of pictures, what ``rfga build`` makes of those of the test split, the same of
            a plain class map, and report.html.
        seed: of the pictures.
        overwrite: replace an earlier demo.
        runtime: device, workers, output.

    Raises:
        UserError: the folder holds something and overwriting was not asked for.
    """
    runtime = runtime or Runtime()
    pictures = SyntheticDataset(seed=seed)
    _prepare(out, overwrite)
    silent = replace(runtime, quiet=True)
    with Meter("demo, percent done", 100, quiet=runtime.quiet) as meter:
        left = _TimeLeft(meter)
        _draw(pictures, out / PICTURES, left)
        make_folder(out / CHECK)  # by which build knows a folder of its own
        whole = LocalizeOptions(formats=tuple(FORMATS), second_look=True)
        built = {"foreground": _build(out, out, "foreground", whole, silent)}
        left.done("boxes")
        plain = LocalizeOptions(formats=("coco",), review=0)
        built["ridge"] = _build(out, out / CLASS_MAP, "ridge", plain, silent)
        left.done("class map")
        truth = open_dataset(out / PICTURES, out / PICTURES / "test_boxes.json", "test")
        reports = [_measure(made.out, truth, silent) for made in built.values()]
        boxes = {method: read_boxes(made.out / BOXES / "coco.json") for method, made in built.items()}
        examples = [_example(truth, sample, boxes) for sample in first_of_each(truth)]
        write_report(out / REPORT, "rfga demo: boxes on drawn birds", reports, NOTES, examples)
        left.done("report")
    return DemoResult(
        pictures=len(truth.samples("test")),
        right={method: count_right(truth, found) for method, found in boxes.items()},
        report=out / REPORT,
        review=built["foreground"].review,
        coco=out / BOXES / "coco.json",
    )


class _TimeLeft:
    """Tells how long the rest will take, from what was done and how long that took."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.began, self.percent = meter, time.monotonic(), 0.0

    def done(self, part: str, share: float = 1.0) -> None:
        """A part of the work is done, or some share of it."""
        self.percent += share * SHARES[part]
        left = (time.monotonic() - self.began) * (100 - self.percent) / self.percent
        self.meter.advance(round(self.percent) - self.meter.done, f"about {left:.0f} seconds left")


def _draw(pictures: SyntheticDataset, folder: Path, left: _TimeLeft) -> None:
    samples = [sample for split in SPLITS for sample in pictures.samples(split)]
    for sample in samples:
        pictures.image(sample)  # stays in memory until it is written
        left.done("drawing", 1 / len(samples))
    write_class_folders(pictures, folder)


def _build(demo: Path, out: Path, method: str, localize: LocalizeOptions, runtime: Runtime) -> Built:
    """What ``rfga build demo/birds/test`` does."""
    settings = {**SETTINGS, "method": method}
    data = str(demo / PICTURES / "test")
    return build_boxes(
        BuildCommand(data=data, out=out, settings=settings, options=METHODS[method], localize=localize),
        runtime,
    )


def _measure(built: Path, truth: Dataset, runtime: Runtime) -> MethodReport:
    """The numbers of a run on the test split, which it learned from without any box."""
    run = RunFolder(built / RUN)
    localizer = Localizer.load(run.path, device=runtime.device)
    normalisation = localizer.config.normalisation
    sources = threshold_sources(run, "test", normalisation, None)
    tested = evaluate(localizer, truth, "test", EvaluationOptions(thresholds=sources), runtime)
    record_evaluation(run, tested, normalisation)
    return method_report(run, tested)


def read_boxes(coco: Path) -> dict[str, FloatArray]:
    """The first box x0, y0, x1, y1 of every photograph of a COCO file that has one, (1, 4) each."""
    held = json.loads(coco.read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in held["images"]}
    found: dict[str, FloatArray] = {}
    for annotation in held["annotations"]:
        x, y, width, height = annotation["bbox"]
        found.setdefault(names[annotation["image_id"]], np.array([[x, y, x + width, y + height]], np.float64))
    return found


def count_right(truth: Dataset, boxes: Mapping[str, FloatArray]) -> int:
    """Pictures of the test split whose box is right."""
    pairs = [(boxes.get(sample.image_id), truth.truth(sample)) for sample in truth.samples("test")]
    return sum(_is_right(box, true) for box, true in pairs)


def _is_right(box: FloatArray | None, true: Truth | None) -> bool:
    if box is None or true is None or true.boxes is None:
        return False
    return bool(iou(box, true.boxes).max() >= RIGHT)


def first_of_each(truth: Dataset) -> list[Sample]:
    """The first picture of each species, whatever came of it."""
    first: dict[int, Sample] = {}
    for sample in truth.samples("test"):
        first.setdefault(sample.label, sample)
    return list(first.values())


def _example(truth: Dataset, sample: Sample, boxes: Mapping[str, Mapping[str, FloatArray]]) -> Example:
    none = np.zeros((0, 4))
    return Example(
        image_id=sample.image_id,
        image=np.asarray(truth.image(sample)),
        truth=truth.truth(sample),
        boxes={method: found.get(sample.image_id, none) for method, found in boxes.items()},
    )


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
    for name in (*leftovers, BOXES, REPORT, CLASS_MAP, CHECK, RUN, "build.json", PICTURES):
        target = out / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
