"""The words and formulas beside pictures of attention: the paper's symbols for the layer as it was built."""

from __future__ import annotations

import math

from rfga.output.attention.record import Attention, LayerForm, box_area, mass_inside

SYMBOLS = {"channel": "z_c", "height": "z_h", "width": "z_w"}
_MEANS = {"channel": ("c", "H, W"), "height": ("h", "W"), "width": ("w", "H")}
_INDICES = {"channel": "c", "height": "c,i", "width": "c,j"}


def view_formula(view: str, gate: str) -> str:
    r"""How a view's attention comes from the features, as matplotlib's mathtext.

    Example:
        >>> print(view_formula("height", "sigmoid"))
        $z_h = \sigma(\mathrm{BN}(\mathrm{conv}(h)))$, $h$ = mean of $X$ over W
    """
    letter, axes = _MEANS[view]
    outer = r"\sigma" if gate == "sigmoid" else rf"\mathrm{{{gate}}}"
    inner = rf"\mathrm{{BN}}(\mathrm{{conv}}({letter}))"
    return rf"${SYMBOLS[view]} = {outer}({inner})$, ${letter}$ = mean of $X$ over {axes}"


def expansion_formula(form: LayerForm) -> str:
    r"""The attention of one element, as mathtext.

    Example:
        >>> print(expansion_formula(LayerForm(("height", "width"), "product", (0.0, 1.0), "sigmoid", "s4")))
        $M_{c,i,j} = z_h[c,i] \cdot z_w[c,j]$
    """
    parts = [f"{SYMBOLS[view]}[{_INDICES[view]}]" for view in form.views]
    joined = (r" \cdot " if form.expansion == "product" else " + ").join(parts)
    if form.expansion == "mean" and len(parts) > 1:
        joined = f"({joined}) / {len(parts)}"
    return f"$M_{{c,i,j}} = {joined}$"


def calibration_formula(form: LayerForm) -> str:
    r"""How attention acts on the features, as mathtext.

    Example:
        >>> print(calibration_formula(LayerForm(("height",), "sum", (1.0, 1.0), "sigmoid", "s4")))
        $Y = X + X \cdot M$
    """
    if form.gains is not None:
        low, high = form.gains
        return rf"$Y = X + g_c\, X \cdot (M - {form.start:g})$, $g_c$ from {low:.2g} to {high:.2g}"
    constant, share = form.calibration
    if share == 1 and constant in (0, 1):
        return r"$Y = X + X \cdot M$" if constant else r"$Y = X \cdot M$"
    return rf"$Y = X \cdot ({constant:g} + {share:g}\,M)$"


def neutral_level(view: str, attention: Attention) -> float:
    """The attention of a gate that tells nothing apart: one half, or an equal share of one."""
    lengths = dict(zip(SYMBOLS, attention.shape, strict=True))
    return 0.5 if attention.form.gate == "sigmoid" else 1 / lengths[view]


def score_rows(attention: Attention) -> list[tuple[str, ...]]:
    """What changes with the layer: what it is, without the layer, with it."""
    sides, size_hw = (attention.before, attention.after), attention.size_hw
    own = [mass_inside(side.score_map, side.boxes, size_hw) for side in sides]
    common = [mass_inside(side.score_map, attention.after.boxes, size_hw) for side in sides]
    return [
        ("probability of the class", *(_percent(side.probability) for side in sides)),
        ("box, of the photograph", *(_percent(box_area(side.boxes, size_hw)) for side in sides)),
        ("map inside its own box", *map(_percent, own)),
        ("map inside the box with it", *map(_percent, common)),
        ("raw scores, lowest", *(f"{side.raw_map.min():.3g}" for side in sides)),
        ("raw scores, highest", *(f"{side.raw_map.max():.3g}" for side in sides)),
    ]


def attention_rows(attention: Attention) -> list[tuple[str, ...]]:
    """Each view's attention: its name, the mean over all channels, the mean as the class feels it."""
    return [
        (view, f"{values.mean():.3g}", f"{attention.felt(view).mean():.3g}")
        for view, values in attention.values.items()
    ]


def gain_rows(attention: Attention) -> list[tuple[str, str]]:
    """How strong the features are after the layer, against before, and where."""
    names = {
        "all": "everywhere",
        "weaker_half": "where X is weak",
        "stronger_half": "where X is strong",
    }
    return [(names[name], _factor(gain)) for name, gain in attention.gains.items()]


SUMMARY_COLUMNS = ("photograph", "class", "probability", "box area", "map in its box", "gain weak, strong")


def summary_row(attention: Attention) -> tuple[str, ...]:
    """What the layer changed in one photograph; pairs of numbers are without the layer, and with it."""
    (_, *named), (_, *areas), (_, *inside), *_ = score_rows(attention)
    gains = [_factor(attention.gains[half]) for half in ("weaker_half", "stronger_half")]
    changes = (" to ".join(pair) for pair in (named, areas, inside))
    return attention.image_id, attention.class_name, *changes, ", ".join(gains)


def short_summary(attention: Attention) -> str:
    """The same as a sentence, for readers who do not see the picture."""
    _, name, probability, area, inside, gains = summary_row(attention)
    return (
        f"without and with the layer, the probability of {name} is {probability}, the box {area} of the "
        f"photograph, the map inside it {inside}; weak and strong features become {gains} as strong"
    )


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _factor(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}\N{MULTIPLICATION SIGN}"
