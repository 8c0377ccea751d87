from __future__ import annotations

import base64
import io
import math
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from rfga.output.attention.pictures import (
    attention_data_uri,
    attention_figure,
    attention_picture,
    write_attention,
)
from rfga.output.attention.record import LayerForm, attention_numbers, mass_inside
from rfga.output.attention.words import (
    calibration_formula,
    expansion_formula,
    short_summary,
    summary_row,
    view_formula,
)
from rfga.types import FloatArray, Truth, UserError
from tests.output.attention.made_up import FORM, attention
from tests.output.made_up import photograph
from tests.thin import some

BOX = np.array([[30.0, 20.0, 120.0, 80.0]])
SOFTMAX = LayerForm(("channel", "width"), "product", (0.35, 0.65), "softmax", "blocks.4")
SIZES = [(100, 160), (160, 100), (40, 300), (300, 40)]


def words(figure: Figure) -> list[Text]:
    """Every text that is drawn, ticks aside."""
    found = list(figure.texts)
    for axes in figure.axes:
        if axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label]
        found += axes.texts
    return [text for text in found if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("sheet", some(product(SIZES, [FORM, SOFTMAX]), one_of=8))
def test_no_words_overlap_or_leave_the_sheet(sheet: tuple[tuple[int, int], LayerForm]) -> None:
    size_hw, form = sheet
    found = attention(size_hw, form, class_name="American bulldog", image_id="american_bulldog/_181.jpg")
    figure = attention_figure(photograph(size_hw, BOX[0]), found)
    figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi)
    boxes = {text: text.get_window_extent() for text in words(figure)}
    assert len(boxes) > 40
    for text, box in boxes.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()
    for one, other in combinations(boxes, 2):
        a, b = boxes[one].padded(-0.5), boxes[other].padded(-0.5)
        assert not a.overlaps(b), f"{one.get_text()!r} and {other.get_text()!r}"


def drawn_maps(figure: Figure) -> dict[str, list[tuple[FloatArray, float, float]]]:
    """Maps with the ends of their colour scales, by the name of the colours."""
    maps: dict[str, list[tuple[FloatArray, float, float]]] = {}
    for axes in figure.axes:
        for image in axes.images:
            array, (low, high) = image.get_array(), image.get_clim()
            assert array is not None
            assert low is not None
            assert high is not None
            maps.setdefault(image.get_cmap().name, []).append((np.asarray(array), low, high))
    return maps


def test_what_is_compared_shares_a_scale_and_differences_have_zero_in_the_middle() -> None:
    found = attention((100, 160))
    maps = drawn_maps(attention_figure(photograph((100, 160), BOX[0]), found))
    features = maps["magma"]
    assert len(features) == 2 * (1 + 4)
    mean_before, mean_after = features[0], features[5]
    np.testing.assert_array_equal(mean_before[0], found.before.activity)
    np.testing.assert_array_equal(mean_after[0], found.after.activity)
    assert mean_before[1:] == mean_after[1:] == (found.before.activity.min(), found.after.activity.max())
    assert len({ends[1:] for ends in features}) == 2  # one for the means, one for all telling channels
    (added, low, high), (change, *ends) = maps["RdBu_r"]
    np.testing.assert_allclose(added, found.after.raw_map - found.before.raw_map)
    assert -low == high == pytest.approx(np.abs(added).max())
    assert -ends[0] == ends[1] > 0
    assert not change.any()  # both normalised maps are the same, and yet their scale has an extent
    assert [array.shape for array, *_ in maps["viridis"] if array.shape == (5, 8)] == [(5, 8)] * 5


def test_views_that_are_off_are_said_to_be() -> None:
    found = attention((100, 160), SOFTMAX)
    said = [text.get_text() for text in words(attention_figure(photograph((100, 160), BOX[0]), found))]
    assert "no height view" in said
    assert not any("z_h" in text for text in said)
    assert "$Y = X \\cdot (0.35 + 0.65\\,M)$" in said


@pytest.mark.slow  # rfga attention draws both kinds of files: test_layer.py
def test_picture_and_files(tmp_path: Path) -> None:
    found, image = attention((100, 160)), photograph((100, 160), BOX[0])
    picture = attention_picture(image, found, Truth((100, 160), boxes=BOX))
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 1500
    assert picture.shape[2] == 3
    write_attention(tmp_path / "deep" / "a.jpg.png", image, found)
    with Image.open(tmp_path / "deep" / "a.jpg.png") as written:
        other = np.asarray(written.convert("RGB"))
    assert other.shape == picture.shape
    assert not np.array_equal(other, picture)  # which has the truth besides
    write_attention(tmp_path / "a.svg", image, found)
    assert "</svg>" in (tmp_path / "a.svg").read_text()
    head, _, text = attention_data_uri(image, found).partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as shown:
        assert shown.size == picture.shape[1::-1]
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "a.svg"}


def test_wrong_input(tmp_path: Path) -> None:
    image = photograph((100, 160), BOX[0])
    with pytest.raises(ValueError, match=r"photograph of \(160, 100\), found \(100, 160\)"):
        attention_figure(image, attention((160, 100)))
    with pytest.raises(UserError, match=r"named \.png or \.svg, found a\.gif"):
        write_attention(tmp_path / "a.gif", image, attention((100, 160)))


def test_numbers_by_hand() -> None:
    numbers = attention_numbers(attention((100, 160)))
    with_layer, without = numbers["with_layer"], numbers["without_layer"]
    assert with_layer["box"] == [20.0, 25.0, 80.0, 75.0]
    assert with_layer["box_area"] == pytest.approx(60 * 50 / 16000)
    # The map's mass lies in columns 28..112 and rows 56..168 of 224: the box holds columns 28..112, all rows.
    assert with_layer["mass_in_own_box"] == pytest.approx(1.0)
    assert (without["box"], without["box_area"], without["mass_in_own_box"]) == (None, 0.0, 0.0)
    assert without["mass_in_box_with_layer"] == pytest.approx(1.0)
    assert without["probability"] == pytest.approx(0.6)
    assert numbers["gain"] == pytest.approx({"all": 2.5, "weaker_half": 2.5, "stronger_half": 2.5})
    values = attention((100, 160)).values["height"]
    assert numbers["views"]["height"]["mean"] == pytest.approx(values.mean())
    assert numbers["views"]["height"]["profile"] == pytest.approx(values.mean(0))
    assert "profile" not in numbers["views"]["channel"]
    assert numbers["telling_channels"][0] == {"channel": 39, "evidence": 1.0}


def test_numbers_that_are_not_defined_are_none() -> None:
    found = attention((100, 160))
    dead = replace(found.before, activity=np.zeros((5, 8)), score_map=np.zeros((224, 224)))
    numbers = attention_numbers(replace(found, before=dead))
    assert numbers["gain"] == {"all": None, "weaker_half": None, "stronger_half": None}
    assert numbers["without_layer"]["mass_in_own_box"] is None
    assert math.isnan(mass_inside(dead.score_map, found.after.boxes, (100, 160)))
    attention_figure(photograph((100, 160), BOX[0]), replace(found, before=dead))


def test_mass_inside_a_box_of_a_wide_photograph() -> None:
    score_map = np.arange(8.0).reshape(2, 4)
    box = np.array([[25.0, 10.0, 75.0, 20.0]])  # the lower half, the two columns in the middle
    assert mass_inside(score_map, box, (20, 100)) == pytest.approx((5 + 6) / 28)


def test_felt_attention_follows_the_evidence() -> None:
    found = attention((100, 160), evidence=np.eye(40)[7])
    assert float(found.felt("channel")) == pytest.approx(found.values["channel"][7])
    np.testing.assert_allclose(found.felt("width"), found.values["width"][7])
    against = replace(found, evidence=-np.ones(40))
    np.testing.assert_allclose(against.felt("height"), found.values["height"].mean(0))


def test_formulas() -> None:
    assert "softmax" in view_formula("channel", "softmax")
    assert expansion_formula(FORM) == "$M_{c,i,j} = z_c[c] + z_h[c,i] + z_w[c,j]$"
    assert expansion_formula(replace(FORM, expansion="mean")).endswith("/ 3$")
    assert expansion_formula(replace(FORM, expansion="mean", views=("width",))) == "$M_{c,i,j} = z_w[c,j]$"
    assert calibration_formula(replace(FORM, calibration=(0.0, 1.0))) == r"$Y = X \cdot M$"
    learned = calibration_formula(replace(FORM, start=1.5, gains=(-0.012, 0.3)))
    assert learned == r"$Y = X + g_c\, X \cdot (M - 1.5)$, $g_c$ from -0.012 to 0.3"


def test_sentence_and_row() -> None:
    found = attention((100, 160))
    assert "probability of tench is 60.0 % to 75.0 %, the box 0.0 % to 18.8 %" in short_summary(found)
    assert summary_row(found)[0] == "tench/a.jpg"
