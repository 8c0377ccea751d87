"""Recipes: settings of a training run with the number that the literature gives for it, and its source.

A recipe is YAML, of the package (``rfga/recipes``: files, and the benchmark's table) or anyone's own file:

    train: the settings of TrainConfig that are not at their defaults
    data: {name: the data set it is for}
    expected: metric, split, value_percent, tolerance_points, normalisation, contours
    source: {expected: where the number comes from, settings: where these come from}

A file of settings alone is a recipe too, and so is a run's config.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from rfga.engine.run.benchmark_recipes import benchmark_cells, benchmark_recipe
from rfga.engine.run.config import TrainConfig
from rfga.types import UserError
from rfga.untrusted import parse_yaml

RECIPE_COLUMNS = ("recipe", "method", "backbone", "data", "metric", "published %", "tolerance")
UNKNOWN = "none published"
NUMBERS = ("value_percent", "tolerance_points")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A published number, with everything that another must share with it to be compared.

    Args:
        metric: as in ``--json``.
        split: that it was measured on.
        value_percent: the number.
        tolerance_points: how far from it a repetition may lie, in percentage points.
        normalisation: of the score maps.
        contours: rule that made boxes of them; none where no boxes are scored.
    """

    metric: str
    split: str
    value_percent: float
    tolerance_points: float
    normalisation: str
    contours: str | None = None


@dataclass(frozen=True)
class Recipe:
    """What a recipe's file says."""

    name: str
    train: dict[str, Any]  # settings of TrainConfig
    dataset: str | None = None  # its name in DATASETS
    expected: Expected | None = None
    source: dict[str, str] = field(default_factory=dict)  # of the number and of the settings


@cache
def recipe_names() -> tuple[str, ...]:
    """The names of the recipes that come with the package.

    Example:
        >>> "cub-resnet50-cam" in recipe_names()
        True
    """
    return tuple(sorted([*_packaged(), *benchmark_cells()]))


def recipe_text(name: str) -> str:
    """The YAML of a recipe of the package, with its comments.

    Raises:
        UserError: there is no such recipe.
    """
    if name not in recipe_names():
        alike = get_close_matches(name, recipe_names(), n=3)
        raise UserError(
            f"expected the name of a recipe, found {name!r}: see rfga recipes"
            + (f" (alike: {', '.join(alike)})" if alike else "")
        )
    return (
        benchmark_recipe(name) if name in benchmark_cells() else _packaged()[name].read_text(encoding="utf-8")
    )


def read_recipe(name_or_file: str | Path) -> Recipe:
    """A recipe of the package by its name, or anyone's own by its file (``./NAME`` for one called alike).

    Raises:
        UserError: there is none, or it is not as described above.

    Example:
        >>> read_recipe("cub-resnet50-cam").expected.value_percent
        63.0
    """
    name = str(name_or_file)
    if name in recipe_names():
        return _parsed(name, name, recipe_text(name))
    try:
        text = Path(name_or_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a YAML file of settings or the name of a recipe (see rfga recipes), found {name} "
            f"unreadable ({error}): check it"
        ) from error
    return _parsed(Path(name_or_file).stem, name, text)


def recipe_rows() -> list[tuple[str, ...]]:
    """Of every recipe in the package its name, method, backbone, data set and what it is to reach."""
    return [_row(read_recipe(name)) for name in recipe_names()]


def expected_of(held: Mapping[str, Any], where: str) -> Expected:
    """A published number from YAML.

    Raises:
        UserError: something is missing, unknown or of another type.

    Example:
        >>> expected_of({"metric": "PxAP"}, "my.yaml")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected split, value_percent, ... under 'expected' in my.yaml, found none: ...
    """
    keys = {key.name: key for key in fields(Expected)}
    if missing := [name for name, key in keys.items() if key.default is MISSING and name not in held]:
        raise UserError(
            f"expected {', '.join(missing)} under 'expected' in {where}, found none: add what is missing"
        )
    for name, value in held.items():
        number, optional = name in NUMBERS, name in keys and keys[name].default is None
        fits = (
            isinstance(value, float | int)
            if number
            else isinstance(value, str) or (optional and value is None)
        )
        if name not in keys or not fits:
            wanted = f"{name} to be a {'number' if number else 'name'}" if name in keys else ", ".join(keys)
            raise UserError(
                f"expected {wanted} under 'expected' in {where}, found {value if name in keys else name}: "
                "correct or remove it"
            )
    return Expected(**held)


def _row(recipe: Recipe) -> tuple[str, ...]:
    train = {**TrainConfig().to_dict(), **recipe.train}
    what = (recipe.name, str(train["method"]), str(train["backbone"]), recipe.dataset or "")
    expected = recipe.expected
    if expected is None:
        return *what, UNKNOWN, "", ""
    return *what, expected.metric, f"{expected.value_percent:.1f}", f"{expected.tolerance_points:.1f}"


def _parsed(name: str, where: str, text: str) -> Recipe:
    try:
        held = parse_yaml(text)
    except ValueError as error:
        raise UserError(
            f"expected a YAML file of settings, found {where} unreadable ({error}): check it"
        ) from error
    train = held.get("train", held) if isinstance(held, dict) else None
    if not isinstance(train, dict) or not isinstance(train.get("options") or {}, dict):
        raise UserError(
            f"expected settings by name in {where}, found none: write lines like 'epochs: 4', and options "
            "of the method as a mapping under 'options'"
        )
    if train is held:
        return Recipe(name, train)
    parts = {part: held.get(part) or {} for part in ("data", "expected", "source")}
    for part, value in parts.items():
        if not isinstance(value, dict):
            raise UserError(
                f"expected names and values under {part!r} in {where}, found {value!r}: correct it"
            )
    if unknown := sorted(str(part) for part in held.keys() - parts.keys() - {"train"}):
        raise UserError(
            f"expected train, data, expected and source in {where}, found {', '.join(unknown)}: remove it"
        )
    expected = expected_of(parts["expected"], where) if parts["expected"] else None
    source = {str(of): " ".join(str(said).split()) for of, said in parts["source"].items()}
    return Recipe(name, train, parts["data"].get("name"), expected, source)


@cache
def _packaged() -> dict[str, Traversable]:
    entries = files("rfga").joinpath("recipes").iterdir()
    return {e.name.removesuffix(".yaml"): e for e in entries if e.name.endswith(".yaml")}
