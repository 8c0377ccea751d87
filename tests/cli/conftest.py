from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _curves_stay_undrawn(undrawn: None) -> None:
    """Commands are run for what they say."""
