"""The page itself: what stands where, and which part calls what. Only this module knows gradio's parts.

Whatever a file name or a class name holds is shown as plain text: in text boxes, captions and table cells,
which take it as such, or escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from rfga.engine.localizing.localizer import Localizer
from rfga.engine.serve.desk import Desk, View
from rfga.engine.serve.limits import MAX_BOXES, Choices
from rfga.types import Prediction, UserError

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
COLUMNS = ("photograph", "class", "probability", "confidence", "x0", "y0", "x1", "y1", "note")
MOST_PROBABLE = -1  # as the class to look for
_COLUMN_WIDTHS = ("21%", "14%", "13%", "13%", "7%", "7%", "7%", "7%", "11%")
NO_BOX = "nothing above the threshold"

_CACHE_SECONDS = 60, 3600  # how often gradio looks for files of its own, and how old it lets them get
_WAITING = 32  # requests at most, beside the one that is worked on
_ONE_AT_A_TIME: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": "network",
    "api_visibility": "undocumented",  # its description would name places elsewhere
}
_CSS = """
footer { display: none !important; }
#pictures .caption-label { font-size: 0.85rem; }
#boxes td, #boxes th { font-variant-numeric: tabular-nums; }
"""


def build_page(desk: Desk, title: str) -> gr.Blocks:
    """The page of a desk.

    Args:
        desk: does the work.
        title: what the page is headed with, as plain text.
    """
    with gr.Blocks(
        title="rfga", analytics_enabled=False, delete_cache=_CACHE_SECONDS, fill_width=True
    ) as page:
        gr.Markdown(f"### {as_markdown(title)}", latex_delimiters=[])
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                drop = gr.File(label="Drop photographs", file_count="multiple", height=150)
                left_out = gr.Textbox(
                    label="Left out", visible=False, interactive=False, lines=2, max_lines=8
                )
                chosen = _choice_parts(desk.localizer)
                coco = gr.DownloadButton("Download COCO JSON", interactive=False, variant="primary")
                clear = gr.Button("Clear")
            with gr.Column(scale=3):
                shown = [*_result_parts(), coco]
        calls = _Calls(desk)
        drop.upload(
            calls.add,
            [drop, *chosen],
            [drop, left_out, *shown],
            api_name="add",
            preprocess=False,
            **_ONE_AT_A_TIME,
        )
        gr.on(
            [part.change for part in chosen],
            calls.show,
            chosen,
            shown,
            api_name="show",
            preprocess=False,
            show_progress="hidden",
            trigger_mode="always_last",
            **_ONE_AT_A_TIME,
        )
        clear.click(calls.clear, None, [left_out, *shown], api_name="clear", **_ONE_AT_A_TIME)
        page.unload(calls.leave)
    page.queue(max_size=_WAITING, default_concurrency_limit=1)
    return page


def _choice_parts(localizer: Localizer) -> list[Any]:
    """Threshold, class, number of boxes, heat map."""
    classes = [("most probable", MOST_PROBABLE), *((name, i) for i, name in enumerate(localizer.classes))]
    start = localizer.threshold
    return [
        gr.Slider(
            0,
            0.99,
            start.value,
            step=0.001,
            label="Threshold",
            info=f"of each map's maximum; the run's: {start.value:.3g} ({start.source})",
        ),
        gr.Dropdown(classes, value=MOST_PROBABLE, label="Class to localize"),
        gr.Slider(1, MAX_BOXES, 1, step=1, label="Boxes per photograph at most"),
        gr.Checkbox(True, label="Heat map"),
    ]


def _result_parts() -> list[Any]:
    """Pictures and table."""
    pictures = gr.Gallery(
        label="Photographs with boxes",
        elem_id="pictures",
        columns=3,
        height=620,
        object_fit="contain",
        interactive=False,
        buttons=["download", "fullscreen"],
    )
    table = gr.Dataframe(
        headers=list(COLUMNS),
        datatype=["str", "str", *["number"] * 6, "str"],
        elem_id="boxes",
        interactive=False,
        wrap=True,
        column_widths=list(_COLUMN_WIDTHS),
        label="Boxes: edges in pixels of the original photograph",
        buttons=[],
    )
    return [pictures, table]


def theme() -> gr.themes.Base:
    """Calm, and with the fonts of the system, so that none is fetched."""
    return gr.themes.Default(font=list(FONTS), font_mono=list(MONO_FONTS))


def style() -> str:
    """What the theme does not say."""
    return _CSS


def as_markdown(text: str) -> str:
    r"""Plain text as it has to stand in Markdown to be shown as it is.

    Example:
        >>> as_markdown("<b>_a_")
        '\\<b\\>\\_a\\_'
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def table_rows(predictions: Sequence[Prediction], classes: Sequence[str]) -> list[list[str | float | None]]:
    """One row for each box, under ``COLUMNS``; a photograph without a box has a row that says so.

    Example:
        >>> import numpy as np
        >>> edges, score = np.array([[10.0, 5.0, 30.0, 25.0]]), np.array([0.8])
        >>> table_rows([Prediction("a.jpg", (60, 80), 0, 0.912, edges, score, None, 0.2)], ["tench"])
        [['a.jpg', 'tench', 0.912, 0.8, 10.0, 5.0, 30.0, 25.0, '']]
    """
    rows: list[list[str | float | None]] = []
    for found in predictions:
        known: list[str | float | None] = [found.image_id, classes[found.label], round(found.probability, 3)]
        note = ", ".join(found.warnings)
        for edges, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
            rows.append([*known, round(score, 3), *(round(edge, 1) for edge in edges), note])
        if not len(found.boxes):
            rows.append([*known, None, None, None, None, None, NO_BOX])
    return rows


def caption(found: Prediction, classes: Sequence[str]) -> str:
    """What stands below a picture.

    Example:
        >>> import numpy as np
        >>> edges, score = np.array([[10.0, 5.0, 30.0, 25.0]]), np.array([0.8])
        >>> caption(Prediction("a.jpg", (60, 80), 0, 0.912, edges, score, None, 0.2), ["tench"])
        'tench 91 %, box 80 %: a.jpg'
    """
    boxes = " + ".join(f"{score:.0%}".replace("%", " %") for score in found.scores.tolist())
    said = f"box {boxes}" if boxes else NO_BOX
    return f"{classes[found.label]} {100 * found.probability:.0f} %, {said}: {found.image_id}"


class _Calls:
    """What the parts of the page call: from what a browser sent to what the parts show."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(
        self,
        files: Sequence[Mapping[str, Any]] | None,
        threshold: object,
        label: object,
        boxes: object,
        heat: object,
        request: gr.Request,
    ) -> list[Any]:
        """Photographs were dropped; the place to drop them is empty again afterwards."""
        uploads = [(Path(file["path"]), str(file.get("orig_name") or "")) for file in files or ()]
        choices = self._choices(threshold, label, boxes, heat)
        view = self._desk.add(str(request.session_hash), uploads, choices)
        return [None, _left_out(view.left_out), *self._shown(view)]

    def show(
        self, threshold: object, label: object, boxes: object, heat: object, request: gr.Request
    ) -> list[Any]:
        """Something else was chosen."""
        choices = self._choices(threshold, label, boxes, heat)
        return self._shown(self._desk.show(str(request.session_hash), choices))

    def clear(self, request: gr.Request) -> list[Any]:
        """All photographs go."""
        self.leave(request)
        return [_left_out([]), *self._shown(View([], [], None))]

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self._desk.forget(str(request.session_hash))

    def _choices(self, threshold: object, label: object, boxes: object, heat: object) -> Choices:
        try:
            return Choices.checked(threshold, label, boxes, heat, len(self._desk.localizer.classes))
        except UserError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from error

    def _shown(self, view: View) -> list[Any]:
        """Values of the pictures, the table and the button."""
        classes = self._desk.localizer.classes
        captions = [caption(found, classes) for found in view.predictions]
        coco = None if view.coco is None else str(view.coco)
        return [
            list(zip(map(str, view.pictures), captions, strict=True)),
            table_rows(view.predictions, classes),
            gr.DownloadButton(value=coco, interactive=coco is not None),
        ]


def _left_out(sentences: Sequence[str]) -> Any:
    return gr.Textbox(value="\n".join(sentences), visible=bool(sentences))
