"""Localizing many photographs: from files to boxes, pictures, maps and masks on disk, as a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rfga.engine.localizing.estimate import estimated_for
from rfga.engine.localizing.inputs import (
    Photograph,
    find_photographs,
    folders_of,
    given_fingerprint,
    input_notes,
    of_one_file,
    shorter_names,
)
from rfga.engine.localizing.journal import SUMMARY_NAME, Summary, begin_journal, summary_of
from rfga.engine.localizing.labels import Labels, choose_labels
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeCommand, LocalizeOptions
from rfga.engine.localizing.output import prepared_output, write_files
from rfga.engine.localizing.refiners import NO_REFINER, load_refiner
from rfga.engine.localizing.review_sheet import write_review_sheet
from rfga.engine.localizing.stream import Stream, Todo
from rfga.engine.localizing.witness import load_witness, witness_settings
from rfga.engine.run.config import RunPolicy
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.options import resolve
from rfga.engine.runtime.joining import joined
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.engine.thresholds.threshold import FIXED, threshold_sentence
from rfga.files import write_json
from rfga.output.export.formats import FORMATS, MERGED, PHOTOGRAPHS
from rfga.types import UserError


def localize_paths(command: LocalizeCommand, runtime: Runtime | None = None) -> Summary:
    """``rfga localize``: boxes for files, folders and lists.

    Raises:
        UserError: anything in the input that cannot work; a single bad photograph is recorded instead.
    """
    with joined(runtime or Runtime()) as shared:
        return _localize_paths(command, shared)


def _localize_paths(command: LocalizeCommand, runtime: Runtime) -> Summary:
    localizer = Localizer.load(
        command.run,
        device=runtime.device,
        normalisation=command.normalisation,
        maps_from=command.maps_from,
        threshold=command.threshold,
    )
    background = RunFolder(command.run).background_folders()
    photographs = find_photographs(command.paths, localizer.classes, command.out, background)
    labels = choose_labels(photographs, command.options.labels, localizer.classes)
    given = command.threshold != "auto"
    if not given and localizer.threshold.source == FIXED:  # the run knows none for these maps
        earlier, plain = command.out if command.policy.resume else None, localizer
        estimated = runtime.processes.agree(
            lambda: estimated_for(plain, photographs, labels.indices, runtime, earlier).threshold
        )
        localizer = localizer.with_threshold(estimated.value, estimated.source)
    announcer(runtime.quiet)(threshold_sentence(localizer.threshold, given, localizer.config.normalisation))
    summary = _localize_labelled(
        localizer, photographs, labels, command.out, command.options, runtime, command.policy
    )
    gone = [str(path) for path in command.paths if not path.exists()]
    if gone and summary.failed:  # a bad photograph ends no run, but a folder that goes away is an error
        raise UserError(
            f"expected {', '.join(gone)} to stay there, found it gone, and {len(summary.failed)} of "
            f"{summary.inputs} photographs failed: bring it back and go on with --resume"
        )
    return summary


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
    options = options or LocalizeOptions()
    labels = choose_labels(photographs, options.labels, localizer.classes)
    runtime, policy = runtime or Runtime(), policy or RunPolicy()
    return _localize_labelled(localizer, photographs, labels, out, options, runtime, policy)


def _localize_labelled(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    labels: Labels,
    out: Path,
    options: LocalizeOptions,
    runtime: Runtime,
    policy: RunPolicy,
) -> Summary:
    refine = load_refiner(options.refine, options.sam_weights, localizer.device)
    witness = load_witness(options.witness, options.witness_weights)
    writers = {name: resolve(FORMATS, name, "format") for name in options.formats}
    wanted = () if options.photographs == "none" else options.formats
    places = [resolve(PHOTOGRAPHS, name, "format") for name in wanted if name in PHOTOGRAPHS]
    ids = [photograph.image_id for photograph in photographs]
    shorter = shorter_names(ids)
    notes = (*labels.notes, *input_notes(photographs, localizer.classes, shorter))
    known: dict[str, Any] = {"class_from": labels.class_from, "notes": notes, "shorter_names": shorter}
    known["witness"] = witness and witness.sentence
    if options.second_look:
        localizer = localizer.with_second_look(options.max_boxes)
    settings, processes = settings_of(localizer, options, photographs), runtime.processes
    processes.require_same("photographs and settings", [*ids, json.dumps(settings)])

    with ExitStack() as claims:
        output = prepared_output(out, policy)
        journal, before = begin_journal(
            out, settings, ids, policy, processes, lambda: claims.enter_context(output)
        )
        todo = [Todo(*item) for item in zip(photographs, labels.indices, before, strict=True)]
        write = partial(write_files, out=out, options=options, refine=refine)
        with journal:
            stream = Stream(localizer, write, options.batch_size, options.max_boxes, witness)
            stream.follow(todo, journal, runtime)
        processes.wait()
        summary = replace(processes.agree(lambda: summary_of(journal, ids, before)), **known)
        if processes.first:
            same = of_one_file(photographs)
            for name, write_format in writers.items():
                more = {"file_names": same, "note": known["witness"]} if name in MERGED else {}
                write_format(journal.predictions(ids), localizer.classes, out, **more)
            for place in places:
                done = ((p.image_id, p.path) for p in photographs if p.image_id in journal)
                place(done, out, options.photographs)
            if options.review:
                held = journal.predictions(ids)
                write_review_sheet(held, photographs, localizer, out, options.review, summary)
            about = {"settings": settings, "classes": localizer.classes, "folders": folders_of(photographs)}
            write_json(out / SUMMARY_NAME, {**asdict(summary), **about})
    return summary


def settings_of(
    localizer: Localizer, options: LocalizeOptions, photographs: Sequence[Photograph]
) -> dict[str, Any]:
    """What decides the output; it stands in summary.json, and a run that goes on must agree with it."""
    given = given_fingerprint(photographs)
    return {
        **({} if given is None else {"given": given}),
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
        **witness_settings(options.witness, options.witness_weights),
    }
