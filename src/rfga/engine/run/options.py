"""Names of registries turned into classes, and constructor options typed, checked and explained."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentError, ArgumentParser

from rfga.methods import METHODS
from rfga.types import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_CHOICE = "one of "
_WRONG = (ArgumentError, TypeError, ValueError)


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
        raise UserError(f"expected a {kind} out of {', '.join(registry)}, found {name!r}: give one of these")
    module, _, attribute = registry[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def options_of(cls: type) -> list[Option]:
    """The keyword-only arguments of a constructor with the sentences of the class's docstring."""
    documented = parse_docstring(cls.__doc__ or "").params
    said = {p.arg_name: " ".join((p.description or "").split()) for p in documented}
    return [
        Option(name, _type_name(p.annotation), p.default, said.get(name, ""))
        for name, p in inspect.signature(cls, eval_str=True).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def groups_of(cls: type[DataclassInstance]) -> dict[str, str]:
    """The group that each field of a dataclass belongs to: its metadata names it, or that of one before it.

    Example:
        >>> from rfga.engine.runtime.machine import Runtime
        >>> groups_of(Runtime)["workers"]
        'machine'
    """
    groups, group = {}, ""
    for option in fields(cls):
        groups[option.name] = group = option.metadata.get("group", group)
    return groups


def typed_options(cls: type, given: Mapping[str, Any], kind: str = "option") -> dict[str, Any]:
    """The ``given`` keyword-only arguments of a constructor, converted to their types.

    Args:
        cls: whose constructor it is.
        given: values by name, as text or of any type.
        kind: what the message calls them.

    Raises:
        UserError: an unknown name (the message lists the valid ones), or a value of another type.

    Example:
        >>> class Thing:
        ...     def __init__(self, *, size: int = 3) -> None: ...
        >>> typed_options(Thing, {"size": "5"})
        {'size': 5}
    """
    valid, parser = _understood(cls)
    if unknown := [str(name) for name in given if name not in valid]:
        names = f"one of {', '.join(valid)}" if valid else f"none, since there is no {kind}"
        raise UserError(f"expected as {kind} {names}, found {', '.join(unknown)}: correct or remove it")
    spelled = {name: _spelled(value, valid[name]) for name, value in given.items()}
    # The parser takes None for "not given".
    lost = [name for name, value in spelled.items() if value is None and valid[name].default is not None]
    try:
        # All settings at once take a hundredth of a second, one after the other a tenth.
        typed = {} if lost else parser.parse_object(spelled).as_dict()
    except _WRONG:
        lost = [name for name, value in spelled.items() if not _fits(parser, name, value)] or list(given)
    for name in lost:
        raise UserError(f"expected {kind} {name} to be {valid[name].type}, found {given[name]!r}: correct it")
    return {name: typed[name] for name in given}


@cache
def _understood(cls: type) -> tuple[dict[str, Option], ArgumentParser]:
    """The options of a class by name and what parses them: made once, since a training asks a dozen times."""
    valid = {option.name: option for option in options_of(cls)}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, skip=set(inspect.signature(cls).parameters) - set(valid))
    return valid, parser


def _fits(parser: ArgumentParser, name: str, value: Any) -> bool:
    try:
        parser.parse_object({name: value})
    except _WRONG:
        return False
    return True


def _spelled(value: Any, option: Option) -> Any:
    """A choice that YAML reads as a number (precision: 32) as the text it is."""
    return str(value) if option.type.startswith(_CHOICE) and isinstance(value, int | float) else value


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return _CHOICE + ", ".join(map(str, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def method_rows() -> list[tuple[str, str]]:
    """Name and first sentence of every method."""
    rows = []
    for name in METHODS:
        said = inspect.getdoc(resolve(METHODS, name, "method")) or ""
        rows.append((name, " ".join(said.split("\n\n")[0].split())))
    return rows


def option_rows(name: str) -> list[tuple[str, str, str, str]]:
    """Option, type, default and meaning of one method.

    Raises:
        UserError: there is no such method.
    """
    method = resolve(METHODS, name, "method")
    return [(option.name, option.type, str(option.default), option.meaning) for option in options_of(method)]
