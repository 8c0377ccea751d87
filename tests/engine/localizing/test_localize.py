from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.cli import main
from rfga.data import open_dataset
from rfga.data.transforms import eval_transform
from rfga.data.truth.readers import MaskTruth
from rfga.engine.evaluating.evaluate import EvaluationOptions, evaluate
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.journal import FILE_NAME, Summary
from rfga.engine.localizing.localize import _localize_labelled, localize, localize_paths
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.localizing.options import LocalizeCommand, LocalizeOptions
from rfga.engine.localizing.review_sheet import REVIEW_NAME
from rfga.engine.runtime.machine import Runtime
from rfga.files import held_in
from rfga.geometry.boxes import boxes_from_pixels
from rfga.geometry.levelsets import component_boxes
from rfga.geometry.refine import mask_of
from rfga.metrics.localization import LocalizationMetrics
from rfga.output.export.formats import FORMATS
from rfga.types import UserError
from tests.engine import tiny


@pytest.fixture(scope="session")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


def done(localizer: Localizer, paths: list[Path], out: Path, policy: Any = None, **options: Any) -> Summary:
    photographs = find_photographs(paths, localizer.classes)
    return localize(
        localizer, photographs, out, LocalizeOptions(**options), runtime=tiny.QUIET, policy=policy
    )


def coco(out: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((out / "coco.json").read_text())
    return held


def told_by_files(out: Path) -> tuple[int, dict[str, int]]:
    """How many photographs have no box, and how many each warning."""
    held = coco(out)
    boxed = {annotation["image_id"] for annotation in held["annotations"]}
    lines = [json.loads(line) for line in (out / FILE_NAME).read_text().splitlines()[1:]]
    warned = Counter(warning for line in lines for warning in line.get("warnings", ()))
    return len({image["id"] for image in held["images"]} - boxed), dict(warned)


def test_everything_that_is_written(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = done(localizer, [birds / "val"], out, formats=("coco", "csv"), maps=True, masks=True)
    without_box, warnings = told_by_files(out)
    assert summary == Summary(
        inputs=12, done=12, skipped=0, failed={}, without_box=without_box, warnings=warnings
    )
    ids = [photograph.image_id for photograph in find_photographs([birds / "val"], localizer.classes)]
    held = coco(out)
    assert [image["file_name"] for image in held["images"]] == ids
    assert [category["name"] for category in held["categories"]] == list(localizer.classes)
    for name, ending in (("pictures", ".jpg"), ("maps", ".npy"), ("masks", ".png")):
        files = [
            path.relative_to(out / name).as_posix() for path in (out / name).rglob("*") if path.is_file()
        ]
        assert sorted(files) == [image_id + ending for image_id in ids]
    assert len((out / "boxes.csv").read_text().splitlines()) == 13
    said = json.loads((out / "summary.json").read_text())
    assert said["done"] + said["skipped"] + len(said["failed"]) == said["inputs"]
    assert not list(out.rglob("*.tmp"))


def test_boxes_are_in_pixels_of_the_photograph(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done(localizer, [birds / "val"], out, pictures=False, maps=True, masks=True)
    images, boxes = coco(out)["images"], coco(out)["annotations"]
    masks = MaskTruth(out / "masks", birds / "val", [image["file_name"] for image in images])
    for image, annotation in zip(images, boxes, strict=True):
        with Image.open(birds / "val" / image["file_name"]) as photograph:
            width, height = photograph.size
        assert (image["width"], image["height"]) == (width, height)
        assert width != height
        score_map = np.load(out / "maps" / f"{image['file_name']}.npy")
        assert (score_map.shape, score_map.dtype) == ((224, 224), np.float64)
        extents = component_boxes(score_map, localizer.threshold.value, 1)
        ((x0, y0, x1, y1),) = boxes_from_pixels(extents, (224, 224), (height, width))
        assert annotation["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0])
        truth = masks.truth(image["file_name"])
        assert truth is not None
        assert truth.mask is not None
        assert truth.mask.shape == (height, width)
        assert (truth.mask == mask_of(score_map, localizer.threshold.value, (height, width))).all()


def test_coco_file_opens_in_its_own_tool(
    localizer: Localizer, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO

    done(localizer, [birds / "val"], tmp_path / "out", pictures=False)
    loaded = COCO(str(tmp_path / "out" / "coco.json"))
    assert len(loaded.getImgIds()) == 12
    assert {a["category_id"] for a in loaded.loadAnns(loaded.getAnnIds())} == set(range(1, 7))


def test_maps_give_back_what_evaluate_gives(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    val = open_dataset(birds, birds / "val_boxes.json")
    done(localizer, [birds / "val"], tmp_path / "out", pictures=False, maps=True)
    metrics = LocalizationMetrics(step=0.01)
    for sample in val.samples("val"):
        score_map = np.load(tmp_path / "out" / "maps" / f"{sample.image_id}.npy")
        metrics.update([sample.image_id], score_map[None], [val.truth(sample)])
    expected = evaluate(localizer, val, "val", EvaluationOptions(step=0.01), tiny.QUIET).result
    found = metrics.compute()["metrics"]
    assert {"MaxBoxAcc", "MaxBoxAccV2", "GTKnownLoc"} <= set(found)
    assert found == {name: expected["metrics"][name] for name in found}


def test_folder_of_a_class_decides_the_class(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    def labels(**options: Any) -> dict[str, str]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        done(localizer, [birds / "val"], out, pictures=False, max_boxes=1, **options)
        held = coco(out)
        names = {image["id"]: image["file_name"] for image in held["images"]}
        classes = {category["id"]: category["name"] for category in held["categories"]}
        return {names[a["image_id"]]: classes[a["category_id"]] for a in held["annotations"]}

    by_folder = labels()
    assert by_folder == labels(labels="folder")
    assert all(name == image_id.split("/")[0] for image_id, name in by_folder.items())
    predicted = labels(labels="predicted")
    assert predicted != by_folder
    file = tmp_path / "labels.csv"
    file.write_text("".join(f"{image_id},rubybib\n" for image_id in by_folder))
    assert set(labels(labels=str(file)).values()) == {"rubybib"}


def test_probability_is_that_of_the_class(localizer: Localizer, birds: Path) -> None:
    import torch

    val = open_dataset(birds)
    sample = val.samples("val")[5]
    pixels = eval_transform(val.image(sample), 64)[None]
    scored = localizer.score(pixels, torch.tensor([4]))
    size_hw = val.image(sample).size[::-1]
    (found,) = localizer.predictions(scored, [sample.image_id], [size_hw], max_boxes=3)
    softmax = np.exp(scored.logits[0]) / np.exp(scored.logits[0]).sum()
    assert (found.label, found.size_hw, found.threshold) == (4, size_hw, localizer.threshold.value)
    assert found.probability == pytest.approx(softmax[4])
    assert 1 <= len(found.boxes) <= 3
    assert ((found.scores > 0) & (found.scores < 1)).all()


@pytest.mark.usefixtures("two_spots_in_every_other")
def test_number_of_boxes(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    high = localizer.with_threshold(0.7, "fixed")
    done(high, [birds / "val"], tmp_path / "one", pictures=False)
    done(high, [birds / "val"], tmp_path / "more", pictures=False, max_boxes=3)
    one, more = coco(tmp_path / "one")["annotations"], coco(tmp_path / "more")["annotations"]
    assert (len(one), len(more)) == (12, 18)
    assert [a["bbox"] for a in one] == [
        next(b["bbox"] for b in more if b["image_id"] == a["image_id"]) for a in one
    ]
    with pytest.raises(UserError, match="--max-boxes of at least 1, found 0"):
        LocalizeOptions(max_boxes=0)


def test_a_run_that_goes_on_ends_with_the_same_files(
    localizer: Localizer, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"formats": ("coco", "csv"), "maps": True, "masks": True, "batch_size": 4}
    whole, out = tmp_path / "whole", tmp_path / "out"
    done(localizer, [birds / "val"], whole, **options)
    plain, calls = Localizer.score, []

    def stopped(self: Localizer, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, *args)

    monkeypatch.setattr(Localizer, "score", stopped)
    with pytest.raises(KeyboardInterrupt):
        done(localizer, [birds / "val"], out, **options)
    monkeypatch.undo()
    journal = out / ".journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])  # the last line is cut short
    assert not (out / "coco.json").exists()
    summary = done(localizer, [birds / "val"], out, tiny.RESUME, **options)
    without_box, warnings = told_by_files(out)
    assert summary == Summary(
        inputs=12, done=5, skipped=7, failed={}, without_box=without_box, warnings=warnings
    )
    ours, theirs = tiny.snapshot(out), tiny.snapshot(whole)
    ours.pop("summary.json"), theirs.pop("summary.json")
    assert ours.pop(".journal.jsonl") == theirs.pop(".journal.jsonl")
    assert ours == theirs


def test_what_failed_is_tried_again(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    photographs = Path(shutil.copytree(birds / "val", tmp_path / "photographs"))
    bad = photographs / "hornhelm" / "0001.png"
    content = bad.read_bytes()
    bad.write_bytes(content[:200])
    out = tmp_path / "out"
    first = done(localizer, [photographs], out, pictures=False)
    assert (first.inputs, first.done, first.skipped) == (12, 11, 0)
    assert list(first.failed) == ["hornhelm/0001.png"]
    assert "damaged" in first.failed["hornhelm/0001.png"]
    bad.write_bytes(content)
    second = done(localizer, [photographs], out, tiny.RESUME, pictures=False)
    without_box, warnings = told_by_files(out)
    assert second == Summary(
        inputs=12, done=1, skipped=11, failed={}, without_box=without_box, warnings=warnings
    )
    done(localizer, [birds / "val"], tmp_path / "whole", pictures=False)
    assert (out / "coco.json").read_bytes() == (tmp_path / "whole" / "coco.json").read_bytes()


def test_going_on_with_something_else_is_refused(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    done(localizer, [birds / "val" / "rubybib"], tmp_path / "out", pictures=False)
    other = localizer.with_threshold(0.77, "fixed")
    with pytest.raises(UserError, match="another threshold, threshold_source, max_boxes than in"):
        done(other, [birds / "val"], tmp_path / "out", tiny.RESUME, pictures=False, max_boxes=2)
    with pytest.raises(UserError, match=r"found .* with 4 entries: add --resume to go on, --overwrite"):
        done(localizer, [birds / "val"], tmp_path / "out")
    with pytest.raises(UserError, match=r"expected a format out of coco, csv, .*, found 'voc3'"):
        done(localizer, [birds / "val"], tmp_path / "out", tiny.OVERWRITE, formats=("voc3",))
    assert len(coco(tmp_path / "out")["images"]) == 2
    done(other, [birds / "val"], tmp_path / "out", tiny.OVERWRITE, pictures=False)
    assert len(coco(tmp_path / "out")["images"]) == 12


def test_overwriting_leaves_no_file_of_another_format(
    localizer: Localizer, birds: Path, tmp_path: Path
) -> None:
    for formats in (tuple(FORMATS), ("csv",)):
        done(
            localizer, [birds / "val" / "rubybib"], tmp_path, tiny.OVERWRITE, formats=formats, pictures=False
        )
    names = set(held_in(tmp_path))
    assert names == {"boxes.csv", "summary.json", REVIEW_NAME, FILE_NAME}


def test_a_folder_that_goes_away_is_an_error_and_what_was_done_is_kept(
    tiny_run: Path, birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    shutil.copytree(birds / "val", photographs)

    def unplugged(*arguments: Any, **options: Any) -> Summary:
        photographs.rename(tmp_path / "elsewhere")
        return _localize_labelled(*arguments, **options)

    monkeypatch.setattr("rfga.engine.localizing.localize._localize_labelled", unplugged)
    command = LocalizeCommand(tiny_run, [photographs], out, policy=tiny.RESUME)
    with pytest.raises(UserError, match="to stay there, found it gone, and 12 of 12 photographs failed"):
        localize_paths(command, tiny.QUIET)
    monkeypatch.undo()
    (tmp_path / "elsewhere").rename(photographs)
    assert localize_paths(command, tiny.QUIET).done == 12


@pytest.mark.parametrize("policy", [None, tiny.RESUME, tiny.OVERWRITE])
def test_files_of_somebody_else_stay(policy: Any, localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="choose another --out"):
        done(localizer, [birds / "val"], tmp_path, policy)
    assert tiny.snapshot(tmp_path) == {"maps/mine.txt": b"mine"}


def test_workers_do_not_matter(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    photographs = find_photographs([birds / "val"], localizer.classes)
    for workers, batch_size in ((0, 12), (2, 5)):
        options = LocalizeOptions(pictures=False, batch_size=batch_size)
        runtime = Runtime(device="cpu", workers=workers, quiet=True)
        localize(localizer, photographs, tmp_path / str(workers), options, runtime=runtime)
    assert (tmp_path / "0" / "coco.json").read_bytes() == (tmp_path / "2" / "coco.json").read_bytes()


def test_photograph_without_a_box(tiny_run: Path, tmp_path: Path) -> None:
    localizer = Localizer.load(tiny_run, device="cpu")
    for parameter in localizer.method.new_parameters():
        parameter.data.zero_()  # every map is flat
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    summary = done(localizer, [tmp_path / "a.png"], tmp_path / "out")
    assert (summary.done, summary.without_box) == (1, 1)
    assert (coco(tmp_path / "out")["annotations"], len(coco(tmp_path / "out")["images"])) == ([], 1)
    assert (tmp_path / "out" / "pictures" / "a.png.jpg").is_file()


def test_json_and_words_of_the_command(
    tiny_run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "localize",
        str(tiny_run),
        str(birds / "val"),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "0",
    ]
    assert main([*command, "--json", str(tmp_path / "s.json"), "--no-pictures", "--threshold", "0.4"]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["done"] == 12
    said = "12 photographs: 12 done, 0 skipped (done before), 0 failed; 0 without a box; in "
    assert f"{said}{tmp_path / 'out'}\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["settings"]["threshold"] == 0.4
