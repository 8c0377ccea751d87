"""The second witness: a made network that sees how bright a pixel is, on pictures with a bright patch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from rfga.cli import main
from rfga.engine.localizing.witness import DISAGREES, NO_WITNESS, REMBG, Witness, load_witness
from rfga.geometry.fusion import as_shares, from_shares, fuse
from rfga.types import Prediction, UserError

SIZE_HW = (60, 90)
PATCH = (30, 12, 72, 48)  # x0, y0, x1, y1: bright


@pytest.fixture(scope="module")
def brightness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX network of 32 x 48 pixels that gives the mean of the three colours."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 48])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, 1, 32, 48])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMean", ["image", "axes"], ["found"], keepdims=1)
    graph = helper.make_graph([node], "brightness", [image], [found], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path_factory.mktemp("witness") / "brightness.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.full((*SIZE_HW, 3), 20, np.uint8)
    x0, y0, x1, y1 = PATCH
    pixels[y0:y1, x0:x1] = 240
    Image.fromarray(pixels).save(tmp_path / "patch.png")
    return tmp_path / "patch.png"


def prediction(edges: tuple[float, float, float, float], threshold: float) -> Prediction:
    """Of a map that is high in a box of the photograph."""
    x0, x1 = (round(edges[i] / SIZE_HW[1] * 224) for i in (0, 2))
    y0, y1 = (round(edges[i] / SIZE_HW[0] * 224) for i in (1, 3))
    score_map = np.full((224, 224), 0.05)
    score_map[y0:y1, x0:x1] = 0.9
    box, score = np.array([edges]), np.array([0.8])
    return Prediction("patch.png", SIZE_HW, 0, 0.9, box, score, score_map, threshold)


def witness_of(path: Path) -> Witness:
    found = load_witness(NO_WITNESS, path)
    assert found is not None
    return found


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_where_both_agree_the_box_is_the_finer_maps(
    brightness: Path, photograph: Path, threshold: float
) -> None:
    rough = prediction((27, 9, 75, 51), threshold)
    found = witness_of(brightness)(rough, photograph)
    np.testing.assert_allclose(found.boxes, [PATCH], atol=1.5)
    assert found.scores.tolist() == [0.8]
    assert found.warnings == ()
    assert found.score_map is not None
    middle = found.score_map[int(30 / 60 * 224), int(50 / 90 * 224)]
    assert middle > threshold > found.score_map[3, 3]


@pytest.mark.parametrize(
    ("edges", "agreement"),
    [((60, 12, 90, 48), 12 / 60), ((0, 50, 20, 60), 0.0)],  # 12 of 30 columns are bright; none
)
def test_where_they_disagree_the_own_box_stays_and_confidence_falls(
    brightness: Path, photograph: Path, edges: tuple[float, float, float, float], agreement: float
) -> None:
    apart = prediction(edges, 0.5)
    found = witness_of(brightness)(apart, photograph)
    np.testing.assert_allclose(found.boxes, [edges], atol=0.5)
    assert found.scores[0] == pytest.approx(0.8 * agreement / 0.6, abs=0.03)
    assert found.warnings == (DISAGREES,)


def test_shares_and_levels_are_inverse_and_a_level_is_a_half() -> None:
    score_map = np.linspace(0, 1, 24).reshape(4, 6)
    for level in (0.5, 0.2, 0.9):
        shares = as_shares(score_map, level)
        np.testing.assert_allclose(from_shares(shares, level), score_map)
        np.testing.assert_array_equal(shares >= 0.5, score_map >= level)


def test_fusing_does_not_depend_on_which_places_are_asked_first() -> None:
    own, other = np.random.default_rng(0).random((2, 12, 18))
    found, turned = fuse(own, other), fuse(own[::-1, ::-1], other[::-1, ::-1])
    np.testing.assert_allclose(turned.shares[::-1, ::-1], found.shares)
    assert turned.agreement == pytest.approx(found.agreement)


def test_localize_says_that_a_witness_took_part(
    brightness: Path, tiny_run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, quick = str(birds / "val" / "rubybib"), ["--workers", "0", "--device", "cpu", "--quiet"]
    flags = ["--witness-weights", str(brightness), "--no-pictures", *quick]
    assert main(["localize", str(tiny_run), photos, "--out", str(tmp_path / "out"), *flags]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["witness"] == (
        "boxes with the help of brightness.onnx, a foreground network that was learned from masks"
    )
    assert summary["settings"]["witness"] == "brightness.onnx"
    assert json.loads((tmp_path / "out" / "coco.json").read_text())["info"]["note"] == summary["witness"]
    assert len(summary["settings"]["witness_weights"]) == 16
    for said in (capsys.readouterr().out, (tmp_path / "out" / "review.html").read_text(encoding="utf-8")):
        assert "learned from masks" in said
    assert main(["localize", str(tiny_run), photos, "--out", str(tmp_path / "plain"), *flags[2:]]) == 0
    assert json.loads((tmp_path / "plain" / "summary.json").read_text())["witness"] is None


def test_what_is_no_network_of_this_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="expected an ONNX file for --witness-weights, found nothing at"):
        load_witness(NO_WITNESS, tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"found one that cannot be loaded .*: give a file of U2-Net"):
        load_witness(NO_WITNESS, tmp_path / "bad.onnx")
    monkeypatch.setitem(__import__("sys").modules, "rembg", None)
    with pytest.raises(UserError, match=r'pip install "rfga\[rembg\]"'):
        load_witness(REMBG, None)
