from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

import rfga
from rfga.engine.export.model_card import model_card
from rfga.engine.run.folder import RunFolder
from tests.engine import tiny
from tests.engine.export.small import small_localizer

DATA: dict[str, Any] = {"name": "pets", "train_photographs": 300, "val_photographs": 120, "skipped": []}


@pytest.fixture(scope="module")
def card(tiny_run: Path) -> str:
    run = RunFolder(tiny_run)
    return model_card(rfga.load(tiny_run, device="cpu"), run.read_config()[1], run.read_metrics())


def section(card: str, title: str) -> str:
    return card.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_hub_reads_its_head(card: str, tiny_run: Path) -> None:
    data: Any = ModelCard(card).data
    assert (data.library_name, data.pipeline_tag) == ("rfga", "object-detection")
    assert "cam" in (data.tags or [])
    assert data.license is None
    results = {(one.metric_name, one.metric_value) for one in data.eval_results or []}
    measured = tiny.metrics(tiny_run)["evaluations"]["val"]["metrics"]["MaxBoxAccV2"][0]["value"]
    assert ("MaxBoxAccV2 (oracle threshold, all contours)", round(measured, 4)) in results


def test_it_says_what_was_measured_and_how(card: str, tiny_run: Path) -> None:
    said = section(card, "Measured")
    assert said.strip().startswith("birds, val, 12 photographs:")
    percent = 100 * tiny.metrics(tiny_run)["evaluations"]["val"]["metrics"]["Top1Cls"][0]["value"]
    assert f"| Top1Cls | {percent:.1f} |" in said
    assert "| oracle |" in said
    assert "IoU 0.3" not in said


def test_it_says_what_the_model_is(card: str) -> None:
    said = section(card, "What it is")
    assert "Class activation mapping (Zhou et al., CVPR 2016)" in said
    assert "birds: 6 classes, 24 photographs to train on, 12 to validate on" in said
    assert "| network | test\\_resnet |" in said
    assert "| starting weights | random |" in said
    assert "(source: val)" in said
    assert all(title in card for title in ("## Limits", "## Licence", "## How to load it"))


def test_names_are_shown_as_they_are_and_mean_nothing_to_markdown() -> None:
    localizer = small_localizer("rfga")
    localizer.classes = ("a|b", "<script>", "[x](y)\n# head", *(f"c{n}" for n in range(150)))
    card = model_card(localizer, {**DATA, "name": "x: [y]\n---\n# *z*"}, {})
    assert "a\\|b, \\<script\\>, \\[x\\](y) \\# head, c0" in section(card, "Classes")
    assert "and 53 more" in section(card, "Classes")
    assert "\n# head" not in card
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["library_name"] == "rfga"
    assert "model-index" not in head
    assert "Nothing was measured." in section(card, "Measured")


def test_a_name_cannot_end_the_head(card: str) -> None:
    evaluation = {"dataset": "a\n---\nb", "split": "val", "images": 3, "metrics": {}}
    made = model_card(small_localizer("cam"), DATA, {"evaluations": {"val": evaluation}})
    data: Any = ModelCard(made).data
    assert data.library_name == "rfga"
    assert made.count("\n---\n") == 1
