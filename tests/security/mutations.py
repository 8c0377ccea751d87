"""Valid files with a little of everything that is wrong: hypothesis strategies."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NASTY = (
    *("", "..", "../../../evil", "/etc/passwd", "C:\\evil", "\\\\host\\share", "a\0b", "x" * 300, "\u202e"),
    *("<script>", "1e999", "nan", "-1", "0", "=cmd()", "\ud800", "\x1b[2J", "{{ 7 * 7 }}", "\u0663"),
)
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf)


def _deep(depth: int) -> list[Any]:
    held: list[Any] = []
    for _ in range(depth):
        held = [held]
    return held


JUNK: tuple[Any, ...] = (None, True, False, *NASTY, *NUMBERS, [], {}, [None], [[]], {"": []}, _deep(60))
"""What stands in the place of a value."""


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes of a file with a few of them changed, gone, doubled, or with its end cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(1, 12))
        match draw(st.sampled_from(["set", "insert", "drop", "double", "cut"])):
            case "set":
                content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
            case "insert":
                content[place:place] = draw(st.binary(min_size=1, max_size=length))
            case "drop":
                del content[place : place + length]
            case "double":
                content[place:place] = content[place : place + 20 * length]
            case _:
                del content[place:]
    return bytes(content)


@st.composite
def misshapen(draw: st.DrawFn, value: Any) -> Any:
    """A value of lists, mappings and plain values with up to three parts replaced, dropped or doubled."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from([*places(value)] or [([value], 0)]))
        match draw(st.sampled_from(["junk", "junk", "drop", "double"])):
            case "junk":
                holder[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case "drop":
                del holder[key]
            case _ if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case _:
                holder[draw(st.sampled_from(NASTY))] = copy.deepcopy(holder[key])
    return value


@st.composite
def scribbled(draw: st.DrawFn, text: str) -> str:
    """Lines of comma-separated cells with some cells and lines replaced, dropped or doubled."""
    rows = [line.split(",") for line in text.splitlines()]
    changed = draw(misshapen(rows))
    lines = [",".join(map(_cell, row)) if isinstance(row, list) else _cell(row) for row in changed]
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)


def _cell(value: Any) -> str:
    return ("9" * 400 if value == 10**400 else str(value)).encode("utf-8", "replace").decode()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a value as the list or mapping that holds it, and its key there."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])
