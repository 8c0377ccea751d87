"""Reads our sources for the API page as they are meant, while mkdocstrings collects them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, Docstring, Extension, Object

PRODUCT = re.compile(r"(?<=[\w)\]])\*(?=[\w(])")
COMMENT = re.compile(r"\s# (.+)$")


class Docstrings(Extension):
    """Sections, products and comments of fields in the form that griffe expects."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """``Example:`` holds a doctest, not a remark, and ``X*M`` no emphasis."""
        if obj.docstring is not None:
            said, head, code = obj.docstring.value.partition("\nExample:\n")
            obj.docstring.value = PRODUCT.sub(r"\\*", said) + head.replace("Example", "Examples") + code

    def on_attribute(self, *, attr: Attribute, **kwargs: Any) -> None:
        """The comment beside a field says what it is."""
        beside = COMMENT.search(attr.source) if attr.docstring is None else None
        if beside is not None:
            attr.docstring = Docstring(beside[1][:1].upper() + beside[1][1:] + ".", parent=attr)
