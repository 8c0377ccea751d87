"""The same few photographs with their maps, to be looked at after every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rfga.data.base import Dataset, known_truth
from rfga.data.samples import labels_of
from rfga.data.transforms import eval_transform
from rfga.engine.localizing.localizer import Localizer
from rfga.output.pictures import overlay, picture_grid
from rfga.types import ByteArray, Sample

MOST_EXAMPLES = 8
PICTURE_PIXELS = 256  # the longer side of each photograph, where it is larger


def example_samples(samples: Sequence[Sample], most: int = MOST_EXAMPLES) -> list[Sample]:
    """The first photograph of each class, always the same ones; of more than ``most`` classes every so many.

    Example:
        >>> from pathlib import Path
        >>> listed = [Sample(f"{c}/{i}.jpg", Path(f"{c}/{i}.jpg"), c) for c in range(9) for i in range(3)]
        >>> [sample.image_id for sample in example_samples(listed, most=3)]
        ['0/0.jpg', '3/0.jpg', '6/0.jpg']
    """
    _, places = np.unique(labels_of(samples), return_index=True)
    count = min(most, len(places))
    return [samples[int(places[i * len(places) // count])] for i in range(count)]


def example_picture(localizer: Localizer, dataset: Dataset, samples: Sequence[Sample]) -> ByteArray:
    """Photographs with the map of their own class, the box at the localizer's threshold, and known truth.

    Args:
        localizer: the model as it is now.
        dataset: whose photographs they are.
        samples: at least one.

    Returns:
        (H, W, 3) uint8, four photographs in a row.

    Raises:
        UserError: a photograph cannot be read.
    """
    images = [dataset.image(sample) for sample in samples]
    pixels = torch.stack([eval_transform(image, localizer.config.image_size) for image in images])
    scored = localizer.score(pixels, torch.tensor([sample.label for sample in samples]))
    sizes_hw = [(image.height, image.width) for image in images]
    found = localizer.predictions(scored, [sample.image_id for sample in samples], sizes_hw)
    pictures = [
        overlay(np.asarray(image), one.score_map, one.boxes, known_truth(dataset, sample), PICTURE_PIXELS)
        for image, one, sample in zip(images, found, samples, strict=True)
    ]
    return picture_grid(pictures)
