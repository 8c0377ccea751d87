"""Training of the few-shot baseline on the truth of the validation split, in a folder like a run's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

from rfga.data.base import Dataset, known_truth
from rfga.data.transforms import Augmentation
from rfga.engine.learning.data import (
    Loaders,
    TrainingData,
    checked_samples,
    epoch_loader,
    probe_photographs,
)
from rfga.engine.learning.few_shot import FewShotImages, FewShotNetwork
from rfga.engine.learning.fitting import fit
from rfga.engine.learning.resume import read_checkpoint
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import build_on_backbone
from rfga.engine.runtime.devices import pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.progress import announcer
from rfga.files import write_json
from rfga.types import UserError

SPLIT = "val"  # train-fullsup in the benchmark's words
SETTINGS = "few_shot.json"


def train_few_shot(
    config: TrainConfig, dataset: Dataset, run: RunFolder, runtime: Runtime | None = None
) -> tuple[FewShotNetwork, TrainConfig]:
    """Train FSL on the boxes or masks of val; what a stopped training left in ``run`` is gone on with.

    Args:
        config: backbone, weights, sizes, rates, seed; method and options play no part.
        dataset: whose val split carries truth.
        run: gets few_shot.json, checkpoints, history and weights.
        runtime: device, workers, output.

    Returns:
        The network in evaluation mode, and the settings with what was found out about the input.

    Raises:
        UserError: no truth in val, or anything that also stops the training of a method.
    """
    runtime = runtime or Runtime()
    config = replace(config, fast_layers=None)  # they are named after the layers of some method
    data = _read(dataset, runtime)
    device = pick_device(runtime.device)
    asked = json.loads(json.dumps(_asked(config, data)))
    held = _held(run)
    if held.get("asked") != asked:
        _clear(run)
        held = {}
    finished = bool(held) and (run.path / "model.safetensors").is_file()
    checkpoint = read_checkpoint(run.checkpoint) if held and not finished else None
    config = TrainConfig.from_dict({**config.to_dict(), **held.get("found", {})})
    network = _starting_network(config, data, begins=not finished and checkpoint is None)
    if finished:
        network.load_state_dict(run.read_model())
        return network.eval(), config
    backbone = network.backbone
    found = {"mean": list(backbone.mean), "std": list(backbone.std), "pad_type": backbone.pad_type}
    config = TrainConfig.from_dict({**config.to_dict(), **found})
    write_json(run.path / SETTINGS, {"asked": asked, "found": found})
    announcer(runtime.quiet)(
        f"few-shot baseline on {config.backbone}, {len(data.train)} photographs with boxes or masks, "
        f"on {device.type}"
    )
    first_epoch = checkpoint.epochs_done if checkpoint else 0
    fit(network, config, _loaders(data, config, runtime, first_epoch), run, runtime, checkpoint)
    run.write_model(network.state_dict())
    return network.eval(), config


def _starting_network(config: TrainConfig, data: TrainingData, *, begins: bool) -> FewShotNetwork:
    # Where a checkpoint or the final weights follow, those to start from need not be there any more.
    chosen = config if begins else replace(config, weights="none")
    tries_inputs = chosen.weights not in ("imagenet", "none")
    return build_on_backbone(
        chosen,
        lambda backbone: FewShotNetwork(backbone, len(data.dataset.classes)),
        probe_photographs(data) if tries_inputs else None,
    )


def _read(dataset: Dataset, runtime: Runtime) -> TrainingData:
    samples, unreadable = checked_samples(dataset, SPLIT, runtime)
    kept = tuple(sample for sample in samples if known_truth(dataset, sample) is not None)
    if not kept:
        raise UserError(
            f"expected boxes or masks of the split {SPLIT} of {dataset.name} for the few-shot baseline, "
            "found none: add --val-truth, or --no-few-shot"
        )
    return TrainingData(dataset, kept, (), tuple(unreadable))


def _loaders(data: TrainingData, config: TrainConfig, runtime: Runtime, first_epoch: int) -> Loaders:
    augmentation = Augmentation(crop=config.crop, min_scale=config.min_scale, flip=config.flip)
    count = len(data.train)
    images = FewShotImages(data.dataset, data.train, config.image_size, augmentation)
    workers = pick_workers(runtime, pick_device(runtime.device))
    return Loaders(epoch_loader(images, count, config, workers, first_epoch), count)


def _asked(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """What decides the result."""
    settings = config.to_dict()
    for name in ("method", "options", "normalisation"):
        del settings[name]
    return {**settings, "photographs": len(data.train), "classes": len(data.dataset.classes)}


def _held(run: RunFolder) -> dict[str, Any]:
    """What an earlier training was asked for and found out; empty where there was none."""
    try:
        held = json.loads((run.path / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) and {"asked", "found"} <= held.keys() else {}


def _clear(run: RunFolder) -> None:
    for name in (SETTINGS, "model.safetensors", "metrics.json"):
        (run.path / name).unlink(missing_ok=True)
    shutil.rmtree(run.checkpoint.parent, ignore_errors=True)
