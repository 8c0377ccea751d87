"""Score maps of other tools on disk: found, checked and scored as the benchmark's program scores them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rfga.engine.evaluating.map_files import find_maps, prepared
from rfga.engine.evaluating.options import Policy, ScoreOptions
from rfga.engine.evaluating.score import score
from rfga.geometry.maps import score_maps
from rfga.types import UserError

COARSE = ScoreOptions(step=0.01)
"""A thousand thresholds for each map take time and memory, and make no difference here."""
IDS = ("a/one.jpg", "a/two.jpg", "b/three.jpeg")


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Metadata of three photographs of different shapes, each with one box."""
    folder = tmp_path / "lists" / "SET" / "val"
    folder.mkdir(parents=True)
    (folder / "image_ids.txt").write_text("\n".join(IDS))
    (folder / "image_sizes.txt").write_text(
        "\n".join(f"{i},{w},{h}" for i, w, h in zip(IDS, (300, 80, 224), (200, 160, 224), strict=True))
    )
    (folder / "localization.txt").write_text(
        "\n".join(f"{i},10,20,{60 + 30 * n},150" for n, i in enumerate(IDS))
    )
    return folder


def raw_maps() -> NDArray[np.float32]:
    return np.random.default_rng(3).random((3, 14, 14)).astype(np.float32)


def write_singles(folder: Path, maps: NDArray[Any], *, with_extension: bool = True) -> Path:
    for image_id, one in zip(IDS, maps, strict=True):
        path = folder / (f"{image_id}.npy" if with_extension else f"{Path(image_id).with_suffix('')}.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, one)
    return folder


@pytest.mark.parametrize("step", [0.01, 0.001])
def test_recorded_box_metrics(shared: Path, step: float) -> None:
    expected = json.loads((shared / "golden" / "box_metric_expected.json").read_text())
    golden = shared / "golden"
    options = ScoreOptions(step=step)
    found = score(golden / "box_metric_maps.npz", golden / "box_metric_metadata", options=options).result[
        "metrics"
    ]
    for entry in found["MaxBoxAccV2"]:
        recorded = expected[f"step={step},contours={entry['contours']}"]
        assert entry["value"] == pytest.approx(recorded["mean"] / 100, abs=1e-9)
        for iou, value in entry["per_iou"].items():
            assert value == pytest.approx(
                recorded["box_accuracy_at_iou"][iou.replace("0.", "") + "0"] / 100, abs=1e-9
            )


@pytest.mark.parametrize("step", [0.01, 0.001])
def test_recorded_mask_metrics(shared: Path, step: float) -> None:
    golden = shared / "golden"
    expected = json.loads((golden / "mask_metric_expected.json").read_text())[f"step={step}"]
    found = score(
        golden / "mask_metric_maps.npz",
        golden / "mask_metric_metadata",
        golden / "mask_metric_masks",
        ScoreOptions(step=step),
    )
    assert found.result["metrics"]["PxAP"][0]["value"] == pytest.approx(expected["pxap"] / 100, abs=1e-9)


def test_every_layout_gives_the_same_numbers(lists: Path, tmp_path: Path) -> None:
    maps = raw_maps()
    ready = score_maps(maps)
    np.savez(tmp_path / "stack.npz", maps=maps, ids=np.array(IDS))
    parts = tmp_path / "parts"
    parts.mkdir()
    np.savez_compressed(parts / "late.npz", maps=maps[[2, 0]], ids=np.array([IDS[2], "a/one"]))
    np.save(write_singles(parts, maps) / "a" / "two.jpg.npy", maps[1])
    (parts / "b" / "three.jpeg.npy").unlink()
    places = [
        write_singles(tmp_path / "full", ready),
        write_singles(tmp_path / "raw", maps),
        write_singles(tmp_path / "bare", maps, with_extension=False),
        tmp_path / "stack.npz",
        parts,
    ]
    results = [score(place, lists, options=COARSE).result for place in places]
    assert results[0]["images"] == 3
    assert (results[0]["dataset"], results[0]["split"]) == ("SET", "val")
    assert all(result == results[0] for result in results)


def test_the_normalisation_of_raw_maps_is_the_users(lists: Path, tmp_path: Path) -> None:
    folder = write_singles(tmp_path / "raw", raw_maps())
    found = score(folder, lists, options=replace(COARSE, normalisation="ivr")).result["metrics"]["MaxBoxAcc"][
        0
    ]
    assert found["normalisation"] == "ivr"


BROKEN: dict[str, NDArray[Any]] = {
    "NaN": np.full((14, 14), np.nan),
    "floats": np.zeros((14, 14), dtype=np.int32),
    "shape": np.zeros((3, 14, 14)),
    "at most": np.zeros((300, 300)),
    r"\[0, 1\]": np.full((224, 224), 1.5),
}


@pytest.mark.parametrize("said", list(BROKEN))
def test_a_wrong_map_is_named_and_the_policy_decides(lists: Path, tmp_path: Path, said: str) -> None:
    folder = write_singles(tmp_path / "maps", raw_maps())
    np.save(folder / "a" / "two.jpg.npy", BROKEN[said])
    with pytest.raises(UserError, match=f"a/two.jpg.*{said}"):
        score(folder, lists, options=COARSE)
    assert_policies(folder, lists, "a/two.jpg")


def test_a_missing_map_a_cut_one_and_a_strange_one(lists: Path, tmp_path: Path) -> None:
    folder = write_singles(tmp_path / "maps", raw_maps())
    whole = (folder / "a" / "one.jpg.npy").read_bytes()
    (folder / "a" / "one.jpg.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a/one.jpg.*unreadable"):
        score(folder, lists, options=COARSE)
    (folder / "a" / "one.jpg.npy").unlink()
    with pytest.raises(UserError, match=r"a/one.jpg.*missing"):
        score(folder, lists, options=COARSE)
    assert_policies(folder, lists, "a/one.jpg")
    np.save(folder / "a" / "one.jpg.npy", raw_maps()[0])
    np.save(folder / "a" / "stranger.npy", raw_maps()[0])
    with pytest.raises(UserError, match=r"a/stranger.*no image"):
        score(folder, lists, options=COARSE)
    assert score(folder, lists, options=replace(COARSE, policy="skip")).result["images"] == 3


def assert_policies(folder: Path, lists: Path, name: str) -> None:
    policies: tuple[Policy, ...] = ("skip", "zero")
    skipped, zeroed = (score(folder, lists, options=replace(COARSE, policy=policy)) for policy in policies)
    assert skipped.result["images"] == 2
    assert zeroed.result["images"] == 3
    for found in (skipped, zeroed):
        assert [problem for problem, _ in found.problems] == [name]
    values = [found.result["metrics"]["GTKnownLoc"][0]["value"] for found in (skipped, zeroed)]
    assert values[1] <= values[0]


def test_a_pickled_map_is_not_loaded(lists: Path, tmp_path: Path) -> None:
    folder = write_singles(tmp_path / "maps", raw_maps())
    np.save(folder / "a" / "one.jpg.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"a/one.jpg: .* found object of shape"):
        score(folder, lists, options=COARSE)


def test_a_stack_with_too_few_ids_is_refused(lists: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "stack.npz", maps=raw_maps(), ids=np.array(IDS[:2]))
    with pytest.raises(UserError, match=r"found maps \(3, 14, 14\) and 2 ids"):
        score(tmp_path / "stack.npz", lists)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match="unreadable"):
        find_maps(tmp_path / "text.npz", IDS)


def test_a_full_size_map_is_taken_as_it_is() -> None:
    full = np.random.default_rng(0).random((224, 224)).astype(np.float16)
    np.testing.assert_array_equal(prepared(full, "ivr"), full.astype(np.float64))


def test_columns_first_stacks_are_told(lists: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "stack.npz", maps=np.asfortranarray(raw_maps()), ids=np.array(IDS))
    with pytest.raises(UserError, match="by columns"):
        score(tmp_path / "stack.npz", lists)
