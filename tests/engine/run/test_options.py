from __future__ import annotations

from typing import Any, Literal

import pytest

from rfga.engine.run.options import options_of, resolve, typed_options
from rfga.types import UserError


class Thing:
    """A thing.

    Args:
        place: not an option.
        size: how large it is,
            in pixels.
        mode: how it works.
        names: some.
    """

    def __init__(
        self,
        place: int,
        *,
        size: int = 3,
        mode: Literal["32", "16"] = "16",
        ratio: float | None = None,
        names: int | str = -1,
        on: bool = False,
    ) -> None:
        self.place = place


class Bare:
    """Has no options."""

    def __init__(self, place: int) -> None:
        self.place = place


def test_options_are_the_keyword_only_arguments() -> None:
    shown = [(o.name, o.type, o.default, o.meaning) for o in options_of(Thing)]
    assert shown == [
        ("size", "int", 3, "how large it is, in pixels."),
        ("mode", "one of 32, 16", "16", "how it works."),
        ("ratio", "float | None", None, ""),
        ("names", "int | str", -1, "some."),
        ("on", "bool", False, ""),
    ]
    assert options_of(Bare) == []


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        ({"size": "5", "on": "true"}, {"size": 5, "on": True}),
        ({"mode": 32}, {"mode": "32"}),
        ({"ratio": "0.5"}, {"ratio": 0.5}),
        ({"ratio": None}, {"ratio": None}),
        ({"names": "-2"}, {"names": -2}),
        ({"names": "layer3"}, {"names": "layer3"}),
        ({}, {}),
    ],
)
def test_values_get_their_types(given: dict[str, Any], typed: dict[str, Any]) -> None:
    found = typed_options(Thing, given)
    assert found == typed
    assert [type(value) for value in found.values()] == [type(value) for value in typed.values()]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": "x"}, "expected option size to be int, found 'x': correct it"),
        ({"size": None}, "expected option size to be int, found None: correct it"),
        ({"size": 1.5}, "expected option size to be int, found 1.5: correct it"),
        ({"mode": "8"}, "expected option mode to be one of 32, 16, found '8': correct it"),
        ({"on": "perhaps"}, "expected option on to be bool, found 'perhaps': correct it"),
        ({"place": 1}, "one of size, mode, ratio, names, on, found place: correct or remove it"),
    ],
)
def test_wrong_values_are_told(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        typed_options(Thing, given)
    assert str(caught.value).endswith(sentence)


def test_class_without_options() -> None:
    assert typed_options(Bare, {}) == {}
    with pytest.raises(UserError, match="expected as option none, since there is no option, found x"):
        typed_options(Bare, {"x": 1})


def test_unknown_name() -> None:
    with pytest.raises(UserError, match="expected a thing out of a, b, found 'c': give one of these"):
        resolve({"a": "x:y", "b": "x:z"}, "c", "thing")
