"""What a person has said of a photograph: its boxes, which stay as they are and are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfga.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """The boxes that a person gave a photograph; none at all say that it shows no object.

    Example:
        >>> Given().is_empty, Given(np.array([[1.0, 2.0, 30.0, 40.0]]), ("cat",)).is_empty
        (True, False)
    """

    boxes: FloatArray = np.zeros((0, 4))  # noqa: RUF009
    classes: tuple[str, ...] = ()  # name of each box's class; empty where none is told

    @property
    def is_empty(self) -> bool:
        """Whether there is no object."""
        return not len(self.boxes)
