"""Post-hoc maps of a trained run: on the command line, in the files, apart from the method's own maps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.transforms import eval_transform
from rfga.engine.evaluating.command import evaluate_run
from rfga.engine.evaluating.options import EvaluateCommand
from rfga.engine.localizing.localize import localize_paths
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeCommand
from rfga.methods import POSTHOC
from rfga.types import UserError
from tests.engine import tiny


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return tiny.copied(tiny_run, tmp_path / "run")


def evaluated(run: Path, birds: Path, split: str = "val", maps_from: str | None = None) -> None:
    truth = birds / f"{split}_boxes.json"
    command = EvaluateCommand(truth=truth, split=split, step=0.01, maps_from=maps_from)
    evaluate_run(run, str(birds), command, tiny.QUIET)


def test_every_kind_of_maps_can_be_had(tiny_run: Path, birds: Path) -> None:
    data = open_dataset(birds)
    pixels = torch.stack([eval_transform(data.image(sample), 64) for sample in data.samples("val")[:3]])
    labels = torch.tensor([5, 0, 2])
    own = Localizer.load(tiny_run, device="cpu").score(pixels, labels)
    maps = []
    for name in POSTHOC:
        localizer = Localizer.load(tiny_run, device="cpu", maps_from=name)
        assert localizer.maps == name
        assert localizer.with_threshold(0.2, "fixed").maps == name
        scored = localizer.score(pixels, labels)
        assert np.array_equal(scored.logits, own.logits)
        assert scored.maps.shape == own.maps.shape
        maps.append(scored.raw_maps)
    # After the average of CAM, gradients are the weights: Grad-CAM is CAM, but for the clipping at zero.
    np.testing.assert_allclose(maps[0], np.maximum(own.raw_maps, 0) / own.raw_maps[0].size, rtol=1e-4)
    assert all(not np.allclose(a / a.max(), b / b.max()) for a in maps[3:] for b in maps[:3])


@pytest.mark.slow
def test_json_and_metrics_say_which_maps_were_scored(run: Path, birds: Path, tmp_path: Path) -> None:
    kept, file = tiny.metrics(run), tmp_path / "numbers.json"
    command = ["evaluate", str(run), str(birds), "--truth", str(birds / "val_boxes.json"), "--workers", "0"]
    assert main([*command, "--maps-from", "layercam", "--json", str(file), "--quiet", "--step", "0.01"]) == 0
    held = json.loads(file.read_text())
    assert held["maps"] == "layercam"
    now = tiny.metrics(run)
    assert now["posthoc"]["layercam"]["evaluations"] == {"val": held}
    assert {name: now[name] for name in kept} == kept  # those of the method's own maps
    assert kept["evaluations"]["val"]["maps"] == "own"
    assert held["metrics"]["MaxBoxAccV2"] != kept["evaluations"]["val"]["metrics"]["MaxBoxAccV2"]
    assert "cam, maps from layercam on birds, val" in (run / "report.html").read_text()
    evaluated(run, birds, maps_from="eigencam")
    assert set(tiny.metrics(run)["posthoc"]) == {"layercam", "eigencam"}
    evaluated(run, birds, "test", maps_from="layercam")
    found = tiny.metrics(run)["posthoc"]["layercam"]
    assert set(found["evaluations"]) == {"val", "test"}
    assert found["evaluations"]["val"] == held


def test_thresholds_belong_to_their_maps(run: Path, birds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfga.engine.evaluating.command.write_run_report", lambda *_: run / "report.html")

    def sources(maps: str | None) -> dict[str, float]:
        evaluated(run, birds, "test", maps_from=maps)
        metrics = tiny.metrics(run) if maps is None else tiny.metrics(run)["posthoc"][maps]
        entries = metrics["evaluations"]["test"]["metrics"]["GTKnownLoc"]
        return {entry["threshold_source"]: entry["threshold"] for entry in entries}

    own = tiny.metrics(run)["thresholds"]["minmax"]["largest"]["0.5"]
    assert sources(None)["val"] == own
    assert set(sources("gradcam++")) == {"oracle", "label-free", "fixed"}  # not chosen on val yet
    before = Localizer.load(run, device="cpu", maps_from="gradcam++").threshold
    estimated = tiny.metrics(run)["posthoc"]["gradcam++"]["label_free"]["minmax"]["threshold"]
    assert (before.value, before.source) == (estimated, "label-free")
    evaluated(run, birds, maps_from="gradcam++")
    chosen = tiny.metrics(run)["posthoc"]["gradcam++"]["thresholds"]["minmax"]["largest"]["0.5"]
    assert sources("gradcam++")["val"] == chosen
    after = Localizer.load(run, device="cpu", maps_from="gradcam++").threshold
    assert (after.value, after.source) == (chosen, "val")
    assert Localizer.load(run, device="cpu").threshold.value == own
    assert sources(None)["val"] == own
    assert set(sources("layercam")) == {"oracle", "label-free", "fixed"}
    assert tiny.metrics(run)["label_free"]["minmax"]["threshold"] == sources(None)["label-free"]


def test_localize_takes_boxes_from_them(run: Path, birds: Path, tmp_path: Path) -> None:
    photographs, boxes = birds / "test", {}
    for maps in (None, "eigencam"):
        out = tmp_path / str(maps)
        flags = [] if maps is None else ["--maps-from", maps]
        common = ["--out", str(out), "--maps", "--no-pictures", "--workers", "0", "--quiet"]
        assert main(["localize", str(run), str(photographs), *common, *flags]) == 0
        assert json.loads((out / "summary.json").read_text())["settings"]["maps_from"] == (maps or "own")
        boxes[maps] = [a["bbox"] for a in json.loads((out / "coco.json").read_text())["annotations"]]
    assert boxes[None] != boxes["eigencam"]
    sample = open_dataset(birds).samples("test")[0]
    with_them = Localizer.load(run, device="cpu", maps_from="eigencam")
    pixels = eval_transform(open_dataset(birds).image(sample), with_them.config.image_size)[None]
    written = np.load(tmp_path / "eigencam" / "maps" / f"{sample.image_id}.npy")
    expected = with_them.score(pixels, torch.tensor([sample.label])).maps[0]
    np.testing.assert_allclose(written, expected, atol=1e-4)


def test_a_stopped_run_goes_on_with_the_same_maps_only(
    run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["localize", str(run), str(birds / "test"), "--out", str(tmp_path / "out"), "--workers", "0"]
    assert main([*command, "--no-pictures", "--maps-from", "gradcam"]) == 0
    assert main([*command, "--no-pictures", "--resume"]) == 1
    assert "found another maps_from" in capsys.readouterr().err
    assert main([*command, "--no-pictures", "--resume", "--maps-from", "gradcam"]) == 0


def test_other_names_are_refused(run: Path, birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), str(birds), "--maps-from", "gradcan"]) == 2
    assert "gradcam++" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"expected a kind of maps out of gradcam, .*found 'own'"):
        Localizer.load(run, device="cpu", maps_from="own")


def test_without_the_library_a_sentence_tells_what_to_install(
    run: Path,
    birds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    command = LocalizeCommand(run, [birds / "test"], tmp_path / "out", maps_from="gradcam")
    with pytest.raises(UserError, match=r'pip install "rfga\[grad-cam\]"'):
        localize_paths(command, tiny.QUIET)
    assert not command.out.exists()
    assert main(["evaluate", str(run), str(birds), "--maps-from", "gradcam", "--workers", "0"]) == 1
    said = capsys.readouterr().err
    assert 'pip install "rfga[grad-cam]"' in said
    assert "Traceback" not in said
    evaluated(run, birds)  # the method's own maps need no library
