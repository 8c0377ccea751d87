from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import rfga
from rfga.data import open_dataset
from rfga.data.transforms import eval_transform
from rfga.engine.export.graph import AllMaps, metadata_of, module_of, random_pixels, record
from rfga.engine.run.weights_file import weights_fingerprint
from rfga.methods import METHODS
from rfga.types import UserError
from tests.conftest import REPOSITORY
from tests.contract_cases import learn_by_passes
from tests.engine.export.small import CLASSES, SIDE, small_localizer


def test_pixels_in_and_all_maps_out(tiny_run: Path, birds: Path) -> None:
    localizer = rfga.Localizer.load(tiny_run, device="cpu")
    data = open_dataset(birds)
    pixels = torch.stack([eval_transform(data.image(sample), 64) for sample in data.samples("val")[:3]])
    with torch.no_grad():
        logits, maps = module_of(localizer)(pixels.float())
    for label in range(len(localizer.classes)):
        scored = localizer.score(pixels, torch.full((3,), label))
        np.testing.assert_allclose(logits.numpy(), scored.logits, rtol=0, atol=1e-5)
        np.testing.assert_allclose(maps[:, label].numpy(), scored.raw_maps, rtol=0, atol=1e-5)


QUICK = ("cam", "rfga")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in METHODS]
)
def test_every_method_is_recorded_for_any_batch(name: str) -> None:
    localizer = small_localizer(name)
    learn_by_passes(localizer.method)
    localizer.method.eval()
    module = module_of(localizer)
    program = record(module, SIDE)
    recorded = program.module()
    for batch in (1, 3):
        images = random_pixels(batch, SIDE, seed=batch)
        with torch.no_grad():
            expected, found = module(images), recorded(images)
        assert [tuple(part.shape) for part in found] == [(batch, 3), (batch, 3, *expected[1].shape[2:])]
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert expected[1].std() > 0
    if name == "rfga":
        written = io.BytesIO()
        torch.export.save(program, written)
        assert str(REPOSITORY).encode() not in written.getvalue()


def test_exporting_leaves_the_localizer_as_it_is() -> None:
    localizer = small_localizer("rfga")
    before = localizer.fingerprint
    module = module_of(localizer)
    for weight in module.parameters():
        weight.data.zero_()
    assert weights_fingerprint(localizer.method) == before


def test_a_network_that_depends_on_its_numbers_is_refused_in_a_sentence() -> None:
    class Undecided(AllMaps):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(images if images.sum() > 0 else -images)

    module = Undecided(small_localizer("cam").method)
    with pytest.raises(UserError, match=r"expected a network that torch can export, found .*--format folder"):
        record(module, SIDE)


def test_metadata_are_texts_that_a_program_can_read() -> None:
    found = metadata_of(small_localizer("acol", threshold=0.1))
    assert all(isinstance(value, str) for value in found.values())
    assert json.loads(found["classes"]) == list(CLASSES)
    assert float(found["threshold"]) == 0.1
    assert (found["threshold_source"], found["normalisation"]) == ("fixed", "minmax")
    assert (found["method"], found["image_size"]) == ("acol", str(SIDE))
