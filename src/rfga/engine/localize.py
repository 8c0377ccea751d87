"""Localizing many photographs: from files to boxes, pictures, maps and masks on disk, as a stream."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rfga.data.images import read_image
from rfga.data.transforms import eval_transform
from rfga.engine.config import Runtime
from rfga.engine.devices import pick_workers
from rfga.engine.inputs import Photograph, choose_labels
from rfga.engine.journal import FILE_NAME, Journal
from rfga.engine.localizer import Localizer
from rfga.engine.options import resolve
from rfga.files import make_folder, replacing, write_json
from rfga.geometry.levelsets import foreground
from rfga.output.export import FORMATS
from rfga.output.pictures import overlay, write_picture
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, Prediction, UserError

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
OUTPUTS = ("coco.json", "boxes.csv", "summary.json", "pictures", "maps", "masks", FILE_NAME)


@dataclass(frozen=True)
class LocalizeOptions:
    """What ``localize`` writes, and how.

    Args:
        formats: names out of ``rfga.output.export.FORMATS``.
        labels: "folder", "predicted", a file, or None to choose by what the folders are called.
        max_boxes: boxes per photograph at most.
        pictures: write photographs with heat map and boxes.
        maps: write the score maps.
        masks: write what is above the threshold as masks.
        batch_size: photographs at a time.
    """

    formats: Sequence[str] = ("coco",)
    labels: str | None = None
    max_boxes: int = 1
    pictures: bool = True
    maps: bool = False
    masks: bool = False
    batch_size: int = 32


@dataclass(frozen=True)
class Summary:
    """What became of every photograph; the three counts add up to the inputs."""

    inputs: int
    done: int
    skipped: int  # done by an earlier run that this one went on with
    failed: dict[str, str]  # image id -> reason
    without_box: int  # of those done: nothing above the threshold


def localize(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    out: Path,
    options: LocalizeOptions | None = None,
    *,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda items, total: items,
) -> Summary:
    """Boxes for every photograph, written below ``out``; a bad file is recorded and never ends the run.

    Args:
        localizer: the trained model.
        photographs: from ``rfga.engine.inputs.find_photographs``.
        out: folder for everything that is written.
        options: formats, classes, pictures.
        runtime: device and workers.
        resume: skip what an earlier run did.
        overwrite: remove an earlier run's output first.
        progress: wraps an iterable and its length, to show a bar.

    Raises:
        UserError: unknown format, no class where one is needed, or a folder that holds something already.
    """
    options, runtime = options or LocalizeOptions(), runtime or Runtime()
    writers = {name: resolve(FORMATS, name, "format") for name in options.formats}
    labels = choose_labels(photographs, options.labels, localizer.classes)
    _prepare(out, resume=resume, overwrite=overwrite)
    with Journal(out, _settings(localizer, options), resume=resume) as journal:
        chosen = {p.image_id: label for p, label in zip(photographs, labels, strict=True)}
        waiting = [p for p in photographs if p.image_id not in journal.done]
        skipped = len(photographs) - len(waiting)
        loader = DataLoader(
            _Files(waiting, localizer.config.image_size),
            batch_size=options.batch_size,
            num_workers=pick_workers(runtime, localizer.device) if len(waiting) > options.batch_size else 0,
            collate_fn=_collate,
        )
        for batch in progress(loader, len(loader)):
            _do_batch(localizer, waiting, chosen, batch, journal, out, options)
        for write in writers.values():
            write(journal.predictions(), localizer.classes, out)
        summary = Summary(
            inputs=len(photographs),
            done=len(photographs) - skipped - len(journal.failures),
            skipped=skipped,
            failed=dict(journal.failures),
            without_box=sum(1 for p in journal.predictions() if not len(p.boxes)),
        )
    write_json(out / "summary.json", {**summary.__dict__, "settings": _settings(localizer, options)})
    return summary


@dataclass(frozen=True)
class _Read:
    position: int
    pixels: Tensor | None
    size_hw: tuple[int, int]
    reason: str


class _Files(TorchDataset[_Read]):
    """Photographs as the network wants them; one that cannot be read comes with the reason."""

    def __init__(self, photographs: Sequence[Photograph], image_size: int) -> None:
        self.photographs, self.image_size = photographs, image_size

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> _Read:
        try:
            image = read_image(self.photographs[index].path)
        except UserError as error:
            return _Read(index, None, (0, 0), str(error))
        return _Read(index, eval_transform(image, self.image_size), (image.height, image.width), "")


def _collate(items: list[_Read]) -> list[_Read]:
    return items


def _do_batch(
    localizer: Localizer,
    photographs: Sequence[Photograph],
    chosen: dict[str, int | None],
    batch: list[_Read],
    journal: Journal,
    out: Path,
    options: LocalizeOptions,
) -> None:
    for item in batch:
        if item.pixels is None:
            journal.failed(photographs[item.position].image_id, item.reason)
    good = [(item, item.pixels) for item in batch if item.pixels is not None]
    if not good:
        return
    ids = [photographs[item.position].image_id for item, _ in good]
    labels = [chosen[image_id] for image_id in ids]
    # Either every photograph has its class or none has: choose_labels sees to it.
    given = None if labels[0] is None else torch.tensor([label for label in labels if label is not None])
    scored = localizer.score(torch.stack([pixels for _, pixels in good]), given)
    predictions = localizer.predictions(scored, ids, [item.size_hw for item, _ in good], options.max_boxes)
    for prediction, (item, _) in zip(predictions, good, strict=True):
        _write_files(prediction, photographs[item.position].path, out, options)
        journal.add(prediction)


def _write_files(prediction: Prediction, path: Path, out: Path, options: LocalizeOptions) -> None:
    score_map = prediction.score_map
    if score_map is None:
        return
    if options.pictures:
        picture = overlay(np.asarray(read_image(path)), score_map, prediction.boxes, None)
        write_picture(out / "pictures" / f"{prediction.image_id}.jpg", picture)
    if options.maps:
        target = out / "maps" / f"{prediction.image_id}.npy"
        with replacing(target) as temporary, temporary.open("wb") as stream:
            np.save(stream, score_map.astype(np.float32))
    if options.masks:
        mask = np.where(foreground(score_map, prediction.threshold), MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
        target = out / "masks" / Path(prediction.image_id).with_suffix(".png")
        size_wh = (prediction.size_hw[1], prediction.size_hw[0])
        with replacing(target) as temporary:
            Image.fromarray(mask).resize(size_wh, Image.Resampling.NEAREST).save(temporary, format="PNG")


def _settings(localizer: Localizer, options: LocalizeOptions) -> dict[str, Any]:
    return {
        "method": localizer.config.method,
        "normalisation": localizer.config.normalisation,
        "threshold": localizer.threshold.value,
        "threshold_source": localizer.threshold.source,
        "labels": options.labels,
        "max_boxes": options.max_boxes,
        "pictures": options.pictures,
        "maps": options.maps,
        "masks": options.masks,
    }


def _prepare(out: Path, *, resume: bool, overwrite: bool) -> None:
    make_folder(out)
    held = sorted(p.name for p in out.iterdir())
    if held and not (resume or overwrite):
        raise UserError(
            f"expected a new folder for the boxes, found {out} with {len(held)} entries: "
            "add --resume to go on, --overwrite to replace it, or choose another --out"
        )
    if overwrite:
        if held and FILE_NAME not in held:
            raise UserError(f"expected output of rfga localize to overwrite, found none in {out}: choose another --out")
        for name in OUTPUTS:
            target = out / name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
