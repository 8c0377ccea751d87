from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from rfga.engine.export import to_program
from rfga.engine.export.graph import metadata_of
from rfga.engine.run.folder import RunFolder
from tests.engine.export.small import SIDE, small_localizer


def test_the_file_loads_without_the_package_and_agrees(tmp_path: Path) -> None:
    localizer, path = small_localizer("rfga"), tmp_path / "model.pt2"
    assert to_program.export_program(RunFolder(tmp_path), localizer, path).holds
    notes = {"rfga.json": ""}
    loaded = torch.export.load(path, extra_files=notes).module()
    assert json.loads(notes["rfga.json"]) == metadata_of(localizer)
    pixels = torch.randint(0, 256, (5, 3, SIDE, SIDE), dtype=torch.uint8)
    logits, maps = loaded(pixels.float())
    scored = localizer.score(pixels, torch.tensor([0, 1, 2, 1, 0]))
    np.testing.assert_allclose(logits.detach().numpy(), scored.logits, rtol=0, atol=1e-5)
    chosen = maps.detach().numpy()[range(5), scored.labels]
    np.testing.assert_allclose(chosen, scored.raw_maps, rtol=0, atol=1e-4)
