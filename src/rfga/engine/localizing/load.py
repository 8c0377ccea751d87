"""The shortest way from a trained run to a box."""

from __future__ import annotations

from pathlib import Path

from rfga.engine.localizing.localizer import Localizer


def load(source: Path | str, *, device: str = "auto") -> Localizer:
    """A trained model that finds objects in photographs: ``rfga.load("run")("photo.jpg").box``.

    Args:
        source: run folder, folder of ``rfga export --format folder``, or the name of a repository on the
            Hugging Face hub.
        device: auto, cpu, cuda or mps.

    Returns:
        The model; called with a path, a PIL image or an array (H, W, 3) of RGB bytes it gives one
        ``Found`` (label, confidence, box, mask, map), called with several a list of them.

    Raises:
        UserError: no such folder or repository, or it holds no trained model.

    Example:
        >>> load("no/such/run")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a run folder, ...
    """
    return Localizer.from_pretrained(source, device=device)
