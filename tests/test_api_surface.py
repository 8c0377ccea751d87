"""The names that users rely on: a change here is a change for them."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest
from torch import nn

import rfga
from rfga.backbones import BACKBONES
from rfga.data import DATASETS
from rfga.data.base import Dataset
from rfga.methods import METHODS, POSTHOC
from rfga.methods.base import MapReader, Method
from rfga.metrics import METRICS
from rfga.metrics.streaming import StreamedMetric
from rfga.output.export.formats import FORMATS, MERGED

PUBLIC_NAMES = {
    "RFGA",
    "Found",
    "LocalizationMetrics",
    "Localizer",
    "Prediction",
    "Sample",
    "Truth",
    "UserError",
    "__version__",
    "load",
}

REGISTRIES = {
    "METHODS": METHODS,
    "POSTHOC": POSTHOC,
    "DATASETS": DATASETS,
    "METRICS": METRICS,
    "FORMATS": FORMATS,
    "BACKBONES": BACKBONES,
}
CONTRACTS = {
    "METHODS": Method,
    "POSTHOC": MapReader,
    "DATASETS": Dataset,
    "METRICS": StreamedMetric,
    "BACKBONES": nn.Module,
}
ENTRIES = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]


def target(kind: str, name: str) -> Any:
    module, colon, attribute = REGISTRIES[kind][name].partition(":")
    assert colon, f'{kind}[{name!r}] is to read "module:Class", not {REGISTRIES[kind][name]!r}'
    return getattr(import_module(module), attribute)


def test_the_public_names_are_the_agreed_ones() -> None:
    added, gone = set(rfga.__all__) - PUBLIC_NAMES, PUBLIC_NAMES - set(rfga.__all__)
    assert not added, (
        f"new in rfga.__all__: {sorted(added)}. If wanted, add to PUBLIC_NAMES and to the changelog."
    )
    assert not gone, (
        f"no longer in rfga.__all__: {sorted(gone)}. That breaks users' programs: keep the name, or note the "
        "removal in the changelog and take it out of PUBLIC_NAMES."
    )
    assert len(rfga.__all__) == len(set(rfga.__all__))


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
def test_public_names_can_be_had(name: str) -> None:
    value = getattr(rfga, name)
    assert isinstance(value, str) or value.__name__ == name


def test_an_unknown_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="'rfga' has no attribute 'Boxes'"):
        _ = rfga.Boxes


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_registered_names_lead_to_what_the_registry_holds(kind: str, name: str) -> None:
    found = target(kind, name)
    if kind in CONTRACTS:
        assert issubclass(found, CONTRACTS[kind])
        assert not inspect.isabstract(found)
    else:
        assert callable(found)
        wanted = ["predictions", "classes", "out_folder", "file_names"]
        assert list(inspect.signature(found).parameters) == wanted + ["note"] * (name in MERGED)
    assert inspect.getdoc(found), f"{kind}[{name!r}] has no docstring, which the documentation is made from"


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_a_method_has_a_default_a_type_and_a_meaning(name: str) -> None:
    cls = target("METHODS", name)
    first, second, *options = inspect.signature(cls).parameters.values()
    assert (first.name, second.name) == ("backbone", "num_classes")
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY, (
            f"{name}: {option.name} can be given without its name"
        )
        assert option.default is not inspect.Parameter.empty, f"{name}: {option.name} has no default"
        assert option.annotation is not inspect.Parameter.empty, f"{name}: {option.name} has no type"
        assert f"    {option.name}: " in (cls.__doc__ or ""), f"{name}: Args does not explain {option.name}"
