"""Localizing many photographs: from files to boxes, pictures, maps and masks on disk, as a stream."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rfga.engine.localizing.estimate import estimated_for
from rfga.engine.localizing.inputs import (
    Photograph,
    choose_labels,
    class_sources,
    find_photographs,
    folders_of,
    input_notes,
    shorter_names,
)
from rfga.engine.localizing.journal import Journal
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeCommand, LocalizeOptions
from rfga.engine.localizing.output import SUMMARY_NAME, prepared_output, write_files
from rfga.engine.localizing.refiners import NO_REFINER, load_refiner
from rfga.engine.localizing.review_sheet import write_review_sheet
from rfga.engine.localizing.stream import Stream, Todo
from rfga.engine.run.config import RunPolicy
from rfga.engine.run.options import resolve
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.processes import Processes
from rfga.engine.runtime.progress import Meter, announcer
from rfga.engine.runtime.reading import reading_explained
from rfga.engine.thresholds.threshold import FIXED, Threshold, parse_threshold, threshold_sentence
from rfga.files import write_json
from rfga.output.export.formats import FORMATS, PHOTOGRAPHS
from rfga.types import Prediction, UserError


@dataclass(frozen=True)
class Summary:
    """What became of every photograph; the three counts add up to the inputs."""

    inputs: int
    done: int
    skipped: int  # done by an earlier run that this one went on with
    failed: dict[str, str]  # image id -> reason
    without_box: int  # of those done or skipped: nothing above the threshold
    warnings: dict[str, int] = field(default_factory=dict)  # of those done or skipped: how many have each
    # How many inputs have the class to look for from their folder, from a file, or as the most probable one.
    class_from: dict[str, int] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)  # what is not as expected and yet no error
    # Photographs whose names leave no room for an ending -> their pictures; maps and masks are called alike.
    shorter_names: dict[str, str] = field(default_factory=dict, compare=False)
    nothing_found: tuple[str, ...] = ()  # image ids of those without a box


def localize_paths(command: LocalizeCommand, runtime: Runtime | None = None) -> Summary:
    """``rfga localize``: boxes for files, folders and lists.

    Raises:
        UserError: anything in the input that cannot work; a single bad photograph is recorded instead.
    """
    with joined(runtime or Runtime()) as shared:
        return _localize_paths(command, shared)


def _localize_paths(command: LocalizeCommand, runtime: Runtime) -> Summary:
    given = parse_threshold(command.threshold)
    localizer = Localizer.load(
        command.run,
        device=runtime.device,
        normalisation=command.normalisation,
        maps_from=command.maps_from,
    )
    photographs = find_photographs(command.paths, localizer.classes, outputs=command.out)
    threshold = localizer.threshold if given is None else Threshold(given, FIXED)
    if given is None and threshold.source == FIXED:  # the run knows none for these maps
        earlier, plain = command.out if command.policy.resume else None, localizer
        threshold = runtime.processes.agree(
            lambda: estimated_for(plain, photographs, command.options.labels, runtime, earlier).threshold
        )
    localizer = localizer.with_threshold(threshold.value, threshold.source)
    normalisation = localizer.config.normalisation
    announcer(runtime.quiet)(threshold_sentence(threshold, given is not None, normalisation))
    summary = localize(
        localizer, photographs, command.out, command.options, runtime=runtime, policy=command.policy
    )
    _require_still_there(command.paths, summary)
    return summary


def _require_still_there(paths: Sequence[Path], summary: Summary) -> None:
    """A bad photograph ends no run, but a folder that goes away in the middle of one is an error."""
    gone = [str(path) for path in paths if not path.exists()]
    if gone and summary.failed:
        raise UserError(
            f"expected {', '.join(gone)} to stay there, found it gone, and {len(summary.failed)} of "
            f"{summary.inputs} photographs failed: bring it back and go on with --resume"
        )


def localize(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    out: Path,
    options: LocalizeOptions | None = None,
    *,
    runtime: Runtime | None = None,
    policy: RunPolicy | None = None,
) -> Summary:
    """Boxes for every photograph, written below ``out``; a bad file is recorded and never ends the run.

    Args:
        localizer: the trained model.
        photographs: from ``rfga.engine.localizing.inputs.find_photographs``.
        out: folder for everything that is written.
        options: formats, classes, pictures.
        runtime: device, workers, and the processes that share the photographs.
        policy: skip what an earlier run did, or remove its output first.

    Raises:
        UserError: unknown format, no class where one is needed, or a folder that holds something already.
    """
    options, runtime, policy = options or LocalizeOptions(), runtime or Runtime(), policy or RunPolicy()
    writers = [resolve(FORMATS, name, "format") for name in options.formats]
    wanted = () if options.photographs == "none" else options.formats
    places = [resolve(PHOTOGRAPHS, name, "format") for name in wanted if name in PHOTOGRAPHS]
    ids = [photograph.image_id for photograph in photographs]
    labels = choose_labels(photographs, options.labels, localizer.classes)
    known: dict[str, Any] = {
        "class_from": class_sources(labels, options.labels),
        "notes": tuple(input_notes(photographs, localizer.classes, options.labels)),
        "shorter_names": shorter_names(ids),
    }
    refine = load_refiner(options.refine, options.sam_weights, localizer.device)
    if options.second_look:
        localizer = localizer.with_second_look(options.max_boxes)
    settings, processes = _settings(localizer, options), runtime.processes
    processes.require_same("photographs and settings", [*ids, json.dumps(settings)])

    def write_one(prediction: Prediction, path: Path) -> None:
        write_files(prediction, path, out, options, refine)

    with ExitStack() as claims:
        output = prepared_output(out, policy)
        journal, before = _begin(out, settings, ids, policy, processes, lambda: claims.enter_context(output))
        todo = [Todo(*item) for item in zip(photographs, labels, before, strict=True)]
        with journal:
            stream = Stream(localizer, write_one, options.batch_size, options.max_boxes)
            _follow(stream, todo, journal, runtime)
        processes.wait()
        summary = replace(processes.agree(lambda: _summary(journal, ids, before)), **known)
        if processes.first:
            for write in writers:
                write(journal.predictions(ids), localizer.classes, out)
            for place in places:
                done = ((p.image_id, p.path) for p in photographs if p.image_id in journal)
                place(done, out, options.photographs)
            if options.review:
                facts, found = _facts(localizer, summary), journal.predictions(ids)
                write_review_sheet(found, photographs, localizer.classes, out, options.review, facts)
            about = {"settings": settings, "classes": localizer.classes, "folders": folders_of(photographs)}
            write_json(out / SUMMARY_NAME, {**asdict(summary), **about})
    return summary


def _begin(
    out: Path,
    settings: dict[str, Any],
    ids: Sequence[str],
    policy: RunPolicy,
    processes: Processes,
    prepare: Callable[[], None],
) -> tuple[Journal, list[bool]]:
    """The journal that this process writes, and which photographs an earlier run did."""
    opened: list[Journal] = []

    def begin() -> bytes:
        prepare()
        opened.append(Journal(out, settings, ids, resume=policy.resume))
        return bytes(image_id in opened[0] for image_id in ids)

    before = [bool(done) for done in processes.agree(begin)]
    if not processes.first:
        opened.append(Journal(out, settings, ids, resume=False, part=processes.rank))
    return opened[0], before


def _summary(journal: Journal, ids: Sequence[str], before: Sequence[bool]) -> Summary:
    """What became of the photographs, now that all processes have done."""
    journal.take_parts()
    nothing_found = tuple(found.image_id for found in journal.predictions(ids) if not len(found.boxes))
    return Summary(
        inputs=len(ids),
        done=len(ids) - sum(before) - len(journal.failures),
        skipped=sum(before),
        failed=dict(journal.failures),
        without_box=len(nothing_found),
        warnings=dict(Counter(text for found in journal.predictions(ids) for text in found.warnings)),
        nothing_found=nothing_found,
    )


def _follow(stream: Stream, todo: Sequence[Todo], journal: Journal, runtime: Runtime) -> None:
    """Enter into the journal what becomes of the photographs, in their order.

    Raises:
        UserError: a process that reads photographs died.
    """
    waiting = sum(not item.done for item in todo)
    with (
        Meter("localizing", waiting, quiet=runtime.quiet) as meter,
        reading_explained(),
        closing(stream.run(todo, runtime)) as batches,
    ):
        for outcomes in batches:
            for outcome in outcomes:
                if outcome.prediction is None:
                    journal.failed(outcome.image_id, outcome.reason)
                else:
                    journal.add(outcome.prediction)
            meter.advance(len(outcomes) * runtime.processes.world)


def _facts(localizer: Localizer, summary: Summary) -> list[tuple[str, str]]:
    """What the review sheet says of the run."""
    threshold = f"{localizer.threshold.value:.3g} ({localizer.threshold.source})"
    looked = ", looked at twice" if localizer.second_looks else ""
    facts = [("threshold", threshold), ("confidence", localizer.confidence.source + looked)]
    facts += [("without a box", str(summary.without_box)), ("failed", str(len(summary.failed)))]
    return facts + [(f"warning {text}", str(count)) for text, count in summary.warnings.items()]


def _settings(localizer: Localizer, options: LocalizeOptions) -> dict[str, Any]:
    """What decides the output; it stands in summary.json, and a run that goes on must agree with it."""
    return {
        "method": localizer.config.method,
        "model": localizer.fingerprint,
        "maps_from": localizer.maps,
        "normalisation": localizer.config.normalisation,
        "threshold": localizer.threshold.value,
        "threshold_source": localizer.threshold.source,
        "labels": options.labels,
        "max_boxes": options.max_boxes,
        "confidence": localizer.confidence.source,
        "confidence_model": localizer.confidence.fingerprint,
        "second_look": options.second_look,
        "pictures": options.pictures,
        "maps": options.maps,
        "masks": options.masks or options.refine != NO_REFINER,
        "refine": options.refine,
        "sam_weights": None if options.sam_weights is None else str(options.sam_weights),
    }
