"""Networks of full size come and go here."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _network_of_its_own(memory_of_its_own: None) -> None:
    """The network of a test goes with it."""
