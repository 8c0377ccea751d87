"""The recipes of the benchmark: a table of what differs (``benchmark.csv``), a text of what is common."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from textwrap import fill

from rfga.output.benchmark.published import read_published

_FOLDER = files("rfga") / "recipes"
_SOURCE = "Choe et al. 2020 (wsolevaluation main table)"
_ANY = ("any", "any")  # data set and backbone of the options that the benchmark's program takes by default


@cache
def benchmark_cells() -> dict[str, dict[str, str]]:
    """Name of a recipe -> data set, backbone, method, rate, options, where these were seen, if published.

    Where none are published the rate is that of CAM, and the options are the program's defaults.

    Example:
        >>> benchmark_cells()["cub-vgg16-acol"]["options"]
        'erase_threshold: 0.89'
        >>> cell = benchmark_cells()["ilsvrc-vgg16-acol"]
        >>> cell["lr"], cell["published"]
        ('0.00001654502', '')
    """
    lines = (_FOLDER / "benchmark.csv").read_text(encoding="utf-8").splitlines()
    rows = {(row["data"], row["backbone"], row["method"]): row for row in csv.DictReader(lines)}
    cells = {}
    for data, backbone in dict.fromkeys((data, backbone) for data, backbone, _ in rows if data not in _ANY):
        for method in dict.fromkeys(method for *_, method in rows):
            place = {"data": data, "backbone": backbone, "method": method}
            held = rows.get((data, backbone, method))
            if held is None:
                options = rows.get((*_ANY, method), {}).get("options", "")
                held = {
                    "lr": rows[data, backbone, "cam"]["lr"],
                    "options": options,
                    "seen": "",
                    "published": "",
                }
            cells["-".join(place.values())] = {"published": "yes", **held, **place}
    return cells


def benchmark_recipe(name: str) -> str:
    """The YAML of one of ``benchmark_cells``, with its comments.

    Example:
        >>> print(benchmark_recipe("cub-vgg16-cam").splitlines()[0])
        # CAM with VGG16 on CUB-200-2011, as in the benchmark of Choe et al. (CVPR 2020, TPAMI).
    """
    from jinja2 import Environment, StrictUndefined

    cell = benchmark_cells()[name]
    place = (_SOURCE, cell["data"], cell["backbone"], cell["method"])
    (number,) = (
        row
        for row in read_published()
        if (row.source, row.dataset.lower(), row.backbone, row.method.lower()) == place
    )
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["wrapped"] = _wrapped
    template = environment.from_string((_FOLDER / "benchmark.yaml.jinja").read_text(encoding="utf-8"))
    return template.render(cell, number=number, options=[o for o in cell["options"].split("; ") if o])


def _wrapped(text: str) -> str:
    indent = " " * 4
    plain = " ".join(text.split())
    return fill(plain, 96, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
