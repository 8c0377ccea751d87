"""What became of a recipe: the number that a run of it reached, beside the published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.model import all_options
from rfga.engine.run.recipes import Expected, Recipe, expected_of


@dataclass(frozen=True)
class FollowedRecipe:
    """The recipe that a run follows, as its config.yaml keeps it under ``data``."""

    name: str
    dataset: str | None
    expected: Expected | None
    changed: tuple[str, ...]  # settings that flags changed


def recipe_record(recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """What a run keeps of its recipe: name, data set, published number, and which settings are others.

    Args:
        recipe: that the run began with.
        config: what became of its settings with the flags.
    """
    wanted, given = TrainConfig.from_dict(recipe.train), config
    plain_wanted, plain_given = wanted.to_dict(), given.to_dict()
    changed = [name for name in plain_given if name != "options" and plain_given[name] != plain_wanted[name]]
    if wanted.method == given.method and all_options(wanted) != all_options(given):
        changed.append("options")
    expected = None if recipe.expected is None else asdict(recipe.expected)
    return {"name": recipe.name, "dataset": recipe.dataset, "expected": expected, "changed": changed}


def followed_recipe(run: RunFolder) -> FollowedRecipe | None:
    """The recipe of a run; None where it began without one.

    Raises:
        UserError: the folder is not a run, or its config is damaged.
    """
    held = run.read_config()[1].get("recipe")
    if not isinstance(held, dict):
        return None
    where = str(run.path / "config.yaml")
    expected = expected_of(held["expected"], where) if held.get("expected") else None
    changed = tuple(str(name) for name in held.get("changed") or ())
    return FollowedRecipe(str(held.get("name")), held.get("dataset"), expected, changed)


def compare(recipe: FollowedRecipe, result: Mapping[str, Any]) -> str | None:
    """One line on how near an evaluation came to the recipe's published number.

    Args:
        recipe: with the number.
        result: of the evaluation, in the form of ``--json``.

    Returns:
        The line; None where data set, split, normalisation or contour rule are not the number's own.

    Example:
        >>> expected = Expected(metric="PxAP", split="test", value_percent=58.5, tolerance_points=2.0,
        ...                     normalisation="minmax")
        >>> entry = {"value": 0.571, "normalisation": "minmax", "contours": None, "threshold_source": None}
        >>> compare(FollowedRecipe("mine", "birds", expected, ()),
        ...         {"dataset": "birds", "split": "test", "metrics": {"PxAP": [entry]}})
        'recipe mine: PxAP 57.1 % on birds test, published 58.5 %: within its tolerance of 2.0 points'
    """
    expected = recipe.expected
    if expected is None or (recipe.dataset, expected.split) != (result["dataset"], result["split"]):
        return None
    own = (expected.normalisation, expected.contours)
    for entry in result["metrics"].get(expected.metric, []):
        if (entry["normalisation"], entry["contours"]) == own and entry["threshold_source"] in (
            "oracle",
            None,
        ):
            return _sentence(recipe, expected, 100 * entry["value"])
    return None


def _sentence(recipe: FollowedRecipe, expected: Expected, reached_percent: float) -> str:
    # Rounded as it is shown, so that the sentence never contradicts its own numbers.
    off = round(reached_percent, 1) - expected.value_percent
    within = abs(off) <= expected.tolerance_points + 1e-9
    verdict = "within" if within else f"{abs(off):.1f} points {'above' if off > 0 else 'below'}, outside"
    others = f" (with another {', '.join(recipe.changed)} than the recipe's)" if recipe.changed else ""
    return (
        f"recipe {recipe.name}{others}: {expected.metric} {reached_percent:.1f} % on {recipe.dataset} "
        f"{expected.split}, published {expected.value_percent:.1f} %: {verdict} its tolerance of "
        f"{expected.tolerance_points:.1f} points"
    )


def measured(run: RunFolder) -> dict[str, Any]:
    """The numbers of each split that was evaluated."""
    found: dict[str, Any] = run.read_metrics().get("evaluations", {})
    return found
