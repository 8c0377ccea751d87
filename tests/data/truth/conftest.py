from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def val(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A split's folder with photographs: the ``IDS`` of the asking file, ``WIDTH`` x ``HEIGHT`` pixels."""
    asking = request.module
    for image_id in asking.IDS:
        (tmp_path / "val" / image_id).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (asking.WIDTH, asking.HEIGHT)).save(tmp_path / "val" / image_id)
    return tmp_path / "val"
