"""The page in a real browser: what a visitor sees, and that nothing leaves the machine."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rfga.engine.localizing.localizer import Localizer
from rfga.engine.serve.limits import Limits
from rfga.engine.serve.server import ServeCommand, serving
from tests.engine.serve.browser import NAMES, PATIENCE_SECONDS, Tab, browser_tab, find_browser

EVIL = "<img src=x onerror=alert(1)>.png"
TEMPLATE = "${alert(2)} {{alert(3)}} **b**.png"
LARGE = "<img src=y onerror=alert(4)> large.png"
FILE_INPUT = "input[type=file]"
PICTURES = "[...document.querySelectorAll('#pictures img')].map(i => [i.naturalWidth, i.naturalHeight])"
TABLE = "document.querySelector('#boxes').innerText"
MOVE = """(value => {
    const slider = document.querySelector('input[type=range]');
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(slider, value);
    slider.dispatchEvent(new Event('input', {bubbles: true}));
})"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


def test_a_visit(tiny_run: Path, birds: Path, tmp_path: Path) -> None:
    bird = sorted((birds / "val").rglob("*.png"))[0]
    files = [Path(shutil.copy(bird, tmp_path / name)) for name in (EVIL, TEMPLATE)]
    Image.effect_noise((300, 200), 90).save(tmp_path / LARGE)
    (tmp_path / "<b>text.jpg").write_text("no picture")
    command = ServeCommand(tiny_run, port=0, device="cpu", limits=Limits(max_upload_mb=0.05))
    with serving(command) as page, browser_tab(tmp_path / "profile") as tab:
        tab.open(page.address)
        tab.until(f"document.querySelectorAll('{FILE_INPUT}').length")
        tab.drop(FILE_INPUT, [*files, tmp_path / LARGE, tmp_path / "<b>text.jpg"])
        with Image.open(bird) as original:
            assert original.width != original.height
            tab.until(PICTURES, lambda sizes: sizes == [list(original.size)] * 2)
        _shows_names_as_text(tab)
        before = tab.value(TABLE)
        tab.value(f"{MOVE}('0.9')")
        tab.until(TABLE, lambda text: text != before and EVIL in text)
        tab.screenshot(tmp_path / "page.png")
        found = Localizer.load(tiny_run, device="cpu").with_threshold(0.9, "fixed")(bird)
        assert found.box is not None
        _downloads(tab, tmp_path, [*found.box[:2], found.box[2] - found.box[0], found.box[3] - found.box[1]])
        tab.open("about:blank")
        _until(lambda: not _holds(page.folder, "coco.json"))  # a visitor who leaves is forgotten
        assert [address for address in tab.requested if not _is_own(address, page.address)] == []
        assert tab.complaints == []
        assert tab.dialogs == []
    assert Image.open(tmp_path / "page.png").width == 1280


def _shows_names_as_text(tab: Tab) -> None:
    texts = "[document.body.innerText, ...[...document.querySelectorAll('textarea')].map(area => area.value)]"
    sentences = (
        EVIL,
        TEMPLATE,
        f"MB in {LARGE}: shrink it",
        "found that <b>text.jpg is none or has a damaged beginning",
    )
    # Pictures are there before the rest of the page is.
    tab.until(f"{texts}.join('')", lambda shown: all(sentence in shown for sentence in sentences))
    assert tab.value("document.querySelectorAll('img[src=x], img[src=y], [onerror]').length") == 0


def _downloads(tab: Tab, folder: Path, bbox: list[float]) -> None:
    """The button gives the COCO file of what is shown."""
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab.value("[...document.querySelectorAll('button')].find(b => b.innerText.includes('COCO')).click()")
    _until((folder / "coco.json").is_file)
    coco = json.loads((folder / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [EVIL, TEMPLATE]
    assert coco["annotations"][0]["bbox"] == pytest.approx(bbox)


def _holds(folder: Path, name: str) -> bool:
    """Whether a file of this name lies in the folder; folders may vanish while it is walked."""
    return any(name in files for _, _, files in os.walk(folder))  # rglob raises for a vanished folder


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def _is_own(address: str, page: str) -> bool:
    return address.startswith((f"{page}/", "data:", "blob:", "about:"))
