"""One HTML file from one of the package's templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rfga.files import replacing
from rfga.version import __version__


def write_template(path: Path, template: str, **values: Any) -> None:
    """Write a page, whole or not at all; its values are escaped, unless they are markup.

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
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(version=__version__, **values)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
