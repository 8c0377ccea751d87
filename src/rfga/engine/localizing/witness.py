"""A second witness: a foreground network that was learned from masks, beside the run's own maps.

It takes part only where it is asked for, and whatever it took part in says so: without it nobody has drawn a
mask or a box for any of these maps.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rfga.data.images import read_image
from rfga.geometry.bicubic import resize_bicubic
from rfga.geometry.box_evidence import find_boxes
from rfga.geometry.boxes import scale_boxes
from rfga.geometry.fusion import AGREED, as_shares, from_shares, fuse
from rfga.geometry.maps import EVAL_SIZE_HW
from rfga.types import FloatArray, Prediction, UserError

NO_WITNESS, REMBG = "none", "rembg"
WITNESS_NAMES = (NO_WITNESS, REMBG)
DISAGREES = "the witness sees another object"
"""Warning of a photograph in which the boxes of both maps do not meet."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the input of U2-Net and its kin
SIDE = 320  # of that input, where the file leaves it open

Saliency = Callable[[Image.Image], FloatArray]
"""From a photograph to shares of object (h, w) in [0, 1], of any size."""


@dataclass(frozen=True)
class Witness:
    """A foreground network, and what is told of it."""

    name: str
    saliency: Saliency

    @property
    def sentence(self) -> str:
        """For every report of what it took part in."""
        return f"boxes with the help of {self.name}, a foreground network that was learned from masks"

    def __call__(self, prediction: Prediction, photograph: Path, max_boxes: int = 1) -> Prediction:
        """The prediction of both maps together.

        Where the boxes of both maps do not meet, confidences fall with their IoU, and there is a warning.

        Args:
            prediction: with its score map.
            photograph: its file.
            max_boxes: at most.

        Raises:
            UserError: the photograph cannot be read.
        """
        level, score_map = prediction.threshold, prediction.score_map
        if score_map is None:
            raise ValueError(f"expected the score map of {prediction.image_id}, found none: keep it")
        seen = resize_bicubic(self.saliency(read_image(photograph))[None], EVAL_SIZE_HW)[0].clip(0.0, 1.0)
        fused = fuse(as_shares(score_map, level), seen)
        together = from_shares(fused.shares, level)
        found = find_boxes(together, level, max_boxes)
        surest = float(prediction.scores.max(initial=0.0)) * min(1.0, fused.agreement / AGREED)
        doubt = () if fused.agreement >= AGREED else (DISAGREES,)
        return replace(
            prediction,
            boxes=scale_boxes(found.boxes, EVAL_SIZE_HW, prediction.size_hw),
            scores=surest * found.shares,
            score_map=together,
            warnings=(*prediction.warnings, *doubt),
        )


def load_witness(name: str, weights: Path | None) -> Witness | None:
    """The witness that was asked for; None where none was.

    Args:
        name: one of ``WITNESS_NAMES``.
        weights: an ONNX file of U2-Net or its kin, which is read in place of the library's own weights.

    Raises:
        UserError: the library is not installed, or the file holds no such network.

    Example:
        >>> load_witness("none", None)
    """
    if weights is not None:
        return _of_file(weights)
    if name == NO_WITNESS:
        return None
    library: Any = _library("rembg", "rembg")
    try:
        session = library.new_session("u2net")
    except Exception as error:  # the library downloads weights: of it and of those below it
        raise UserError(
            f"expected rembg to have or download its weights, found that it cannot ({error}): give a file of "
            "them with --witness-weights"
        ) from error

    def saliency(photograph: Image.Image) -> FloatArray:
        mask = library.remove(photograph, session=session, only_mask=True)
        return np.asarray(mask, dtype=np.float64) / 255

    return Witness("rembg (u2net)", saliency)


def witness_settings(name: str, weights: Path | None) -> dict[str, str]:
    """What settings say of the witness, so that a run that goes on has the same; nothing where there is none.

    Example:
        >>> witness_settings("none", None), witness_settings("rembg", None)
        ({}, {'witness': 'rembg'})
    """
    if weights is not None:
        digest = sha256(weights.read_bytes()).hexdigest()[:16]
        return {"witness": weights.name, "witness_weights": digest}
    return {} if name == NO_WITNESS else {"witness": name}


def _of_file(weights: Path) -> Witness:
    runtime: Any = _library("onnxruntime", "rembg")
    if not weights.is_file():
        raise UserError(f"expected an ONNX file for --witness-weights, found nothing at {weights}: check it")
    try:
        session = runtime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises errors of any type for damaged or other files
        raise UserError(
            f"expected an ONNX network in {weights}, found one that cannot be loaded "
            f"({' '.join(str(error).split())[:200]}): give a file of U2-Net or its kin"
        ) from error
    entry = session.get_inputs()[0]
    if len(session.get_inputs()) != 1 or len(entry.shape) != 4:
        raise UserError(
            f"expected a network of one image (1, 3, H, W) in {weights}, found inputs "
            f"{[one.shape for one in session.get_inputs()]}: give a file of U2-Net or its kin"
        )
    height, width = (size if isinstance(size, int) else SIDE for size in entry.shape[2:])

    def saliency(photograph: Image.Image) -> FloatArray:
        pixels = np.asarray(photograph.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32)
        scaled = (pixels / max(float(pixels.max()), 1e-6) - MEAN) / STD
        answer = session.run(None, {entry.name: scaled.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        values = np.asarray(answer, dtype=np.float64).reshape(-1, *answer.shape[-2:])[0]
        spread = float(values.max() - values.min())
        return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)

    return Witness(weights.name, saliency)


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"expected the library {name} for --witness, found that it cannot be loaded ({error}): "
            f'pip install "rfga[{extra}]"'
        ) from error
