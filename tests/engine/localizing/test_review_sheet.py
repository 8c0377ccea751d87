from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rfga.cli import main
from rfga.engine.localizing.inputs import find_photographs
from rfga.engine.localizing.journal import Journal, Summary
from rfga.engine.localizing.localize import localize
from rfga.engine.localizing.localizer import SEVERAL, Localizer
from rfga.engine.localizing.options import LocalizeOptions
from rfga.types import Prediction, UserError
from tests.engine import tiny
from tests.output.report.test_page import Page


@pytest.fixture(scope="module")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


def done(localizer: Localizer, folder: Path, out: Path, policy: Any = None, **options: Any) -> Summary:
    photographs = find_photographs([folder], localizer.classes)
    return localize(
        localizer, photographs, out, LocalizeOptions(**options), runtime=tiny.QUIET, policy=policy
    )


def cards(out: Path) -> list[dict[str, str | None]]:
    page = Page((out / "review.html").read_text(encoding="utf-8"))
    return [attributes for tag, attributes in page.tags if tag == "article"]


def scores(out: Path) -> dict[str, float]:
    held = json.loads((out / "coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in held["images"]}
    found = dict.fromkeys(names.values(), 0.0)
    for annotation in held["annotations"]:
        name = names[annotation["image_id"]]
        found[name] = found[name] or annotation["score"]  # the first is of the largest box
    return found


def test_the_worst_come_first(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    done(localizer, birds / "val", tmp_path, max_boxes=2)
    expected = sorted((score, name) for name, score in scores(tmp_path).items())
    shown = cards(tmp_path)
    assert [card["data-name"] for card in shown] == [name for _, name in expected]
    assert [float(card["data-confidence"] or 0) for card in shown] == pytest.approx(
        [score for score, _ in expected], abs=1e-4
    )
    assert all((card["data-name"] or "").split("/")[0] == card["data-class"] for card in shown)
    page = Page((tmp_path / "review.html").read_text(encoding="utf-8"))
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 24  # each photograph, and each with its heat map
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "12 of 12 photographs" in page.text


def test_a_short_sheet_says_what_it_leaves_out(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    done(localizer, birds / "val", tmp_path / "long", pictures=False)
    done(localizer, birds / "val", tmp_path / "short", pictures=False, review=5)
    assert cards(tmp_path / "short") == cards(tmp_path / "long")[:5]
    text = Page((tmp_path / "short" / "review.html").read_text(encoding="utf-8")).text
    assert re.search(r"5 of 12 photographs: the 7 with more\s+confidence are left out", text)
    done(localizer, birds / "val", tmp_path / "none", pictures=False, review=0)
    assert not (tmp_path / "none" / "review.html").exists()
    with pytest.raises(UserError, match=r"--review of 0 \(no sheet\) or more, found -1"):
        LocalizeOptions(review=-1)


def test_going_on_gives_the_same_page(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    part = Path(shutil.copytree(birds / "val" / "rubybib", tmp_path / "photos" / "rubybib"))
    done(localizer, part.parent, tmp_path / "out", second_look=True, batch_size=3)
    shutil.copytree(birds / "val", part.parent, dirs_exist_ok=True)
    with pytest.raises(UserError, match="another second_look than"):
        done(localizer, part.parent, tmp_path / "out", tiny.RESUME, batch_size=3)
    done(localizer, birds / "val", tmp_path / "whole", second_look=True, batch_size=12)
    done(localizer, birds / "val", tmp_path / "again", second_look=True, batch_size=12)
    journal = (tmp_path / "again" / ".journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "again" / ".journal.jsonl").write_bytes(b"".join(journal[:6]))
    (tmp_path / "again" / "review.html").unlink()
    done(localizer, birds / "val", tmp_path / "again", tiny.RESUME, second_look=True, batch_size=12)
    pages = [(tmp_path / name / "review.html").read_bytes() for name in ("whole", "again")]
    assert pages[0] == pages[1]
    assert b"looked at twice" in pages[0]


def test_names_do_no_harm(localizer: Localizer, birds: Path, tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>.png", "a\"' onclick=alert(1) b.png", "{{ 7 * 7 }} &amp; ü.png"]
    for name in names:
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        shutil.copy(next((birds / "val" / "rubybib").iterdir()), folder / name)
    done(localizer, tmp_path / "photos", tmp_path / "out", labels="predicted")
    assert sorted(card["data-name"] or "" for card in cards(tmp_path / "out")) == sorted(names)
    page = Page((tmp_path / "out" / "review.html").read_text(encoding="utf-8"))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(attributes["src"] != "x" for tag, attributes in page.tags if tag == "img")


def test_photographs_without_a_box_or_a_file_are_shown_as_far_as_possible(
    tiny_run: Path, birds: Path, tmp_path: Path
) -> None:
    localizer = Localizer.load(tiny_run, device="cpu")
    for parameter in localizer.method.new_parameters():
        parameter.data.zero_()  # every map is flat
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30), (9, 99, 9)).save(photos / "a.png")
    done(localizer, photos, tmp_path / "out", pictures=False)
    (card,) = cards(tmp_path / "out")
    assert card["data-confidence"] == "0.0000"
    assert "no box" in (tmp_path / "out" / "review.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("two_spots_in_every_other")
def test_warnings_are_counted_kept_and_printed(
    tiny_run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    localizer = Localizer.load(tiny_run, device="cpu")
    summary = done(localizer, birds / "val", tmp_path / "out", pictures=False)
    lines = (tmp_path / "out" / ".journal.jsonl").read_text().splitlines()[1:]
    warned = sum(json.loads(line)["warnings"] == [SEVERAL] for line in lines)
    assert warned == 6
    assert summary.warnings == {SEVERAL: warned}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["warnings"] == {SEVERAL: warned}
    shown = [card["data-warnings"] for card in cards(tmp_path / "out")]
    assert shown.count(json.dumps([SEVERAL])) == warned
    command = [
        "localize",
        str(tiny_run),
        str(birds / "val"),
        "--out",
        str(tmp_path / "cli"),
        "--workers",
        "0",
    ]
    assert main([*command, "--no-pictures", "--review", "3", "--second-look"]) == 0
    said = capsys.readouterr().out
    assert f"{warned} with the warning: {SEVERAL}\n" in said
    assert f"look at the worst first: {tmp_path / 'cli' / 'review.html'}\n" in said
    assert len(cards(tmp_path / "cli")) == 3


def test_the_journal_keeps_warnings(tmp_path: Path) -> None:
    edges = np.array([[1.0, 2.0, 9.0, 8.0]])
    for name, warnings in (("a.jpg", (SEVERAL,)), ("b.jpg", ())):
        found = Prediction(name, (30, 40), 0, 0.9, edges, np.array([0.4]), None, 0.2, warnings)
        with Journal(tmp_path / name, {}, [name], resume=False) as journal:
            journal.add(found)
            (back,) = journal.predictions([name])
        assert back.warnings == warnings
