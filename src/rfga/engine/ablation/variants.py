"""The ablation of RFGA as data: every variant, the mechanism that it tries, and the options that make it.

Each differs from the full layer, the published form, in one mechanism alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from rfga.engine.run.config import ESTIMATED
from rfga.types import UserError

FULL = "full layer"
COMMON_SCALE = "none"

MECHANISMS: dict[str, str] = {
    "layer": "without the layer: CAM, the same network with its classifier alone (full: with the layer)",
    "views": "which means of the features the attention is made from (full: channel, height and width)",
    "expansion": "how the views combine to one attention map M (full: sum)",
    "calibration": "how attention acts on the features X: residual X + X*M, plain X*M, weighted "
    "X*(0.35 + 0.65*M), or gradual X + g*X*(M - m), with gains g learned from zero (full: residual)",
    "gate": "what makes attention of a view's response (full: sigmoid)",
    "kernel": "length of the convolutions along channels, height and width (full: 3)",
    "groups": "of the convolutions along height and width; C, the light form: one filter for each channel "
    "(full: 1, dense)",
    "position": "which stage of the network the layer follows (full: the last)",
    "normalisation": "how score maps are brought to [0, 1], on the very weights of the full layer; none: one "
    "scale for all images, so that a threshold is the same score everywhere",
}
"""Mechanism -> what it decides."""

_VIEWS = ("channel", "height", "width")


@dataclass(frozen=True)
class Variant:
    """One line of the ablation."""

    name: str
    mechanism: str  # out of MECHANISMS; FULL for the full layer itself
    method: str = "rfga"
    options: Mapping[str, Any] = field(default_factory=dict)  # that differ from the full layer's
    normalisation: str | None = None  # where it is but another way to read the full layer's maps
    earlier_stages: int = 0  # by which it comes before the last one; it then needs the network itself

    @property
    def trained_as(self) -> str:
        """The name of the variant whose weights it has."""
        return self.name if self.normalisation is None else FULL


def all_variants(normalisation: str = "minmax") -> tuple[Variant, ...]:
    """The full layer and every variant, in the order of tables.

    Args:
        normalisation: of score maps, with which all are measured.

    Example:
        >>> [variant.name for variant in all_variants() if variant.mechanism == "expansion"]
        ['expansion=product', 'expansion=mean']
    """
    return (Variant(FULL, FULL), *_layers(), *_readings(normalisation))


def _layers() -> Iterator[Variant]:
    yield Variant("no layer (CAM)", "layer", method="cam")
    for count in (1, 2):
        for views in combinations(_VIEWS, count):
            yield _with("views", views="+".join(views))
    for expansion in ("product", "mean"):
        yield _with("expansion", expansion=expansion)
    for calibration in ("plain", "weighted", "gradual"):
        yield _with("calibration", calibration=calibration)
    yield _with("gate", gate="softmax")
    for kernel_size in (1, 5, 7):
        yield _with("kernel", kernel_size=kernel_size)
    yield Variant("groups=C", "groups", options={"light": True})
    for earlier in (1, 2):
        yield Variant(
            f"position={-1 - earlier}", "position", options={"position": -1 - earlier}, earlier_stages=earlier
        )


def _readings(normalisation: str) -> Iterator[Variant]:
    for other in (*ESTIMATED, COMMON_SCALE):
        if other != normalisation:
            yield Variant(f"normalisation={other}", "normalisation", normalisation=other)


def _with(mechanism: str, **options: Any) -> Variant:
    [(option, value)] = options.items()
    return Variant(f"{option}={value}", mechanism, options=options)


def chosen_variants(only: Sequence[str], normalisation: str = "minmax") -> tuple[Variant, ...]:
    """The full layer and the variants of some mechanisms; of all where none is named.

    Raises:
        UserError: no such mechanism.

    Example:
        >>> [variant.name for variant in chosen_variants(["gate", "groups"])]
        ['full layer', 'gate=softmax', 'groups=C']
    """
    if unknown := [name for name in only if name not in MECHANISMS]:
        raise UserError(f"expected --only out of {', '.join(MECHANISMS)}, found {unknown[0]!r}: correct it")
    return tuple(v for v in all_variants(normalisation) if v.mechanism in (FULL, *(only or MECHANISMS)))
