"""Cases of which a part is quick to go through, and the rest belongs to the slow tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some(cases: Iterable[Any], one_of: int = 3) -> list[Any]:
    """The first of every ``one_of`` cases as it is, the others as slow tests."""
    return [
        case if index % one_of == 0 else pytest.param(case, marks=pytest.mark.slow)
        for index, case in enumerate(cases)
    ]
