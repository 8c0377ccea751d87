"""Masks by a Segment Anything model whose weights the user has: prompted by the boxes and the map's peaks.

Source: Kirillov et al., "Segment Anything" (ICCV 2023), and its second and third version, as the library
transformers has them. Nothing is downloaded: the weights are a local folder.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rfga.engine.localizing.refiners import Refiner, kept_map
from rfga.geometry.refine import mask_of
from rfga.types import MASK_BACKGROUND, MASK_OBJECT, ByteArray, FloatArray, Prediction, UserError

NEEDED_FILES = ("config.json", "model.safetensors")
KINDS = {
    "sam": ("SamModel", "SamProcessor"),
    "sam2": ("Sam2Model", "Sam2Processor"),
    "sam3_tracker": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
}
"""Name of a model's kind in its ``config.json`` -> the library's classes of model and processor."""


def sam_refiner(weights: Path | None, device: torch.device) -> Refiner:
    """The model in the folder ``weights``, on ``device``.

    Raises:
        UserError: no folder was given, the library transformers is not installed, or the folder does not
            hold a Segment Anything model as ``save_pretrained`` writes it.
    """
    if weights is None:
        raise UserError(
            "expected the folder of a Segment Anything model for --refine sam, found none: give --sam-weights"
        )
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise UserError(
            f"expected the library transformers for --refine sam, found that it cannot be loaded ({error}): "
            'pip install "rfga[sam]"'
        ) from error
    models = ", ".join(model for model, _ in KINDS.values())
    if missing := [name for name in NEEDED_FILES if not (weights / name).is_file()]:
        raise UserError(
            f"expected a Segment Anything model in {weights}, found no {missing[0]} there: save the model "
            "and its processor into that folder with save_pretrained"
        )
    try:
        kind = json.loads((weights / "config.json").read_text(encoding="utf-8"))["model_type"]
        model_class, processor_class = (getattr(library, name) for name in KINDS[kind])
        # Safetensors alone, since pickled weights may run code when they are loaded.
        model, loaded = model_class.from_pretrained(
            weights, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        processor = processor_class.from_pretrained(weights, local_files_only=True)
    except Exception as error:  # the library raises errors of any type for damaged or other files
        raise UserError(
            f"expected a Segment Anything model in {weights}, found one that cannot be loaded "
            f"({' '.join(str(error).split())}): give a folder with a model out of {models} and its processor"
        ) from error
    # The library draws weights that the file lacks at random.
    if lacking := sorted(loaded["missing_keys"]):
        raise UserError(
            f"expected all weights of a Segment Anything model in {weights}, found {len(lacking)} missing, "
            f"such as {lacking[0]}: give a folder with a model out of {models}"
        )
    return SamRefiner(model.eval().to(device), processor, device)


class SamRefiner:
    """Asks a Segment Anything model for the object of each box, and joins what it answers.

    Args:
        model: transformers' ``SamModel`` or one of ``KINDS``, ready on the device.
        processor: transformers' processor of its kind.
        device: where the model is.
    """

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self._model, self._processor, self._device = model, processor, device

    def __call__(self, photograph: ByteArray, prediction: Prediction) -> ByteArray:
        """A mask (H, W), 255 object and 0 background; the map's own where the model finds nothing.

        Args:
            photograph: (H, W, 3) uint8, red, green, blue.
            prediction: with its score map and boxes in the photograph's pixels.
        """
        score_map = kept_map(prediction)
        if len(prediction.boxes):
            found = self._pixels(photograph, prediction.boxes, score_map)
            if found.any():
                return np.where(found, MASK_OBJECT, MASK_BACKGROUND).astype(np.uint8)
        return mask_of(score_map, prediction.threshold, prediction.size_hw)

    def _pixels(self, photograph: ByteArray, boxes: FloatArray, score_map: FloatArray) -> Any:
        """The pixels (H, W) of bool that belong to the object of any box (n, 4)."""
        peaks = peaks_xy(score_map, boxes, (photograph.shape[0], photograph.shape[1]))
        asked = self._processor(
            images=photograph,
            input_boxes=[boxes.tolist()],
            input_points=[[[peak] for peak in peaks.tolist()]],
            input_labels=[[[1]] * len(peaks)],
            return_tensors="pt",
        )
        sizes = [asked.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in asked]
        # The library prepares prompts in float64, which not every device has.
        tensors = {
            name: value.to(self._device, torch.float32 if value.is_floating_point() else value.dtype)
            for name, value in asked.items()
        }
        with torch.inference_mode():
            answer = self._model(**tensors, multimask_output=False).pred_masks.cpu()
        (masks,) = self._processor.image_processor.post_process_masks(answer, *sizes)
        return masks.numpy().any(axis=(0, 1))


def peaks_xy(score_map: FloatArray, boxes: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Where the map is highest in each box: (n, 2) x and y in pixels of the photograph.

    Args:
        score_map: (h, w) of the whole photograph.
        boxes: (n, 4) edges in original pixels.
        size_hw: height and width of the photograph.

    Example:
        >>> peaks_xy(np.array([[0.1, 0.2, 0.9, 0.0]]), np.array([[0.0, 0.0, 20.0, 5.0]]), (10, 40))
        array([[15.,  5.]])
    """
    map_h, map_w = score_map.shape
    columns = (np.arange(map_w) + 0.5) * size_hw[1] / map_w
    rows = (np.arange(map_h) + 0.5) * size_hw[0] / map_h
    peaks = []
    for x0, y0, x1, y1 in boxes:
        inside = ((rows >= y0) & (rows <= y1))[:, None] & ((columns >= x0) & (columns <= x1))
        if inside.any():
            row, column = np.unravel_index(np.where(inside, score_map, -1.0).argmax(), score_map.shape)
            peaks.append((columns[column], rows[row]))
        else:  # a box smaller than the map's pixels, between their middles
            peaks.append(((x0 + x1) / 2, (y0 + y1) / 2))
    return np.array(peaks, dtype=np.float64).reshape(-1, 2)
