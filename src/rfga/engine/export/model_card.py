"""The model card of an exported run: what it was trained on, what was measured, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.model import licence_of
from rfga.output.letters import legible
from rfga.output.table import COLUMNS, metric_rows
from rfga.version import __version__

CARD = "README.md"
SHOWN_CLASSES = 100
TASK = "object-detection"
TAGS = ("weakly-supervised-object-localization", "class-activation-map", "pytorch")
_MARKUP = re.compile(r"([\\`*_\[\]<>|#$~])")

LOADING = """\
## How to load it

```python
import rfga

find = rfga.load("{place}")
found = find("photo.jpg")
print(found.label, found.confidence, found.box)  # edges x0, y0, x1, y1 in pixels of the photograph
```

Put the name of the repository or the path of the folder in place of `{place}`. Weights are safetensors,
settings are YAML and JSON: no code in the folder is run.
"""

LIMITS = """\
## Limits

- It was trained on class names alone. It finds what tells the classes apart, which may be a part of the
  object, or a background that all photographs of a class share.
- It knows the classes below and no others: a photograph of something else gets one of them, too.
- One box for each photograph unless more are asked for; objects of the same class that touch become one.
- Score maps have one pixel for {stride} x {stride} pixels of the {size} x {size} square that a photograph is
  resized to: boxes of small objects are coarse.
- Thresholds called `oracle` are the best ones for the very photographs that were measured, as the literature
  reports them; one called `val` was chosen on the validation photographs, and is optimistic for these. New
  photographs get {own}, as this model carries it.
"""

LICENCE = """\
## Licence

Not stated. Whoever publishes this model chooses one that the photographs and the starting weights allow, and
puts it into the first lines of this file (`license: ...`).
"""


def model_card(localizer: Localizer, data: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card as Markdown with a YAML head, as the Hugging Face hub reads it.

    Args:
        localizer: the model.
        data: description of the data it was trained on, as ``RunFolder.read_config`` gives it.
        metrics: what was measured, as ``RunFolder.read_metrics`` gives it.
    """
    config, evaluations = localizer.config, list(metrics.get("evaluations", {}).values())
    name, own = str(data.get("name", "photographs")), localizer.threshold
    title = f"{config.method} ({config.backbone}) on {name}"
    head = yaml.safe_dump(_head(title, config.method, evaluations), sort_keys=False, allow_unicode=True)
    threshold = f"a threshold of {own.value:.3f} (source: {own.source})"
    limits = LIMITS.format(stride=config.output_stride, size=config.image_size, own=threshold)
    parts = [
        f"---\n{head}---\n",
        f"# {_plain(title)}\n",
        "Finds objects in photographs (class, box, mask, heat map) after training on class names alone, "
        f"without a single box. Made by rfga {__version__}.\n",
        "## What it is\n",
        _table(("", ""), _facts(localizer, data, threshold)),
        "## Measured\n",
        "\n".join(_measured(evaluation) for evaluation in evaluations) or "Nothing was measured.\n",
        LOADING.format(place="USER/REPOSITORY"),
        limits,
        f"## Classes\n\n{_class_list(localizer.classes)}\n",
        LICENCE,
    ]
    return legible("\n".join(parts))


def _facts(localizer: Localizer, data: Mapping[str, Any], threshold: str) -> list[tuple[str, str]]:
    config = localizer.config
    meaning = (type(localizer.method).__doc__ or config.method).strip().splitlines()[0].rstrip(".")
    counts = [data.get(f"{split}_photographs", "?") for split in ("train", "val")]
    said = (
        f"{len(localizer.classes)} classes, {counts[0]} photographs to train on, {counts[1]} to validate on"
    )
    return [
        ("method", f"{config.method}: {meaning}"),
        ("network", config.backbone),
        ("starting weights", licence_of(config).removeprefix("weights: ")),
        ("data set", f"{data.get('name', '?')}: {said}"),
        ("training", f"{config.epochs} epochs, batches of {config.batch_size}, seed {config.seed}"),
        ("input", f"RGB, resized to {config.image_size} x {config.image_size}, aspect not kept"),
        ("score maps", f"normalised by {config.normalisation}, cut at {threshold} of their maximum"),
    ]


def _measured(evaluation: Mapping[str, Any]) -> str:
    """The numbers of one split as a table, without those of single IoUs."""
    rows = [row.cells() for row in metric_rows(evaluation) if row.metric in evaluation["metrics"]]
    said = f"{evaluation['dataset']}, {evaluation['split']}, {evaluation['images']} photographs:"
    return f"{_plain(said)}\n\n{_table(COLUMNS, rows)}"


def _head(title: str, method: str, evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    head: dict[str, Any] = {"library_name": "rfga", "pipeline_tag": TASK, "tags": [*TAGS, method]}
    if evaluations:
        results = [_result(evaluation) for evaluation in evaluations]
        head["model-index"] = [{"name": title, "results": results}]
    return head


def _result(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """A split's numbers in the hub's form; the name of each says where its threshold came from."""
    numbers = [
        {"type": name, "name": _metric_name(name, entry), "value": round(float(entry["value"]), 4)}
        for name, entries in evaluation["metrics"].items()
        for entry in entries
    ]
    name = str(evaluation["dataset"])
    data = {"type": name, "name": name, "split": evaluation["split"]}
    return {"task": {"type": TASK}, "dataset": data, "metrics": numbers}


def _metric_name(name: str, entry: Mapping[str, Any]) -> str:
    source, contours = entry.get("threshold_source"), entry.get("contours")
    rule = [f"{source} threshold"] * bool(source) + [f"{contours} contours"] * bool(contours)
    return f"{name} ({', '.join(rule)})" if rule else name


def _class_list(classes: Sequence[str]) -> str:
    shown = ", ".join(_plain(name) for name in classes[:SHOWN_CLASSES])
    more = len(classes) - SHOWN_CLASSES
    return f"{shown}{f', and {more} more' if more > 0 else ''}; in the order of `classes.json`."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_plain(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _plain(text: str) -> str:
    """Text on one line in which no letter means anything to Markdown: names of classes may hold any."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
