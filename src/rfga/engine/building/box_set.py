"""``rfga build``: from class folders to a checked set of boxes, every stage where the last call stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rfga.data import locate_dataset, open_dataset
from rfga.data.base import Dataset
from rfga.data.truth.given import NOTHING_HERE
from rfga.engine.building.data_check import CheckCommand, check_data, write_check
from rfga.engine.building.train import (
    TrainCommand,
    background_folders,
    learns_from_boxes,
    require_background,
    take_corrections,
    train_and_report,
)
from rfga.engine.building.verdict import Verdict, verdict_of
from rfga.engine.localizing.estimate import estimated_for
from rfga.engine.localizing.inputs import Photograph
from rfga.engine.localizing.journal import FILE_NAME as JOURNAL
from rfga.engine.localizing.journal import Summary, held_settings
from rfga.engine.localizing.labels import choose_labels
from rfga.engine.localizing.localize import localize, settings_of
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.engine.localizing.refiners import load_refiner
from rfga.engine.localizing.review_sheet import REVIEW_NAME
from rfga.engine.localizing.witness import load_witness
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.shelf import FEATURES, Shelf
from rfga.engine.runtime.devices import pick_device
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import Stopwatch, announcer
from rfga.engine.thresholds.threshold import FIXED, threshold_sentence
from rfga.files import claimed, held_in, make_folder, remove_leftovers, write_json
from rfga.types import NO_CLASS, SPLITS, UserError

CHECK, RUN, BOXES = "check", "run", "boxes"
"""The stages' folders below the one that is built."""

BUILD_METHOD = "foreground"
"""The method whose boxes were the best (docs/research/one-pass-log.md)."""

LOOK_FIRST = 5  # classes whose boxes are the least sure


@dataclass(frozen=True)
class BuildCommand:
    """What ``rfga build`` was asked for.

    Args:
        data: folder or name of a data set.
        out: folder of everything that is made.
        settings: those of ``TrainConfig`` that were given.
        options: of the method.
        truth: boxes or masks of some photographs. They stay as they are, and the foreground learns from
            them; a trained method gets threshold and confidence from those of val. None are needed.
        localize: what is written of every photograph.
        overwrite: start anew, instead of going on where an earlier call stopped.
        class_name: of the one class of photographs without class folders; by default their folder's name.
        background: name of the folder, beside the classes, of photographs without any object.
        corrected: the truth, where the method learns from it.
    """

    data: str
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    truth: Path | None = None
    localize: LocalizeOptions = field(default_factory=LocalizeOptions)
    overwrite: bool = False
    class_name: str | None = None
    background: str | None = None
    corrected: Path | None = None


@dataclass(frozen=True)
class Built:
    """What came of it."""

    data: str
    out: Path
    check: str  # what the check of the data says, in a sentence
    findings: int  # errors and warnings of the check
    summary: Summary
    threshold: str  # and where it comes from, in a sentence
    least_sure: list[tuple[str, float, int]]  # class, mean confidence of its boxes, photographs
    verdict: Verdict
    seconds: Mapping[str, float]  # of each stage, as far as this call did it
    notes: tuple[str, ...] = ()  # what is not as expected in the data set and yet no error

    @property
    def review(self) -> Path:
        """The sheet of the boxes that deserve a look first."""
        return self.out / BOXES / REVIEW_NAME

    def as_json(self) -> dict[str, Any]:
        """Everything, as ``build.json`` and ``--json`` hold it."""
        return {
            "data": self.data,
            "check": self.check,
            "threshold": self.threshold,
            "photographs": asdict(self.summary),
            "notes": list(self.notes),
            **self.verdict.as_json(),
            "seconds": {stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
            "least_sure": [
                {"class": name, "confidence": mean, "photographs": count}
                for name, mean, count in self.least_sure
            ],
        }


def build_boxes(command: BuildCommand, runtime: Runtime | None = None) -> Built:
    """Check, train, localize every photograph for its folder's class, export, and make the review sheet.

    A second call goes on where the first one stopped.

    Raises:
        UserError: the folder holds something else or was built with other settings, or anything in the input
            that cannot work; a single bad photograph is recorded instead.
    """
    runtime = runtime or Runtime()
    config = TrainConfig.from_dict({"method": BUILD_METHOD, **command.settings})
    names = background_folders(config, command.background)
    corrected = command.truth if learns_from_boxes(config) else None
    command = replace(command, truth=None if corrected else command.truth, corrected=corrected)
    dataset = open_dataset(command.data, command.truth, class_name=command.class_name, background=names)
    take_corrections(dataset, corrected)
    require_background(dataset, command.background)
    refined = command.localize
    load_refiner(refined.refine, refined.sam_weights, pick_device(runtime.device))  # now, not after training
    load_witness(refined.witness, refined.witness_weights)
    _prepare(command)
    with claimed(command.out, "rfga build"):
        for folder in (command.out, command.out / CHECK):
            remove_leftovers(folder)
        return _build(command, dataset, names, runtime)


def _build(command: BuildCommand, dataset: Dataset, names: Sequence[str], runtime: Runtime) -> Built:
    say, watch = announcer(runtime.quiet), Stopwatch()
    policy = RunPolicy(resume=not command.overwrite, overwrite=command.overwrite)
    say("1 of 3: checking the photographs")
    checked, findings = _check(command, names, runtime)
    watch.stop("check")
    say(f"2 of 3: learning ({checked})")
    settings = {"method": BUILD_METHOD, **command.settings}
    run, boxes = command.out / RUN, command.out / BOXES
    train_and_report(
        TrainCommand(
            command.data,
            run,
            settings,
            options=command.options,
            truth=command.truth,
            policy=policy,
            class_name=command.class_name,
            background=command.background,
            corrected=command.corrected,
        ),
        runtime,
    )
    watch.stop("learn")
    photographs = photographs_of(dataset, command.data)
    localizer = with_shelf(Localizer.load(run, device=runtime.device), RunFolder(run), photographs, runtime)
    if localizer.threshold.source == FIXED:
        labels = choose_labels(photographs, "folder", localizer.classes).indices
        localizer = estimated_for(localizer, photographs, labels, runtime, boxes if policy.resume else None)
    threshold = threshold_sentence(localizer.threshold, False, localizer.config.normalisation)
    say(f"3 of 3: boxes for {len(photographs)} photographs; {threshold}")
    looks_twice = command.localize.second_look and localizer.config.normalisation != "none"
    options = replace(command.localize, labels="folder", second_look=looks_twice)
    policy = boxes_policy(boxes, settings_of(localizer, options, photographs), policy)
    summary = localize(localizer, photographs, boxes, options, runtime=runtime, policy=policy)
    watch.stop("localize")
    built = Built(
        data=command.data,
        out=command.out,
        check=checked,
        findings=findings,
        summary=summary,
        threshold=threshold,
        least_sure=least_sure(boxes, localizer.classes),
        verdict=verdict_of(RunFolder(run), summary, boxes),
        seconds=watch.seconds,
        notes=dataset.notes,
    )
    write_json(command.out / "build.json", built.as_json())
    return built


def with_shelf(
    localizer: Localizer, run: RunFolder, photographs: Sequence[Photograph], runtime: Runtime
) -> Localizer:
    """A model that takes from one build to the next what its network gave, where that does not learn."""
    if not runtime.features_gb or localizer.method.has_epochs:
        return localizer
    network, size = localizer.method.backbone, localizer.config.image_size
    shelf = Shelf(run.path / FEATURES, network, size, runtime.features_gb)
    shelf.keep_only([photograph.path for photograph in photographs])
    announcer(runtime.quiet)(
        f"what the network gives is kept for the next build in {run.path / FEATURES}, "
        f"{runtime.features_gb:g} GB at most (--features-gb)"
    )
    return localizer.with_shelf(shelf)


def boxes_policy(boxes: Path, settings: Mapping[str, Any], policy: RunPolicy) -> RunPolicy:
    """What to do with what lies in a folder: it goes if it was found before a person gave these boxes.

    Args:
        boxes: folder of ``localize``, or none yet.
        settings: that photographs are to be localized with now.
        policy: otherwise.
    """
    held = held_settings(boxes)
    changed = {name for name in {*held, *settings} if held.get(name) != settings.get(name)}
    of_boxes = {"given", "model", "confidence", "confidence_model"}
    other = bool(held) and "given" in changed and changed <= of_boxes
    return RunPolicy(overwrite=True) if other else policy


def photographs_of(dataset: Dataset, data: str) -> list[Photograph]:
    """Every photograph of a data set with its class, named by its path below the set's folder.

    Raises:
        UserError: none of them is a file.
    """
    _, root = locate_dataset(data)
    found: dict[str, Photograph] = {}
    given = {sample.path: said for sample, said in dataset.corrections}
    for split in SPLITS:
        for sample in chain(dataset.samples(split), dataset.background(split)):
            if root is not None and sample.path.is_relative_to(root):
                name = sample.path.relative_to(root).as_posix()
            else:
                name = f"{split}/{sample.image_id}"
            empty = sample.label == NO_CLASS
            said = given.get(sample.path, NOTHING_HERE if empty else None)
            folder_class = None if empty else dataset.classes[sample.label]
            found.setdefault(name, Photograph(name, sample.path, folder_class, said))
    missing = [name for name, photograph in found.items() if not photograph.path.is_file()]
    if found and len(missing) == len(found):
        raise UserError(
            f"expected photographs as files, found that {dataset.name} makes its own: give a folder of them"
        )
    return list(found.values())


def least_sure(boxes: Path, classes: Sequence[str]) -> list[tuple[str, float, int]]:
    """The classes whose boxes have the least confidence in the mean, from the journal of ``localize``.

    Args:
        boxes: folder that ``localize`` wrote.
        classes: names by index.

    Returns:
        Class, mean over its photographs (0 where one has no box), and how many these are.
    """
    scores: dict[int, list[float]] = {}
    with (boxes / JOURNAL).open(encoding="utf-8") as lines:
        for line in lines:
            held = json.loads(line)
            if "id" in held and not held.get("reviewed"):
                scores.setdefault(held["label"], []).append(max(held["scores"], default=0.0))
    rows = [(classes[label], float(np.mean(found)), len(found)) for label, found in scores.items()]
    return sorted(rows, key=lambda row: row[1])[:LOOK_FIRST]


def _prepare(command: BuildCommand) -> None:
    """Refuse a folder that holds other things before anything is done."""
    make_folder(command.out)
    names = held_in(command.out)
    if names and {CHECK, RUN, BOXES}.isdisjoint(names):
        raise UserError(
            f"expected a new folder, or one that rfga build began, found {command.out} with other files: "
            "choose another --out"
        )


def _check(command: BuildCommand, names: Sequence[str], runtime: Runtime) -> tuple[str, int]:
    found = check_data(CheckCommand(command.data, command.truth, quiet=runtime.quiet, background=names))
    write_check(found, command.out / CHECK / "check.html")
    write_json(command.out / CHECK / "check.json", found.as_json())
    return found.verdict, found.counts["error"] + found.counts["warning"]
