"""The small values that travel through the whole package: a photograph, its truth, a prediction.

Boxes are always float edges ``(x0, y0, x1, y1)`` in pixels of the original photograph as a viewer shows
it (EXIF orientation applied); ``x1`` and ``y1`` are exclusive, so ``width = x1 - x0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# As text, so that what only passes values on, as the command line's help does, starts without numpy.
FloatArray: TypeAlias = "NDArray[np.float64]"
IntArray: TypeAlias = "NDArray[np.int64]"
ByteArray: TypeAlias = "NDArray[np.uint8]"

MASK_OBJECT, MASK_BACKGROUND, MASK_IGNORED = 255, 0, 128
"""Grey values of truth masks."""

SPLITS = ("train", "val", "test")

SPLIT_ALIASES = {"train-weaksup": "train", "train-fullsup": "val"}
"""The benchmark's own names of splits -> ours. What is written names ours."""

SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names that people give to the folders of a split, in lower case -> the split."""

BACKGROUND_FOLDERS = ("background", "empty", "negative")
"""Names that people give to a folder of photographs without any object, in lower case."""

NO_CLASS = -1
"""The label of a photograph without any object."""


class UserError(Exception):
    """Bad input, told in one sentence: what was expected, what was found, what to do.

    Example:
        >>> raise UserError("expected a folder of images, found a file: give its folder")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a folder of images, found a file: give its folder
    """


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph of a data set: its id (relative path with extension), its file, its class index.

    Example:
        >>> Sample("tench/1.jpg", Path("photos/train/tench/1.jpg"), label=0).image_id
        'tench/1.jpg'
    """

    image_id: str  # with forward slashes on every system, unique in its split: "tench/n01440764_10194.JPEG"
    path: Path
    label: int


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known about where the object is: boxes, or a mask, in original pixels.

    Raises:
        ValueError: both or none of boxes and mask are given, or a shape is wrong.

    Example:
        >>> import numpy as np
        >>> Truth(size_hw=(60, 80), boxes=np.array([[10.0, 5.0, 30.0, 25.0]])).boxes.shape
        (1, 4)
    """

    size_hw: tuple[int, int]  # of the original photograph
    boxes: FloatArray | None = None  # (n, 4) float64, edges x0, y0, x1, y1, n >= 1
    mask: ByteArray | None = None  # (H, W) uint8: 255 object, 0 background, 128 ignored

    def __post_init__(self) -> None:
        if (self.boxes is None) == (self.mask is None):
            raise ValueError("expected boxes or a mask, found both or neither: give exactly one")
        if self.boxes is not None and (
            self.boxes.ndim != 2 or self.boxes.shape[1] != 4 or not len(self.boxes)
        ):
            raise ValueError(f"expected boxes of shape (n, 4) with n >= 1, found {self.boxes.shape}")
        if self.mask is not None and self.mask.ndim != 2:
            raise ValueError(f"expected a mask of shape (H, W), found {self.mask.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a localizer says of one photograph and one class.

    Example:
        >>> import numpy as np
        >>> box, blank = np.array([[10.0, 5.0, 30.0, 25.0]]), np.zeros((224, 224))
        >>> found = Prediction("tench/1.jpg", (60, 80), 0, 0.9, box, np.array([0.8]), blank, 0.2)
        >>> x0, y0, x1, y1 = found.boxes[0]
        >>> float(x1 - x0), float(y1 - y0)
        (20.0, 20.0)
    """

    image_id: str
    size_hw: tuple[int, int]  # of the original photograph
    label: int  # class index the boxes are of
    probability: float  # softmax probability of that class, in [0, 1]
    boxes: FloatArray  # (n, 4) float64 edges in original pixels, best first; (0, 4) where nothing is found
    scores: FloatArray  # (n,) in [0, 1], confidence that each box is right
    score_map: FloatArray | None  # (224, 224) float64 in [0, 1]; None where it was not kept
    threshold: float  # in [0, 1], as a fraction of the map's maximum
    warnings: tuple[str, ...] = ()  # what a person should look at, such as several objects in the photograph
    box_labels: tuple[int, ...] | None = None  # (n,) class index of each box; None: all ``label``
    reviewed: bool = False  # a person says that the photograph holds these boxes and no others; scores are 1

    @property
    def labels(self) -> tuple[int, ...]:
        """(n,) class index of each box."""
        return (self.label,) * len(self.boxes) if self.box_labels is None else self.box_labels
