from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import rfga
from rfga.backbones.build import build_backbone
from rfga.backbones.probe import InputSettings
from rfga.data.images import read_image
from rfga.data.transforms import eval_transform
from rfga.engine.export import to_onnx
from rfga.engine.export.graph import metadata_of
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.methods import METHODS
from rfga.methods.base import Method
from rfga.types import UserError
from tests.cli.test_main import Captured, status
from tests.conftest import REPOSITORY
from tests.contract_cases import made_method, target
from tests.engine.export.small import CLASSES, small_localizer

EXAMPLE = REPOSITORY / "docs" / "examples" / "onnx_box.py"


@pytest.fixture(scope="session")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as ONNX, written by the command, and the numbers beside its folder."""
    out = tmp_path_factory.mktemp("onnx") / "deep" / "model.onnx"
    numbers = str(out.parent.with_suffix(".json"))
    assert status(["export", str(tiny_run), "--out", str(out), "--json", numbers, "--quiet"]) == 0
    return out


def running(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def check_photographs(path: Path, run: Path, photographs: list[Path]) -> None:
    localizer = rfga.load(run, device="cpu")
    images = [read_image(photograph) for photograph in photographs]
    pixels = torch.stack([eval_transform(image, localizer.config.image_size) for image in images])
    logits, maps = running(path).run(["logits", "maps"], {"images": pixels.float().numpy()})
    for label in range(len(localizer.classes)):
        scored = localizer.score(pixels, torch.full((len(pixels),), label))
        np.testing.assert_allclose(logits, scored.logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(maps[:, label], scored.raw_maps, rtol=0, atol=1e-4)


def test_it_agrees_with_the_run_on_pictures(exported: Path, tiny_run: Path, birds: Path) -> None:
    pictures = sorted((birds / "val").rglob("*.*"))
    for count in (1, 2, 7):
        check_photographs(exported, tiny_run, pictures[:count])


def test_the_numbers_that_the_command_writes(exported: Path) -> None:
    held = json.loads(exported.parent.with_suffix(".json").read_text())
    assert (held["path"], held["bytes"]) == (str(exported), exported.stat().st_size)
    assert all(0 <= held["largest_difference"][name] <= 1e-4 for name in ("logits", "maps"))
    assert held["maps_apart"] == 0


def test_it_agrees_on_photographs(exported: Path, tiny_run: Path, shared: Path) -> None:
    photographs = sorted((shared / "photos" / "objects10" / "val").rglob("*.*"))
    check_photographs(exported, tiny_run, photographs[::40])


def test_the_file_says_what_a_program_needs_to_know(exported: Path, tiny_run: Path) -> None:
    session = running(exported)
    assert [(one.name, one.shape, one.type) for one in session.get_inputs()] == [
        ("images", ["batch", 3, 64, 64], "tensor(float)")
    ]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("logits", ["batch", 6]),
        ("maps", ["batch", 6, 8, 8]),
    ]
    localizer = rfga.load(tiny_run)
    held = session.get_modelmeta().custom_metadata_map
    assert held == metadata_of(localizer)
    assert json.loads(held["classes"]) == list(localizer.classes)
    assert (float(held["threshold"]), held["threshold_source"]) == (localizer.threshold.value, "val")


def test_the_file_is_one_valid_model_that_tells_nothing_of_this_machine(exported: Path) -> None:
    onnx.checker.check_model(str(exported), full_check=True)
    assert [path.name for path in exported.parent.iterdir()] == ["model.onnx"]
    held = exported.read_bytes()
    assert str(REPOSITORY).encode() not in held
    assert b"stack_trace" not in held


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "LIBRARIES", ("onnx", "onnxnothing"))
    with pytest.raises(UserError, match=r'found no onnxnothing: pip install "rfga\[onnx\]"'):
        to_onnx.export_onnx(RunFolder(tmp_path), small_localizer("cam"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"expected weights below 2 GiB for ONNX, .* --format torch"):
        to_onnx.export_onnx(RunFolder(tmp_path), small_localizer("cam"), tmp_path / "model.onnx")


def test_nothing_is_left_of_a_file_that_disagrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(
        SerializeToString=lambda: b"model", metadata_props=SimpleNamespace(add=SimpleNamespace)
    )
    outputs = np.zeros((1, 3), np.float32), np.zeros((1, 3, 4, 4), np.float32)
    monkeypatch.setattr(to_onnx, "record", lambda module, size: None)
    monkeypatch.setattr(to_onnx, "_model", lambda program, size: model)
    monkeypatch.setattr(to_onnx, "_running", lambda path: lambda images: outputs)
    (tmp_path / "model.onnx").write_text("earlier")
    with pytest.raises(UserError, match="expected the exported model to agree with the run"):
        to_onnx.export_onnx(RunFolder(tmp_path), small_localizer("cam"), tmp_path / "model.onnx")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_the_example_draws_the_box_of_the_run(
    exported: Path,
    tiny_run: Path,
    birds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert len(lines) <= 30
    assert not [line for line in lines if "import" in line and ("torch" in line or "rfga" in line)]
    find = rfga.load(tiny_run, device="cpu")
    for number, picture in enumerate(sorted((birds / "val").rglob("*.*"))[:4]):
        boxed = tmp_path / f"{number}.png"
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(exported), str(picture), str(boxed)])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        label, *edges = capsys.readouterr().out.rsplit(maxsplit=4)
        found = find(picture)
        assert label == found.label
        assert [float(edge) for edge in edges] == pytest.approx(found.box, abs=0.06)
        before, after = np.asarray(Image.open(picture)), np.asarray(Image.open(boxed))
        assert before.shape == after.shape
        magenta = (after == (255, 0, 255)).all(2)
        x0, y0, x1, y1 = (float(edge) for edge in edges)
        assert magenta[round(y0), round((x0 + x1) / 2)]
        assert magenta[round((y0 + y1) / 2), round(x0)]


def test_the_guide_shows_the_example() -> None:
    assert "examples/onnx_box.py" in (REPOSITORY / "docs" / "export.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_agrees_in_onnxruntime(name: str, tmp_path: Path) -> None:
    check_method(made_method(name, "test_resnet"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["wsol_vgg16", "wsol_inception_v3", "wsol_resnet50", "test_vit"])
def test_every_kind_of_network_agrees_in_onnxruntime(backbone: str, tmp_path: Path) -> None:
    check_method(made_method("rfga", backbone), tmp_path)


@pytest.mark.slow
def test_a_network_that_pads_by_the_size_of_its_input(tmp_path: Path) -> None:
    same = InputSettings((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "same")
    network = build_backbone("test_efficientnet", settings=same)
    check_method(target(METHODS, "rfga")(network, len(CLASSES)), tmp_path)


def check_method(method: Method, folder: Path) -> None:
    small = small_localizer("cam")
    config = TrainConfig(method="cam", image_size=160)  # what a vision transformer was made for
    localizer = rfga.Localizer(method, CLASSES, config, small.threshold)
    assert to_onnx.export_onnx(RunFolder(folder), localizer, folder / "model.onnx").holds
