"""HTML files from the package's templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rfga.files import replacing
from rfga.output.letters import legible
from rfga.version import __version__


def write_template(path: Path, template: str, **values: Any) -> None:
    """Write a page, whole or not at all; its values are escaped, unless they are markup.

    Letters that turn the direction of writing, or that nobody sees, are shown as their codes: a name must not
    look like another one. What scripts compare or save goes through the filter ``exact``, and stays as it is.

    A function among the values is called when its place in the page comes, and what it gives is written at
    once: so a page may hold more pictures than fit into memory.

    Args:
        path: the page.
        template: file name of the template.
        **values: what it shows, beside the ``version`` of the package.

    Raises:
        UserError: the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("rfga", "output"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_legible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["exact"] = _Exact
    # Macros see globals alone, so that is where functions go.
    environment.globals |= {name: value for name, value in values.items() if callable(value)}
    chunks = environment.get_template(template).generate(version=__version__, **values)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as stream:
        stream.writelines(chunks)


class _Exact(str):
    """Text of the page that keeps every letter; it is escaped all the same."""


def _legible(value: Any) -> Any:
    """A value of the page; text, markup or not, without letters that would change how the rest reads."""
    if not isinstance(value, str) or isinstance(value, _Exact):
        return value
    return type(value)(legible(value))
