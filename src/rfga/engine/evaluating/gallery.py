"""The gallery of a report: the photographs that a model does best, middling and worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rfga.data.base import Dataset
from rfga.data.transforms import eval_transform
from rfga.engine.attention.layer import attend, find_layer
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import OWN_MAPS
from rfga.geometry.maps import score_maps
from rfga.metrics.localization import image_iou
from rfga.output.report.page import GalleryItem
from rfga.types import Sample, Truth

GALLERY_SIZE = 6


@dataclass(frozen=True, eq=False)
class Candidate:
    """What is remembered of a photograph until the gallery is chosen; its truth is read again then."""

    sample: Sample
    raw_map: NDArray[np.float32]  # (h, w)
    predicted: int  # class index


def choose_gallery(
    localizer: Localizer, dataset: Dataset, candidates: Sequence[Candidate]
) -> dict[str, list[GalleryItem]]:
    """Best, median and worst photographs by the IoU at the localizer's threshold; empty without candidates.

    Args:
        localizer: with the threshold that the boxes are cut at.
        dataset: whose photographs they are.
        candidates: to choose from, each with truth.
    """
    ranked: list[tuple[float, Candidate]] = []
    for candidate in candidates:
        truth = dataset.truth(candidate.sample)
        if truth is not None:
            score_map = score_maps(candidate.raw_map, localizer.config.normalisation)
            ranked.append((image_iou(score_map, truth, localizer.threshold.value), candidate))
    if not ranked:
        return {}
    ranked.sort(key=lambda pair: (-pair[0], pair[1].sample.image_id))
    middle = max(0, len(ranked) // 2 - GALLERY_SIZE // 2)
    groups = {
        "best": ranked[:GALLERY_SIZE],
        "median": ranked[middle : middle + GALLERY_SIZE],
        "worst": ranked[::-1][:GALLERY_SIZE],
    }
    gallery = {
        name: [_item(localizer, dataset, iou, candidate) for iou, candidate in group]
        for name, group in groups.items()
    }
    # A post-hoc reading is a page about other maps than those that the layer changes.
    if localizer.maps == OWN_MAPS and find_layer(localizer.method) is not None:
        shown = {"best": 0, "median": len(ranked) // 2 - middle, "worst": 0}
        for name, place in shown.items():
            gallery[name][place] = _with_attention(localizer, gallery[name][place])
    return gallery


def _item(localizer: Localizer, dataset: Dataset, iou: float, candidate: Candidate) -> GalleryItem:
    sample = candidate.sample
    image = np.asarray(dataset.image(sample))
    score_map = score_maps(candidate.raw_map, localizer.config.normalisation)
    truth = dataset.truth(sample)
    assert isinstance(truth, Truth)  # it was there when the photograph was ranked
    return GalleryItem(
        image_id=sample.image_id,
        image=image,
        score_map=score_map,
        truth=truth,
        boxes=localizer.boxes(score_map, (image.shape[0], image.shape[1])),
        iou=iou,
        class_name=localizer.classes[sample.label],
        predicted_name=localizer.classes[candidate.predicted],
        threshold=localizer.threshold.value,
    )


def _with_attention(localizer: Localizer, item: GalleryItem) -> GalleryItem:
    """The same photograph, with what the attention layer did to it."""
    pixels = eval_transform(Image.fromarray(item.image), localizer.config.image_size)[None]
    label = localizer.classes.index(item.class_name)
    found = attend(localizer, pixels, item.truth.size_hw, image_id=item.image_id, label=label)
    return replace(item, attention=found)
