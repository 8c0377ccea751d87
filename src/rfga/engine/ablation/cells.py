"""One variant with one seed: trained on frozen features or as a whole network, and measured."""

from __future__ import annotations

import time
from typing import Any

from safetensors.numpy import save_file
from torch.utils.data import DataLoader

from rfga.backbones.features import FeatureBackbone
from rfga.data.base import Dataset
from rfga.data.transforms import SampleImages
from rfga.engine.ablation.maps import raw_maps, score_raw
from rfga.engine.ablation.plan import AblationTask
from rfga.engine.benchmark.cells import guarded, reported, trained_seconds, validation
from rfga.engine.benchmark.schedule import Outcome
from rfga.engine.learning.data import Loaders, checked_samples, epoch_loader
from rfga.engine.learning.feature_store import FeatureStore
from rfga.engine.learning.fitting import fit
from rfga.engine.learning.frozen_features import FeatureImages, open_features
from rfga.engine.learning.train import train
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import RunPolicy, TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import build_method
from rfga.engine.run.weights_file import system_errors_told
from rfga.engine.runtime.devices import pick_device, pick_workers
from rfga.engine.runtime.machine import Runtime
from rfga.engine.runtime.reading import reads_quietly
from rfga.engine.thresholds.threshold import FIXED_THRESHOLDS, Threshold
from rfga.files import replacing
from rfga.methods.base import Method
from rfga.types import Sample

_BATCH = 32  # of measuring


def attempt_variant(task: AblationTask) -> Outcome:
    """Do a task of an ablation; for what comes of it see ``guarded``."""
    return guarded(_fine_tuned if task.trains_network else _on_features, task)


def train_on_features(
    config: TrainConfig,
    num_classes: int,
    plain: FeatureStore,
    mirrored: FeatureStore | None = None,
    runtime: Runtime | None = None,
) -> Method:
    """Train a method's new layers on the features of a frozen network; nothing is kept on disk.

    Args:
        config: method, options, rates, batch size, epochs, seed.
        num_classes: K.
        plain: features of the training photographs.
        mirrored: those of the mirrored ones, which take the place of every second one.
        runtime: device, output.

    Returns:
        The method on a ``FeatureBackbone``, in evaluation mode.

    Raises:
        UserError: options that do not fit, or a loss that is no number.
    """
    method = build_method(config, num_classes, backbone=FeatureBackbone(plain.shape[0]))
    loader = epoch_loader(FeatureImages(plain, mirrored), len(plain), config, workers=0)
    fit(method, config, Loaders(loader, len(plain)), None, runtime or Runtime())
    return method.eval()


def _on_features(task: AblationTask) -> dict[str, Any]:
    config, dataset, split = _config(task), reported(task), task.source.split
    plain, measured = open_features(task.out, "train"), open_features(task.out, split)
    mirrored = open_features(task.out, "train", mirrored=True) if config.flip else None
    started = time.perf_counter()
    method = train_on_features(config, len(dataset.classes), plain, mirrored, task.runtime)
    seconds = time.perf_counter() - started
    by_id = {sample.image_id: sample for sample in dataset.samples(split)}
    samples = [by_id[image_id] for image_id, _ in measured.images]
    loader: DataLoader[Any] = DataLoader(FeatureImages(measured), batch_size=_BATCH)
    localizer = Localizer(
        method,
        tuple(dataset.classes),
        config,
        Threshold(FIXED_THRESHOLDS[config.normalisation], "fixed"),
        pick_device(task.runtime.device),
    )
    return _measured(task, localizer, loader, dataset, samples) | {"train_seconds": round(seconds, 2)}


def _fine_tuned(task: AblationTask) -> dict[str, Any]:
    assert task.folder is not None
    run, source = RunFolder(task.out / task.folder), task.source
    data = {"source": source.data, "truth": None if source.val_truth is None else str(source.val_truth)}
    policy = RunPolicy(resume=True)
    train(_config(task), validation(task), run, runtime=task.runtime, policy=policy, source=data)
    localizer = Localizer.load(run.path, device=task.runtime.device)
    dataset = reported(task)
    samples, _ = checked_samples(dataset, source.split, task.runtime)
    loader: DataLoader[Any] = DataLoader(
        SampleImages(dataset, samples, localizer.config.image_size, None),
        batch_size=_BATCH,
        num_workers=pick_workers(task.runtime, localizer.device),
        worker_init_fn=reads_quietly,
    )
    measured = _measured(task, localizer, loader, dataset, list(samples))
    return measured | {"train_seconds": trained_seconds(run)}


def _config(task: AblationTask) -> TrainConfig:
    return TrainConfig.from_dict(task.settings)


def _measured(
    task: AblationTask,
    localizer: Localizer,
    loader: DataLoader[Any],
    dataset: Dataset,
    samples: list[Sample],
) -> dict[str, Any]:
    """The numbers of a trained variant under each normalisation; its replicates are written down."""
    started = time.perf_counter()
    found = raw_maps(localizer, loader, dataset, samples, task.runtime)
    about = {"dataset": dataset.name, "split": task.source.split}
    evaluations, replicates = {}, {}
    for how in task.normalisations:
        numbers, samples_of = score_raw(found, how)
        evaluations[how] = {**about, **numbers}
        replicates.update({f"{how}/{metric}": values for metric, values in samples_of.items()})
    with replacing(task.out / task.replicates) as temporary, system_errors_told():
        save_file(replicates, temporary)
    return {
        "evaluations": evaluations,
        "weights": sum(weight.numel() for weight in localizer.method.parameters()),
        "evaluate_seconds": round(time.perf_counter() - started, 2),
        "device": str(localizer.device),
    }
