"""Photographs as the page shows them, made when a browser asks and kept nowhere."""

from __future__ import annotations

import io
from pathlib import Path
from threading import BoundedSemaphore

import numpy as np
from PIL import Image

from rfga.data.images import read_image
from rfga.output.pictures import fit

THUMBNAIL_PIXELS, STAGE_PIXELS = 240, 1800
"""The longer side of a photograph in the list, and of the one that is worked on."""

_QUALITY = 88
_AT_ONCE = BoundedSemaphore(2)  # photographs being decoded, each of which may take hundreds of megabytes


def jpeg_of(path: Path, longer_side_pixels: int) -> bytes:
    """A photograph as a JPEG whose longer side has at most so many pixels, upright and in RGB.

    Raises:
        UserError: it cannot be read.
    """
    with _AT_ONCE:
        picture = fit(np.asarray(read_image(path, longer_side_pixels)), longer_side_pixels)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
