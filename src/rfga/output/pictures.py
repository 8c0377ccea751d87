"""Photographs with their heat map, predicted boxes and truth drawn on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rfga.files import replacing
from rfga.types import MASK_OBJECT, ByteArray, FloatArray, IntArray, Truth, UserError

# Magenta and green stay apart for colour-blind eyes too; truth is dashed besides.
PREDICTION_RGB = (255, 45, 205)
TRUTH_RGB = (60, 255, 130)
OUTLINE_RGB = (15, 15, 20)
HEAT_OPACITY = 0.6  # of the hottest pixel; a cold one leaves the photograph as it is
_PIXELS_PER_LINE_PIXEL = 90  # a line is one pixel wide for so many pixels of the mean side
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}

Edges = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels, x1 and y1 exclusive


def overlay(
    image_rgb: ByteArray,
    score_map: FloatArray | None,
    boxes: FloatArray,
    truth: Truth | None = None,
    max_side: int | None = None,
) -> ByteArray:
    """Draw heat map, predicted boxes (magenta, solid) and truth (green; boxes dashed) on a photograph.

    The map is resized for display only. A box's line lies on the outermost pixels that the box covers.

    Args:
        image_rgb: (H, W, 3) uint8, at its original size.
        score_map: (h, w) in [0, 1], or None for no heat map.
        boxes: (n, 4) edges x0, y0, x1, y1 in original pixels; empty boxes are not drawn.
        truth: boxes or mask in original pixels.
        max_side: the longer side of the result in pixels, where the photograph is larger.

    Returns:
        (H, W, 3) uint8, or smaller where ``max_side`` says so.

    Raises:
        ValueError: a shape or type is wrong, or the truth is of another size than the photograph.

    Example:
        >>> grey = np.full((20, 30, 3), 128, np.uint8)
        >>> picture = overlay(grey, None, np.array([[10.0, 5.0, 25.0, 15.0]]))
        >>> picture.shape, picture[5, 10].tolist(), picture[10, 17].tolist()
        ((20, 30, 3), [255, 45, 205], [128, 128, 128])
    """
    _check(image_rgb, score_map, boxes, truth)
    picture = fit(image_rgb, max_side)
    if score_map is not None:
        picture = _heated(picture, score_map)
    (height, width), (picture_height, picture_width) = image_rgb.shape[:2], picture.shape[:2]
    scale = np.array([picture_width / width, picture_height / height] * 2)
    for box in boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]:
        _draw_box(picture, box * scale, PREDICTION_RGB, dashed=False)
    if truth is not None and truth.mask is not None:
        _draw_contour(picture, truth.mask)
    if truth is not None and truth.boxes is not None:
        for box in truth.boxes:  # after the predictions: a solid line is still seen through the dashes
            _draw_box(picture, box * scale, TRUTH_RGB, dashed=True)
    return picture


def fit(image_rgb: ByteArray, max_side: int | None = None) -> ByteArray:
    """A copy of (H, W, 3) whose longer side is at most ``max_side`` pixels, its aspect kept; never enlarged.

    Example:
        >>> fit(np.zeros((300, 600, 3), np.uint8), max_side=200).shape
        (100, 200, 3)
    """
    height, width = image_rgb.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image_rgb.copy()
    scale = max_side / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def picture_grid(pictures: Sequence[ByteArray], columns: int = 4) -> ByteArray:
    """Pictures side by side, row by row, each in the middle of a dark square that the largest one fits into.

    Args:
        pictures: at least one, (h, w, 3) uint8.
        columns: squares in a row at most.

    Returns:
        (rows * side, columns * side, 3) uint8, without empty columns.

    Example:
        >>> white = np.full((20, 30, 3), 255, np.uint8)
        >>> grid = picture_grid([white] * 3, columns=2)
        >>> grid.shape, grid[15, 59].tolist(), grid[45, 59].tolist()
        ((60, 60, 3), [255, 255, 255], [15, 15, 20])
    """
    side = max(max(picture.shape[:2]) for picture in pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    grid = np.full((rows * side, columns * side, 3), OUTLINE_RGB, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        top = index // columns * side + (side - height) // 2
        left = index % columns * side + (side - width) // 2
        grid[top : top + height, left : left + width] = picture
    return grid


def jpeg_data_uri(image_rgb: ByteArray, quality: int = 85, max_side: int | None = None) -> str:
    """A picture as text that can stand in an HTML page: ``data:image/jpeg;base64,...``.

    Args:
        image_rgb: (H, W, 3) uint8.
        quality: of the JPEG, 1 to 95.
        max_side: the longer side in pixels, where the picture is larger.

    Example:
        >>> jpeg_data_uri(np.zeros((20, 30, 3), np.uint8))[:31]
        'data:image/jpeg;base64,/9j/4AAQ'
    """
    buffer = io.BytesIO()
    # Full colour resolution: halving it, as JPEG usually does, would blur the thin coloured lines.
    picture = Image.fromarray(fit(image_rgb, max_side))
    picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def write_picture(path: Path, image_rgb: ByteArray, quality: int = 90) -> None:
    """Write (H, W, 3) uint8 as JPEG or PNG, as the name's ending says; the file appears whole or not at all.

    Raises:
        UserError: the ending is neither, or the folder cannot be written.
    """
    file_format = _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UserError(f"expected a picture named .jpg, .jpeg or .png, found {path.name}: rename it")
    options = {"quality": quality, "subsampling": 0} if file_format == "JPEG" else {}
    with replacing(path, one_of_many=True) as temporary:
        Image.fromarray(image_rgb).save(temporary, file_format, **options)


def _check(
    image_rgb: ByteArray, score_map: FloatArray | None, boxes: FloatArray, truth: Truth | None
) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or not image_rgb.size:
        raise ValueError(f"expected uint8 (H, W, 3), found {image_rgb.dtype} {image_rgb.shape}")
    if score_map is not None and (score_map.ndim != 2 or not score_map.size):
        raise ValueError(f"expected a score map of shape (h, w), found {score_map.shape}")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"expected finite boxes of shape (n, 4), found {boxes.shape}: {boxes.tolist()}")
    if truth is not None and truth.size_hw != image_rgb.shape[:2]:
        raise ValueError(f"expected truth of a {image_rgb.shape[:2]} photograph, found {truth.size_hw}")


def _heated(picture: ByteArray, score_map: FloatArray) -> ByteArray:
    height, width = picture.shape[:2]
    finite = np.nan_to_num(score_map, nan=0.0, posinf=1.0, neginf=0.0).astype(np.float32)
    heat = np.clip(cv2.resize(finite, (width, height), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    colours = cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)
    opacity = heat * np.float32(HEAT_OPACITY)
    return np.asarray(cv2.blendLinear(picture, colours, 1 - opacity, opacity), dtype=np.uint8)


def _line_pixels(picture: ByteArray) -> tuple[int, int]:
    """Widths of a line and of the dark outline at either side of it."""
    height, width = picture.shape[:2]
    line = max(1, round((height * width) ** 0.5 / _PIXELS_PER_LINE_PIXEL))
    return line, max(1, line // 4)


def _draw_box(picture: ByteArray, box: FloatArray, colour: tuple[int, int, int], *, dashed: bool) -> None:
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in np.floor(box + 0.5))
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    x1, y1 = min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)
    line, outline = _line_pixels(picture)
    line = min(line, x1 - x0, y1 - y0)
    dash = max(3, 4 * line) if dashed else 0
    around = (x0 - outline, y0 - outline, x1 + outline, y1 + outline)
    _draw_frame(picture, around, line + 2 * outline, OUTLINE_RGB, dash)
    _draw_frame(picture, (x0, y0, x1, y1), line, colour, dash)


def _draw_frame(picture: ByteArray, edges: Edges, line: int, colour: tuple[int, int, int], dash: int) -> None:
    """Paint the outermost ``line`` pixels inside ``edges``: ``dash`` pixels on, as many off; 0 is solid."""
    x0, y0, x1, y1 = edges
    for top, bottom in ((y0, y0 + line), (y1 - line, y1)):
        columns = _dashes(x0, x1, picture.shape[1], dash)
        picture[max(top, 0) : max(bottom, 0), columns] = colour
    for left, right in ((x0, x0 + line), (x1 - line, x1)):
        rows = _dashes(y0, y1, picture.shape[0], dash)
        picture[rows, max(left, 0) : max(right, 0)] = colour


def _dashes(start: int, end: int, limit: int, dash: int) -> IntArray | slice:
    if not dash:
        return slice(max(start, 0), min(end, limit))
    places: IntArray = np.arange(start, end, dtype=np.int64)
    shown: IntArray = places[((places - start) // dash % 2 == 0) & (places >= 0) & (places < limit)]
    return shown


def _draw_contour(picture: ByteArray, mask: ByteArray) -> None:
    height, width = picture.shape[:2]
    inside = (mask == MASK_OBJECT).astype(np.uint8)
    contours, _ = cv2.findContours(
        cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST),
        cv2.RETR_CCOMP,  # holes have a border too
        cv2.CHAIN_APPROX_NONE,
    )
    line, outline = _line_pixels(picture)
    cv2.drawContours(picture, contours, -1, OUTLINE_RGB, line + 2 * outline)
    cv2.drawContours(picture, contours, -1, TRUTH_RGB, line)
