from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from rfga.cli import main
from rfga.engine.attention.layer import attend, find_layer, methods_with_layer
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.model import build_method, normalised
from rfga.engine.thresholds.threshold import Threshold
from rfga.nn.rfga import RFGA
from rfga.output.attention.record import attention_numbers
from rfga.types import FloatArray, UserError
from tests.engine import tiny

SIZE_HW = (60, 90)  # of the photograph
CLASSES = ("perch", "tench", "trout")
FORMS: list[dict[str, Any]] = [
    {},
    {"views": "channel"},
    {"views": "height"},
    {"views": "width", "expansion": "product"},
    {"views": "channel+width", "expansion": "mean"},
    {"views": "height+width", "expansion": "product"},
    {"expansion": "product", "calibration": "plain"},
    {"expansion": "mean", "calibration": "weighted"},
    {"gate": "softmax"},
    {"light": True, "kernel_size": 5},
    {"position": 0},
    {"position": -2, "views": "channel+height", "calibration": "plain"},
]


def model(**options: Any) -> Localizer:
    """A network with random weights and statistics, so that nothing is as neutral as at its start."""
    config = TrainConfig(
        backbone="test_resnet", weights="none", output_stride=8, image_size=64, options=options
    )
    method = build_method(config, len(CLASSES))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in method.state_dict().items():
            if name.startswith(("head", "backbone.attached")) and value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator)
                value.copy_(noise.abs() + 0.5 if "running_var" in name else 0.3 * noise)
    return Localizer(method, CLASSES, config, Threshold(0.3, "fixed"))


def pixels() -> Tensor:
    """(1, 3, 48, 80) uint8: neither the photograph nor the features are square."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 3, 48, 80), dtype=torch.uint8, generator=generator)


def layer_of(localizer: Localizer) -> RFGA:
    found = find_layer(localizer.method)
    assert found is not None
    return found[1]


def without_layer(localizer: Localizer, **options: Any) -> Localizer:
    """The same network where nothing was ever attached."""
    plain = model(**options)
    plain.method.load_state_dict(localizer.method.state_dict())
    plain.method.backbone.attached = torch.nn.ModuleDict()
    return plain


def near(found: FloatArray, expected: Tensor) -> None:
    np.testing.assert_allclose(found, expected.detach().double().numpy(), rtol=1e-4, atol=1e-5)


def gated(layer: RFGA, view: str, profile: Tensor) -> Tensor:
    """A view by its definition: the sigmoid of the normalised convolution."""
    conv, norm = getattr(layer, f"{view}_conv"), getattr(layer, f"{view}_norm")
    response = F.conv1d(profile, conv.weight, padding=1)
    response = response.transpose(1, 2) if view == "channel" else response
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shifted: Tensor = (response - norm.running_mean[:, None]) * scale[:, None] + norm.bias[:, None]
    return shifted[0].sigmoid()


@torch.no_grad()
def test_numbers_of_the_published_form_by_its_definition() -> None:
    localizer, label = model(), 1
    found = attend(localizer, pixels(), SIZE_HW, image_id="a.jpg", label=label)
    method, layer = localizer.method, layer_of(localizer)
    head = method.state_dict()
    x = without_layer(localizer).method.backbone(normalised(pixels(), method.backbone))[0]
    channels, height, width = x.shape
    assert found.shape == (channels, height, width) == (96, 6, 10)
    z_c = gated(layer, "channel", x.mean((1, 2))[None, None])[:, 0]
    z_h, z_w = gated(layer, "height", x.mean(2)[None]), gated(layer, "width", x.mean(1)[None])
    near(found.values["channel"], z_c)
    near(found.values["height"], z_h)
    near(found.values["width"], z_w)
    m = z_c[:, None, None] + z_h[:, :, None] + z_w[:, None, :]
    y = x + x * m
    every, bias = head["head.weight"][:, :, 0, 0], head["head.bias"]
    weights = every[label]
    near(found.evidence, weights * y.mean((1, 2)))
    assert found.telling.tolist() == (weights * y.mean((1, 2))).topk(4).indices.tolist()
    near(found.expanded, m.mean(0))
    near(found.expanded_telling, m[found.telling])
    assert found.expanded_range == pytest.approx((float(m.min()), float(m.max())), rel=1e-5)
    for side, features in ((found.before, x), (found.after, y)):
        near(side.activity, features.clamp(min=0).mean(0))
        near(side.telling, features[found.telling])
        near(side.raw_map, torch.einsum("c,chw->hw", weights, features) + bias[label])
        logits = torch.einsum("kc,c->k", every, features.mean((1, 2))) + bias
        assert side.probability == pytest.approx(float(logits.softmax(0)[label]), rel=1e-4)
    before, after = (side.activity.ravel() for side in (found.before, found.after))
    weaker = before.argsort()[:30]
    assert found.gains["all"] == pytest.approx(after.sum() / before.sum())
    assert found.gains["weaker_half"] == pytest.approx(after[weaker].sum() / before[weaker].sum())


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_every_form(options: dict[str, Any]) -> None:
    localizer = model(**options)
    found = attend(localizer, pixels(), SIZE_HW, label=2)
    layer, given = layer_of(localizer), torch.tensor([2])
    assert set(found.values) == set(layer.views) == set(found.form.views)
    for side, reader in ((found.after, localizer), (found.before, without_layer(localizer, **options))):
        scored = reader.score(pixels(), given)
        np.testing.assert_allclose(side.raw_map, scored.raw_maps[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(side.score_map, scored.maps[0], atol=1e-5)
        np.testing.assert_array_equal(side.boxes, localizer.boxes(side.score_map, SIZE_HW))
    constant, share = found.form.calibration
    expected = found.before.telling * (constant + share * found.expanded_telling)
    np.testing.assert_allclose(found.after.telling, expected, rtol=1e-4, atol=1e-5)
    assert found.class_name == "trout"
    json.dumps(attention_numbers(found), allow_nan=False)


def test_the_gradual_form_has_gains_of_its_own() -> None:
    localizer = model(calibration="gradual")
    found = attend(localizer, pixels(), SIZE_HW, label=2)
    gains = layer_of(localizer).gain.detach()
    assert found.form.gains == (float(gains.min()), float(gains.max()))
    assert found.form.start == 1.5
    of_telling = gains[found.telling].numpy()[:, :, None]
    expected = found.before.telling * (1 + of_telling * (found.expanded_telling - 1.5))
    np.testing.assert_allclose(found.after.telling, expected, rtol=1e-4, atol=1e-5)
    told = attention_numbers(found)["layer"]["calibration"]
    assert told == {"start": 1.5, "smallest_gain": found.form.gains[0], "largest_gain": found.form.gains[1]}


@pytest.mark.parametrize("position", [0, 1])
def test_evidence_at_an_earlier_stage_is_the_logit_s_slope(position: int) -> None:
    localizer = model(position=position)
    found = attend(localizer, pixels(), SIZE_HW, label=0)
    logits = []
    for factor in (1.001, 0.999):  # the logit's change where one channel of Y is scaled
        channel = int(found.telling[0])

        def scaled(module: Any, args: Any, out: Tensor, by: float = factor, at: int = channel) -> Tensor:
            out = out.double().float().clone()
            out[:, at] *= by
            return out

        handle = layer_of(localizer).register_forward_hook(scaled)
        logits.append(float(localizer.score(pixels()).logits[0, 0]))
        handle.remove()
    slope = (logits[0] - logits[1]) / 0.002
    assert slope == pytest.approx(float(found.evidence[found.telling[0]]), rel=0.05)
    assert found.form.place == localizer.method.backbone.stages[position]


def test_the_most_probable_class_is_looked_for_by_default() -> None:
    localizer = model()
    found = attend(localizer, pixels(), SIZE_HW)
    assert found.class_name == found.predicted_name
    assert found.class_name == CLASSES[int(localizer.score(pixels()).logits.argmax())]


@pytest.mark.parametrize("failing", [False, True])
def test_the_network_is_left_as_it_was(failing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    localizer = model(position=1)
    held = {name: value.clone() for name, value in localizer.method.state_dict().items()}
    if failing:

        def broken(*args: Any) -> Tensor:
            raise RuntimeError("broken")

        monkeypatch.setattr(localizer.method.head, "forward", broken)
        with pytest.raises(RuntimeError, match="broken"):
            attend(localizer, pixels(), SIZE_HW)
    else:
        attend(localizer, pixels(), SIZE_HW)
    assert not layer_of(localizer)._forward_hooks
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in localizer.method.parameters())
    assert all(parameter.requires_grad for parameter in localizer.method.parameters())
    assert not tiny.differing(held, localizer.method.state_dict())


def test_methods_without_the_layer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfga.engine.attention.layer.METHOD_NAMES", ("cam", "rfga"))  # it builds each of them
    config = TrainConfig(method="cam", backbone="test_resnet", weights="none", image_size=64)
    localizer = Localizer(build_method(config, 3), CLASSES, config, Threshold(0.3, "fixed"))
    assert "rfga" in methods_with_layer()
    assert "cam" not in methods_with_layer()
    with pytest.raises(UserError, match=r"has an RFGA layer \(rfga.*\), found one of cam: give another run"):
        attend(localizer, pixels(), SIZE_HW)


@pytest.fixture(scope="module")
def run(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attention") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rfga.output.report.page.attention_data_uri", lambda *_: "data:image/webp;base64,")
        return tiny.train(birds, out, truth=birds / "val_boxes.json", method="rfga", epochs=1)


def attention(*flags: str | Path) -> int:
    return main(["attention", *map(str, flags), "--device", "cpu"])


def photographs(birds: Path) -> list[Path]:
    return sorted((birds / "val").rglob("*.*"))[::5][:2]


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_command_line(
    count: int, run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad.jpg", tmp_path / "out"
    bad.write_text("")
    shown = photographs(birds)[:count]
    assert attention(run, *shown, bad, "--out", out) == 0
    said = capsys.readouterr()
    assert "failed bad.jpg: expected" in said.err
    assert all(path.name in said.out for path in shown)
    held = json.loads((out / "attention.json").read_text())
    assert [entry["image"] for entry in held["images"]] == [path.name for path in shown]
    assert list(held["failed"]) == ["bad.jpg"]
    localizer = Localizer.load(run, device="cpu")
    assert held["settings"]["threshold"] == localizer.threshold.value
    for path, entry in zip(shown, held["images"], strict=True):
        with Image.open(path) as photograph, Image.open(out / entry["picture"]) as picture:
            width, height = photograph.size
            assert width != height
            assert picture.width > 1000
        assert 0 < entry["with_layer"]["box_area"] <= 1
        assert entry["class"] in localizer.classes
        assert set(entry["views"]) == {"channel", "height", "width"}
    assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_command_line_with_a_class_and_as_svg(run: Path, birds: Path, tmp_path: Path) -> None:
    path, classes = photographs(birds)[0], Localizer.load(run, device="cpu").classes
    out, flags = (
        tmp_path / "out",
        ("--label", classes[-1], "--format", "svg", "--threshold", "0.5", "--quiet"),
    )
    assert attention(run, path, "--out", out, *flags) == 0
    held = json.loads((out / "attention.json").read_text())
    assert held["images"][0]["class"] == classes[-1]
    assert held["settings"]["threshold_source"] == "fixed"
    assert (out / held["images"][0]["picture"]).read_text().rstrip().endswith("</svg>")
    (out / "pictures" / "old.png").write_text("")
    assert attention(run, path, "--out", out, "--overwrite") == 0
    assert [p.name for p in (out / "pictures").iterdir()] == [f"{path.name}.png"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--label", "unicorn"], "expected --label out of the run's classes"),
        (["--threshold", "2"], "expected --threshold"),
        (["--out", "{birds}"], "expected a new folder for the pictures"),
        (["--out", "{birds}", "--overwrite"], "expected output of rfga attention to overwrite"),
    ],
)
def test_command_line_refuses(
    run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    out = tmp_path / "out"
    assert (
        attention(run, photographs(birds)[0], "--out", out, *(flag.format(birds=birds) for flag in flags))
        == 1
    )
    assert said in capsys.readouterr().err


def test_command_line_refuses_other_runs_and_unusable_photographs(
    tiny_run: Path, run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert attention(tiny_run, photographs(birds)[0], "--out", out) == 1
    assert "a method that has an RFGA layer (rfga" in capsys.readouterr().err
    assert not out.exists()
    (tmp_path / "bad.jpg").write_text("")
    assert attention(run, tmp_path / "bad.jpg", "--out", out) == 1
    assert "found none of 1 usable; bad.jpg: expected" in capsys.readouterr().err


def test_report_has_the_pictures_where_the_run_has_the_layer(run: Path, tiny_run: Path) -> None:
    heading = "<h2>What the attention layer does</h2>"
    page = (run / "report.html").read_text()
    assert heading in page
    assert 1 <= page.count("data:image/webp;base64,") <= 3
    assert len(page) < 4_000_000
    assert heading not in (tiny_run / "report.html").read_text()
