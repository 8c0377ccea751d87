"""Going on with a run that was stopped: only with its own settings and data, after its last whole epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rfga.engine.run.checkpoint_file import is_whole, previous_of
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import all_options
from rfga.types import UserError

FOUND_OUT = ("mean", "std", "pad_type")  # settings that training finds out where they are not given


def resumed_config(run: RunFolder, config: TrainConfig) -> TrainConfig:
    """The run's own settings, with which those of ``config`` must agree.

    Raises:
        UserError: they differ; the message names the settings.
    """
    held, _ = run.read_config()
    given, kept = config.to_dict(), held.to_dict()
    settled = {name for name in FOUND_OUT if given[name] is None}
    if _has_chosen_its_size(run, config, held):
        settled |= {"image_size", "choose_size"}
    changed = [
        f"{name} {given[name]} instead of {kept[name]}"
        for name in given
        if name != "options" and given[name] != kept[name] and name not in settled
    ]
    if config.method == held.method:
        wanted, had = all_options(config), all_options(held)
        changed += [
            f"option {name} {wanted[name]} instead of {had[name]}"
            for name in had
            if wanted[name] != had[name]
        ]
    if changed:
        raise UserError(
            f"expected to resume {run.path} with its own settings, found {', '.join(changed)}: "
            "leave them out, or start anew with --overwrite"
        )
    return replace(held, options=all_options(held))


def _has_chosen_its_size(run: RunFolder, config: TrainConfig, held: TrainConfig) -> bool:
    """Whether the choice that is asked for was made already, from the size that is given."""
    tried = run.read_metrics().get("shrinking", {})
    known = {*tried, str(held.image_size)} if tried else set()
    return config.choose_size and str(config.image_size) in known


def require_same_data(run: RunFolder, classes: tuple[str, ...], data: dict[str, Any]) -> None:
    """Refuse to go on with other photographs, which would end in a run that nobody can repeat.

    Raises:
        UserError: the classes or the numbers of photographs are not those the run began with.
    """
    _, held = run.read_config()
    if (run.path / "classes.json").is_file() and run.read_classes() != classes:
        raise UserError(
            f"expected the classes that {run.path} began with ({', '.join(run.read_classes()[:10])}), found "
            f"{', '.join(classes[:10])}: give its own data, or start anew with --overwrite"
        )
    began, now = held.get("processes", 1), data.get("processes", 1)
    if began != now:  # an epoch would have other steps, and the learning rate falls by steps
        raise UserError(
            f"expected the {began} processes that {run.path} began with, found {now}: start as many"
        )
    for name in ("train_photographs", "val_photographs"):
        if name in held and held[name] != data[name]:
            raise UserError(
                f"expected the {held[name]} {name.replace('_', ' ')} that {run.path} began with, found "
                f"{data[name]}: give its own data, or start anew with --overwrite"
            )


@dataclass(frozen=True)
class Checkpoint:
    """Where to go on from."""

    path: Path
    epochs_done: int


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint to go on from; None where no epoch was finished yet.

    Where the newest is damaged, or a kill came between two names, it is the one before.

    Raises:
        UserError: it is damaged, and there is none before it.
    """
    damaged: UserError | None = None
    for place in (path, previous_of(path)):
        if place.is_file():
            try:
                return _read(place)
            except UserError as error:
                damaged = damaged or error
    if damaged is not None:
        raise damaged
    return None


def take_up(checkpoint: Checkpoint, path: Path, say: Callable[[str], None]) -> Path:
    """Put the checkpoint that a run goes on from at ``path``, so that the next one finds a sound one there.

    Args:
        checkpoint: from ``read_checkpoint``.
        path: of the run's newest checkpoint.
        say: is told of a damaged one.

    Returns:
        The place it is at from now on, ``path``.
    """
    if checkpoint.path != path:
        if path.is_file():
            say(f"{path} is damaged: going on from the one before, of epoch {checkpoint.epochs_done}")
        checkpoint.path.replace(path)
    return path


def _read(path: Path) -> Checkpoint:
    if not is_whole(path):
        raise _damaged(path)
    try:
        held = torch.load(path, "cpu", weights_only=True)
        whole = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "generator"} <= held.keys()
        checkpoint = Checkpoint(path, int(held["epochs_done"]))
    except Exception as error:  # a damaged pickle raises whatever its bytes make it raise
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    return checkpoint


def _damaged(path: Path) -> UserError:
    return UserError(
        f"expected a checkpoint to go on from, found {path} damaged: remove it to train from the start "
        "with --resume, or start anew with --overwrite"
    )
