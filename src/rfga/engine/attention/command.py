"""``rfga attention``: pictures and numbers of what a run's attention layer does with some photographs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rfga.data.images import read_image
from rfga.data.spelling import class_key
from rfga.data.transforms import eval_transform
from rfga.engine.attention.layer import attend, require_layer
from rfga.engine.localizing.inputs import Photograph, find_photographs
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.photographs import label_indices
from rfga.engine.runtime.progress import Meter
from rfga.files import held_in, make_folder, mark_output, write_json
from rfga.output.attention.pictures import PICTURE_FORMATS, write_attention
from rfga.output.attention.record import Attention, attention_numbers
from rfga.types import UserError
from rfga.untrusted import fitting, place_below

NUMBERS, PICTURES = "attention.json", "pictures"


@dataclass(frozen=True)
class AttentionCommand:
    """What ``rfga attention`` was asked for.

    Args:
        run: folder that ``rfga train`` made, of a method with an RFGA layer.
        paths: photographs, folders and lists.
        out: folder for ``attention.json`` and ``pictures/``.
        label: name of the class to look for; by default that of the photograph's folder, else the predicted.
        threshold: auto, or a number as text.
        picture_format: png or svg.
        device: where to compute.
        overwrite: replace the output of an earlier call.
        quiet: no progress.

    Raises:
        UserError: a picture format that is not written.
    """

    run: Path
    paths: Sequence[Path]
    out: Path
    label: str | None = None
    threshold: str = "auto"
    picture_format: str = "png"
    device: str = "auto"
    overwrite: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.picture_format not in PICTURE_FORMATS:
            raise UserError(
                f"expected --format out of {', '.join(PICTURE_FORMATS)}, found {self.picture_format}: "
                "give one of them"
            )


@dataclass(frozen=True, eq=False)
class AttentionResult:
    """What became of every photograph."""

    found: list[Attention]
    failed: dict[str, str]  # image id -> reason
    numbers: Path  # attention.json


def picture_attention(command: AttentionCommand) -> AttentionResult:
    """Write a picture for each photograph, and the numbers of all; a bad file is recorded and ends nothing.

    Raises:
        UserError: the run is none or has no RFGA layer, an unknown class, no photograph that can be read, or
            a folder that holds something already.
    """
    localizer = Localizer.load(command.run, device=command.device, threshold=command.threshold)
    require_layer(localizer)
    _require_class(command.label, localizer.classes)
    photographs = find_photographs(command.paths, localizer.classes)
    _prepare(command)
    result = AttentionResult([], {}, command.out / NUMBERS)
    entries: list[dict[str, Any]] = []
    _write_numbers(localizer, result, entries)  # the sign by which the folder is known
    with Meter("attention", len(photographs), quiet=command.quiet) as meter:
        for photograph in photographs:
            picture = f"{PICTURES}/{fitting(photograph.image_id, f'.{command.picture_format}')}"
            try:
                found = _look(localizer, photograph, command, place_below(command.out, picture))
            except UserError as error:
                result.failed[photograph.image_id] = str(error)
            else:
                result.found.append(found)
                entries.append({**attention_numbers(found), "picture": picture})
            _write_numbers(localizer, result, entries)
            meter.advance(1)
    if not result.found:
        name, reason = next(iter(result.failed.items()))
        raise UserError(f"expected photographs, found none of {len(photographs)} usable; {name}: {reason}")
    return result


def _look(
    localizer: Localizer, photograph: Photograph, command: AttentionCommand, picture: Path
) -> Attention:
    image = read_image(photograph.path)
    name = command.label or photograph.folder_class
    labels = None if name is None else label_indices(name, localizer.classes, 1)
    found = attend(
        localizer,
        eval_transform(image, localizer.config.image_size)[None],
        (image.height, image.width),
        image_id=photograph.image_id,
        label=None if labels is None else labels[0],
    )
    write_attention(picture, np.asarray(image), found)
    return found


def _write_numbers(localizer: Localizer, result: AttentionResult, entries: list[dict[str, Any]]) -> None:
    settings = {
        "method": localizer.config.method,
        "model": localizer.fingerprint,
        "normalisation": localizer.config.normalisation,
        "threshold": localizer.threshold.value,
        "threshold_source": localizer.threshold.source,
    }
    write_json(result.numbers, {"settings": settings, "images": entries, "failed": result.failed})


def _require_class(label: str | None, classes: Sequence[str]) -> None:
    if label is not None and class_key(label) not in map(class_key, classes):
        raise UserError(
            f"expected --label out of the run's classes ({', '.join(classes[:10])}"
            f"{', ...' if len(classes) > 10 else ''}), found {label!r}: give one of them"
        )


def _prepare(command: AttentionCommand) -> None:
    """Make room without ever losing somebody's files."""
    out = make_folder(command.out)
    held = held_in(out)
    if held and not command.overwrite:
        raise UserError(
            f"expected a new folder for the pictures, found {out} with {len(held)} entries: "
            "add --overwrite to replace it, or choose another --out"
        )
    if held and NUMBERS not in held:
        raise UserError(
            f"expected output of rfga attention to overwrite, found others in {out}: choose another --out"
        )
    mark_output(out)
    if (out / PICTURES).is_dir():
        shutil.rmtree(out / PICTURES)
