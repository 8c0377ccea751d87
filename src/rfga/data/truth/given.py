"""What a person has said of a photograph: its boxes, which stay as they are and are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfga.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """The boxes that a person gave a photograph; none at all say that it shows no object.

    Example:
        >>> Given(np.zeros((0, 4))).is_empty, Given(np.array([[1.0, 2.0, 30.0, 40.0]])).is_empty
        (True, False)
    """

    boxes: FloatArray  # (n, 4) edges in original pixels
    classes: tuple[str, ...] = ()  # the name of each box's class; empty where none is told

    @property
    def is_empty(self) -> bool:
        """Whether there is no object."""
        return not len(self.boxes)


NOTHING_HERE = Given(np.zeros((0, 4)))
"""What is said of a photograph without any object."""
