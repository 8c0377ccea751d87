from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

import matplotlib

from rfga.output.plots import box_accuracy_svg, history_svg, method_colours, precision_recall_svg
from tests.output.made_up import curves

NASTY = '<b>$x_1$ & "y"</b>'
HISTORY = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "val_top1": 0.9}]


@cache
def all_plots(*names: str) -> list[str]:
    colours = method_colours(names)
    given = {name: curves(0.2 + 0.1 * place) for place, name in enumerate(names)}
    histories = dict.fromkeys(names, HISTORY)
    return [
        box_accuracy_svg(given, "largest", colours),
        box_accuracy_svg(given, "all", colours),
        precision_recall_svg(given, colours),
        history_svg(histories, "train_loss", colours),
        history_svg(histories, "val_top1", colours),
    ]


def test_plots_are_well_formed_and_need_nothing_from_elsewhere() -> None:
    for svg in all_plots("cam", "rfga"):
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("role") == "img"
        assert not re.search(r'(?:href|src)="(?!#)', svg)
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)


def test_same_data_same_bytes() -> None:
    assert all_plots("cam", "rfga") == all_plots.__wrapped__("cam", "rfga")


def test_ids_differ_between_the_plots_of_a_page_and_every_reference_is_met() -> None:
    plots = all_plots("cam")
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in plots]
    assert sum(map(len, ids)) == len(set.union(*ids))
    for svg, own in zip(plots, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own


def test_colour_of_a_method_is_the_same_in_every_plot_even_when_others_are_missing() -> None:
    colours = method_colours(["cam", "rfga"])
    alone = box_accuracy_svg({"rfga": curves(0.3)}, "all", colours)
    assert colours["rfga"] in alone
    assert colours["cam"] not in alone
    assert all(colours["cam"] in svg and colours["rfga"] in svg for svg in all_plots("cam", "rfga"))


def test_names_are_shown_as_they_are() -> None:
    names = [NASTY, "_hidden", "a" * 80]
    for svg in all_plots(*names):
        texts = [
            "".join(node.itertext())
            for node in ElementTree.fromstring(svg).iter()
            if node.tag.endswith("text")
        ]
        assert set(names) <= set(texts)


def test_rule_stands_in_the_title_and_strong_dot_at_the_best_threshold() -> None:
    curve = {"thresholds": [0.0, 0.25, 0.5, 1.0], "box_accuracy": {"all": {"0.5": [0.1, 0.2, 0.7, 0.3]}}}
    svg = box_accuracy_svg({"cam": curve}, "all", method_colours(["cam"]))
    assert "Box accuracy, all contours" in svg
    line = re.search(r'<path d="([^"]+)"[^>]*stroke: #0072b2', svg)
    dot = re.search(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*fill: #0072b2', svg)
    assert line is not None
    assert dot is not None
    points = [tuple(map(float, pair)) for pair in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line[1])]
    assert (float(dot[1]), float(dot[2])) == min(points, key=lambda point: point[1])  # SVG counts y downwards


def test_global_settings_of_matplotlib_are_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    all_plots.__wrapped__("cam")
    assert dict(matplotlib.rcParams) == before
