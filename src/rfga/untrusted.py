"""What strangers wrote: texts read as plain values alone, and names that stay in the folder meant for them.

No tag, reference or number in such a text makes the reader run anything, or fill the memory.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import os
from pathlib import Path, PurePath
from typing import Any

import yaml

from rfga.types import UserError

_LONGEST_NAME = 255  # bytes of a file's name that file systems take
_MOST_DIGITS = 40  # of a whole number: a float holds it, and no 64-bit number has more
_MOST_LEVELS = 100  # of values inside values
_FREE_VALUES, _GROWTH = 100_000, 10  # so many values may the references (*name) of a YAML text stand for


def read_text(path: Path) -> str:
    r"""The text of a file in UTF-8 or, where it begins with a mark that says so, UTF-16; lines end in ``\n``.

    Raises:
        OSError: it cannot be read.
        ValueError: it is in another encoding.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a.txt").write_bytes("cat\r\n".encode("utf-16"))
        ...     read_text(Path(folder) / "a.txt")
        'cat\n'
    """
    content = path.read_bytes()
    in_16_bits = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if in_16_bits else "utf-8-sig")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text; whole numbers of more than forty digits are infinite, as 1e999 is.

    Raises:
        ValueError: it is no JSON, or is nested too deeply.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_yaml(text: str, *, as_text: bool = False) -> Any:
    """The value of a YAML text; whole numbers of more than forty digits are infinite.

    Args:
        text: the whole file.
        as_text: leave every single value the text that it is, also where it looks like a number or a truth
            value, such as the class ``no``.

    Raises:
        ValueError: it is no YAML or wants more than plain values, is nested too deeply, or refers to so many
            values that they would not fit into memory.

    Example:
        >>> parse_yaml("a: [1, 2.5]")
        {'a': [1, 2.5]}
    """
    try:
        loader = (_TextLoader if as_text else _PlainLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node)
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except Exception as error:  # a tag on a value of another kind raises whatever the library stumbles over
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def place_below(folder: Path, name: str, ending: str = "") -> Path:
    """Where the file called ``name`` is to be written below ``folder``.

    Args:
        folder: above.
        name: relative path.
        ending: comes behind the name, which is shortened where no file could be called so.

    Raises:
        UserError: the name leads out of the folder.

    Example:
        >>> place_below(Path("out"), "cat/0.jpg").as_posix()
        'out/cat/0.jpg'
        >>> place_below(Path("out"), "../0.jpg")
        Traceback (most recent call last):
        ...
        rfga.types.UserError: expected a name that stays in out, found '../0.jpg': rename the file
    """
    path = PurePath(name)
    # Windows drops dots and spaces at the end of a name, so that ".. " is the folder above as well.
    if path.anchor or "\0" in name or any(not part.strip(". ") for part in path.parts):
        raise UserError(f"expected a name that stays in {folder}, found {name!r:.200}: rename the file")
    return folder / (fitting(name, ending) if ending else path)


def fitting(name: str, ending: str) -> str:
    """A relative path with an ending behind it; its last part is shortened where it would be too long.

    Example:
        >>> fitting("cat/0.jpg", ".xml")
        'cat/0.jpg.xml'
        >>> short = fitting("cat/" + 251 * "a" + ".jpg", ".xml")
        >>> len(short.removeprefix("cat/")), short[-15:]
        (255, 'aa~dee8aa38.xml')
    """
    folder, slash, last = name.rpartition("/")
    if len(os.fsencode(last + ending)) > _LONGEST_NAME:
        mark = "~" + hashlib.blake2b(os.fsencode(last), digest_size=4).hexdigest()
        room = _LONGEST_NAME - len(os.fsencode(mark + ending))
        last = os.fsencode(last)[:room].decode("utf-8", "ignore") + mark
    return folder + slash + last + ending


class _PlainLoader(yaml.SafeLoader):
    """Plain values alone, with numbers that fit into a float and can be written out again."""

    def construct_plain_int(self, node: yaml.ScalarNode) -> int | float:
        value: int = self.construct_yaml_int(node)
        if abs(value) < 10**_MOST_DIGITS:
            return value
        return math.inf if value > 0 else -math.inf

    def add_indent(self, column: int) -> bool:
        self._require_shallow()
        return bool(super().add_indent(column))

    def fetch_flow_collection_start(self, kind: type[yaml.Token]) -> None:
        self._require_shallow()
        super().fetch_flow_collection_start(kind)

    def _require_shallow(self) -> None:
        """Refuse deep nesting as it begins: the library looks ahead in a time that grows with its square."""
        if len(self.indents) + self.flow_level > _MOST_LEVELS:
            raise RecursionError


class _TextLoader(_PlainLoader):
    """Lists and mappings of texts."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.yaml_implicit_resolvers = {}  # what turns a text into a number or another value


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_plain_int)


def _require_bounded(node: yaml.Node) -> None:
    """Refuse a few lines of references to references, which stand for more values than any memory holds."""
    sizes: dict[int, int] = {}
    if _written_out(node, sizes) > _FREE_VALUES + _GROWTH * len(sizes):
        raise ValueError("its references stand for too many values")


def _written_out(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values there are with every reference written out; ``sizes`` keeps those of each node."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise ValueError("a value that holds itself")
        return sizes[id(node)]
    sizes[id(node)] = 0
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
    sizes[id(node)] = 1 + sum(_written_out(part, sizes) for part in parts)
    return sizes[id(node)]


def _whole(digits: str) -> int | float:
    if len(digits.lstrip("-")) <= _MOST_DIGITS:
        return int(digits)
    return -math.inf if digits[0] == "-" else math.inf
