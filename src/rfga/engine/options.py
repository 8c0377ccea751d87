"""Names of registries turned into classes, and constructor options typed, checked and explained."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentError, ArgumentParser

from rfga.types import UserError


@dataclass(frozen=True)
class Option:
    """One keyword of a constructor, as the command line shows it."""

    name: str
    type: str
    default: Any
    meaning: str


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """The class or function that ``registry`` names "module:Class".

    Raises:
        UserError: there is no such name; the message lists those there are.

    Example:
        >>> resolve({"path": "pathlib:Path"}, "path", "thing").__name__
        'Path'
    """
    if name not in registry:
        raise UserError(f"expected a {kind} out of {', '.join(registry)}, found {name!r}")
    module, _, attribute = registry[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def options_of(cls: type) -> list[Option]:
    """The keyword-only arguments of a constructor with the sentences of the class's docstring."""
    said = {p.arg_name: " ".join((p.description or "").split()) for p in parse_docstring(cls.__doc__ or "").params}
    return [
        Option(name, _type_name(p.annotation), p.default, said.get(name, ""))
        for name, p in inspect.signature(cls).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def typed_options(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The ``given`` options of a constructor, converted to their types.

    Raises:
        UserError: an unknown option (the message names the valid ones), or a value of another type.

    Example:
        >>> class Thing:
        ...     def __init__(self, *, size: int = 3) -> None: ...
        >>> typed_options(Thing, {"size": "5"})
        {'size': 5}
    """
    valid = [option.name for option in options_of(cls)]
    if unknown := sorted(set(given) - set(valid)):
        names = f"one of {', '.join(valid)}" if valid else "none, since it has no options"
        raise UserError(f"expected as option {names}, found {', '.join(unknown)}")
    parser = ArgumentParser(exit_on_error=False)
    skipped = {p.name for p in inspect.signature(cls).parameters.values()} - set(valid)
    parser.add_class_arguments(cls, skip=skipped)
    try:
        parsed = parser.parse_object(dict(given)).as_dict()
    except (ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"expected options of the right type, found {dict(given)}: {_last_line(error)}") from error
    return {name: parsed[name] for name in given}


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
