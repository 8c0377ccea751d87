"""The page through gradio's own client and plain requests, with a real server and a trained run."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from rfga.cli import main
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.serve.limits import Limits
from rfga.engine.serve.page import COLUMNS
from rfga.engine.serve.server import ServeCommand, Serving, mounted, serving
from tests.odd_photographs import BAD, GOOD, SIZE_WH

LIMITS = Limits(max_upload_mb=0.05, max_pixels=100_000)
EVIL = "<img src=x onerror=alert(1)>.jpg"
MOST_PROBABLE = -1


@pytest.fixture(scope="module")
def page(tiny_run: Path) -> Iterator[Serving]:
    with serving(ServeCommand(tiny_run, port=0, device="cpu", limits=LIMITS)) as found:
        yield found


@pytest.fixture
def client(page: Serving, tmp_path: Path) -> Iterator[Client]:
    made = Client(page.address, verbose=False, analytics_enabled=False, download_files=tmp_path / "got")
    yield made
    made.close()


@pytest.fixture(scope="module")
def localizer(tiny_run: Path) -> Localizer:
    return Localizer.load(tiny_run, device="cpu")


@pytest.fixture(scope="module")
def photographs(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three in one folder, so that their names are their ids; none is square."""
    folder = tmp_path_factory.mktemp("dropped")
    found = sorted((birds / "val").rglob("*.*"))[::5]
    return [Path(shutil.copy(path, folder / f"{n}{path.suffix}")) for n, path in enumerate(found)]


def add(
    client: Client, files: list[Path], threshold: float, label: int = MOST_PROBABLE, boxes: int = 1
) -> Any:
    """What the page shows after files were dropped: left out, pictures, rows of the table, COCO."""
    given = [handle_file(file) for file in files]
    emptied, left_out, *shown = client.predict(given, threshold, label, boxes, True, api_name="/add")
    assert emptied is None
    return left_out["value"], *_shown(shown)


def show(client: Client, threshold: float, label: int = MOST_PROBABLE, boxes: int = 1) -> Any:
    return _shown(client.predict(threshold, label, boxes, True, api_name="/show"))


def _shown(shown: Any) -> Any:
    pictures, table, button = shown
    assert tuple(table["headers"]) == COLUMNS
    file = button["value"]
    return pictures, table["data"], None if file is None else json.loads(Path(file).read_text())


def test_boxes_equal_those_of_rfga_localize(
    client: Client, photographs: list[Path], tiny_run: Path, localizer: Localizer, tmp_path: Path
) -> None:
    _, pictures, rows, coco = add(client, photographs, localizer.threshold.value)
    command = ["localize", str(tiny_run), str(photographs[0].parent), "--out", str(tmp_path / "out")]
    assert main([*command, "--labels", "predicted", "--device", "cpu", "--workers", "0", "--quiet"]) == 0
    expected = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert coco["images"] == expected["images"]
    assert coco["categories"] == expected["categories"]
    assert len(coco["annotations"]) == len(expected["annotations"]) == len(rows) == len(photographs)
    for found, one, row in zip(coco["annotations"], expected["annotations"], rows, strict=True):
        assert found["bbox"] == pytest.approx(one["bbox"])
        assert found["score"] == pytest.approx(one["score"])
        assert found["category_id"] == one["category_id"]
        x0, y0, width, height = one["bbox"]
        assert row[4:8] == pytest.approx([x0, y0, x0 + width, y0 + height], abs=0.06)
        assert row[1] == localizer.classes[one["category_id"] - 1]
    for picture, file in zip(pictures, photographs, strict=True):
        assert Image.open(picture["image"]).size == Image.open(file).size
        assert picture["caption"].endswith(f": {file.name}")


def test_threshold_class_and_number_of_boxes(
    client: Client, photographs: list[Path], localizer: Localizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(client, photographs, 0.3)
    found = localizer.with_threshold(0.7, "fixed")(photographs, max_boxes=3)
    with monkeypatch.context() as patch:
        patch.setattr(Localizer, "score", lambda *_: pytest.fail("the network ran"))
        low, high = (show(client, threshold, boxes=3)[2]["annotations"] for threshold in (0.1, 0.7))
    assert [a["bbox"] for a in high] == [
        pytest.approx([x0, y0, x1 - x0, y1 - y0]) for one in found for x0, y0, x1, y1 in one.boxes.tolist()
    ]
    largest = [max(a["area"] for a in boxes if a["image_id"] == 1) for boxes in (low, high)]
    assert largest[0] > largest[1]
    _, rows, coco = show(client, 0.3, label=4)
    expected = localizer.with_threshold(0.3, "fixed")(photographs, label=localizer.classes[4])
    assert [row[1] for row in rows] == [localizer.classes[4]] * len(photographs)
    assert [a["category_id"] for a in coco["annotations"]] == [5] * len(photographs)
    for annotation, one in zip(coco["annotations"], expected, strict=True):
        assert one.box is not None
        assert annotation["bbox"][:2] == pytest.approx(one.box[:2])


def test_what_is_no_photograph_is_left_out_with_a_sentence(
    client: Client, photographs: list[Path], page: Serving, tmp_path: Path
) -> None:
    for name in ("text.jpg", "bomb.png"):
        BAD[name][0](tmp_path / name)
    noise = np.random.default_rng(0).integers(0, 256, (200, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "heavy.png")
    Image.new("RGB", (500, 300)).save(tmp_path / "wide.png")
    names = ["text.jpg", "bomb.png", "heavy.png", "wide.png"]
    left_out, pictures, *_ = add(client, [*(tmp_path / name for name in names), photographs[0]], 0.3)
    said = left_out.split("\n")
    assert [name for sentence in said for name in names if name in sentence] == names
    reasons = ["is none or has", "at most 178,956,970 pixels", "at most 0.05 MB", "at most 100,000 pixels"]
    assert all(reason in sentence for reason, sentence in zip(reasons, said, strict=True))
    assert str(page.folder) not in left_out
    assert len(pictures) == 1


def test_names_are_plain_text(photographs: list[Path], page: Serving) -> None:
    # As browsers send it: gradio's client takes signs out of names by itself.
    sent = {"files": (EVIL, photographs[0].read_bytes())}
    (path,) = httpx.post(f"{page.address}/gradio_api/upload", files=sent).json()
    file = {"path": path, "orig_name": EVIL, "meta": {"_type": "gradio.FileData"}}
    _, _, pictures, table, button = _sent_by_hand(page, [[file], 0.3, MOST_PROBABLE, 1, True])
    coco = httpx.get(f"{page.address}/gradio_api/file={button['value']['path']}").json()
    assert table["data"][0][0] == coco["images"][0]["file_name"] == EVIL
    assert pictures[0]["caption"].endswith(f": {EVIL}")
    assert "onerror" not in json.dumps(pictures[0]["image"])  # no address holds a name


def test_a_turned_photograph_is_shown_upright(client: Client, tmp_path: Path) -> None:
    GOOD["rotated.jpg"](tmp_path / "rotated.jpg")
    _, pictures, _, coco = add(client, [tmp_path / "rotated.jpg"], 0.3)
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == SIZE_WH
    assert Image.open(pictures[0]["image"]).size == SIZE_WH


def test_visitors_see_their_own_photographs(client: Client, photographs: list[Path], page: Serving) -> None:
    add(client, photographs[:1], 0.3)
    other = Client(page.address, verbose=False, analytics_enabled=False)
    assert show(other, 0.3) == ([], [], None)
    other.close()
    assert len(show(client, 0.3)[1]) == 1
    left_out, *shown = client.predict(api_name="/clear")
    assert (left_out["visible"], _shown(shown)[0]) == (False, [])
    assert show(client, 0.3) == ([], [], None)


def test_wrong_choices_are_told(client: Client) -> None:
    with pytest.raises(Exception, match="expected a threshold from 0 to below 1"):
        show(client, 7)
    with pytest.raises(Exception, match="expected a class of the model"):
        show(client, 0.3, label=99)


def test_no_upload_stays(client: Client, photographs: list[Path], page: Serving) -> None:
    client.predict(api_name="/clear")
    add(client, photographs, 0.3)
    names = {path.name for path in page.folder.rglob("*") if path.is_file()}
    assert {file.name for file in photographs}.isdisjoint(names)
    assert "coco.json" in names


def test_files_elsewhere_stay_unread(page: Serving, tiny_run: Path) -> None:
    secret = {
        "path": str(tiny_run / "config.yaml"),
        "orig_name": "a.jpg",
        "meta": {"_type": "gradio.FileData"},
    }
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        _sent_by_hand(page, [[secret], 0.3, MOST_PROBABLE, 1, True])
    assert httpx.get(f"{page.address}/gradio_api/file={tiny_run / 'config.yaml'}").status_code == 404
    assert not list(page.folder.rglob("config.yaml"))


def _sent_by_hand(page: Serving, data: list[Any]) -> Any:
    """What comes back where a program calls the page without gradio's client."""
    dependencies = httpx.get(f"{page.address}/config").json()["dependencies"]
    number = next(i for i, one in enumerate(dependencies) if one["api_name"] == "add")
    asked = {"data": data, "fn_index": number, "session_hash": "by hand"}
    httpx.post(f"{page.address}/gradio_api/queue/join", json=asked).raise_for_status()
    told = httpx.get(f"{page.address}/gradio_api/queue/data?session_hash=by+hand", timeout=60)
    messages = [json.loads(line[6:]) for line in told.text.splitlines() if line.startswith("data: ")]
    (found,) = (message for message in messages if message["msg"] == "process_completed")
    return found["output"]["data"]


def test_gradio_itself_gives_and_takes_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the guard in front; a mounted page checks no file unless it is told that it has launched."""
    import gradio as gr
    from fastapi.testclient import TestClient

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "own"))
    (tmp_path / "secret.txt").write_text("secret")
    with gr.Blocks(analytics_enabled=False) as blocks:
        box, said = gr.File(), gr.Textbox()
        gr.on([box.upload], lambda file: file["path"], box, said, preprocess=False, queue=False)
    secret = {"path": str(tmp_path / "secret.txt"), "meta": {"_type": "gradio.FileData"}}
    with TestClient(mounted(blocks, LIMITS)) as client:
        asked = {"data": [secret], "fn_index": 0, "session_hash": "s"}
        assert client.post("/gradio_api/run/predict", json=asked).status_code != 200
        assert client.get(f"/gradio_api/file={tmp_path / 'secret.txt'}").status_code == 403
    assert blocks.allowed_paths == []
    assert not list((tmp_path / "own").rglob("secret.txt"))


def test_what_is_served_names_no_other_place(page: Serving) -> None:
    for path in ("/", "/config", "/theme.css"):
        answer = httpx.get(page.address + path)
        assert answer.status_code == 200
        text = answer.text.replace(page.address, "").replace("http://www.w3.org/", "")
        assert "http://" not in text
        assert "https://" not in text, text[text.index("https://") - 80 :][:200]
        assert "fonts.googleapis" not in text
    config = httpx.get(f"{page.address}/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []


def test_nothing_stays_when_the_page_ends(tiny_run: Path) -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("GRADIO")}
    with serving(ServeCommand(tiny_run, port=0, device="cpu", maps_from="gradcam")) as found:
        port = int(found.address.rpartition(":")[2])
        assert httpx.get(found.address).status_code == 200
        assert found.folder.is_dir()
    assert not found.folder.exists()
    assert {name: value for name, value in os.environ.items() if name.startswith("GRADIO")} == before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
