"""`name[option=value,...]`: parsing, and options typed and checked by the signature they go to."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stackclip.errors import BadOption, UsageError

__all__ = ["Option", "Spec", "bind", "did_you_mean", "options_of", "split_specs"]

_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Spec:
    """A component's name and the options given with it, as text: `stacked[select=mean,clusters=2]`."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}[{','.join(f'{key}={value}' for key, value in sorted(self.options))}]"

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read `name` or `name[option=value,...]`; values may hold balanced brackets of their own."""
        text = text.strip()
        name, bracket, inside = text.partition("[")
        name = name.strip()
        if not name or (bracket and not inside.endswith("]")) or "]" in name:
            raise UsageError(f"cannot read {text!r}: wanted name or name[option=value,...]")
        given: dict[str, str] = {}
        for item in split_specs(inside[:-1]) if bracket else ():
            key, equals, value = item.partition("=")
            key, value = key.strip().replace("-", "_"), value.strip()
            if not equals or not key:
                raise UsageError(f"cannot read {item!r} in {text!r}: wanted option=value")
            if key in given:
                raise UsageError(f"{text!r} gives {key} twice")
            given[key] = value
        return cls(name, tuple(given.items()))

    def with_options(self, **options: object) -> Spec:
        """The same component with these options besides its own, which win."""
        return Spec(
            self.name, tuple({**{key: str(value) for key, value in options.items()}, **dict(self.options)}.items())
        )


def split_specs(text: str) -> tuple[str, ...]:
    """Split at the commas that stand outside brackets: `a[x=1,y=2],b` gives `a[x=1,y=2]` and `b`."""
    pieces, awaited, start = [], "", 0  # the brackets that must close, the innermost last
    for position, character in enumerate(text):
        if character in _CLOSING:
            awaited += _CLOSING[character]
        elif character in _CLOSING.values():
            if not awaited.endswith(character):
                raise UsageError(f"cannot read {text!r}: {character!r} closes no bracket")
            awaited = awaited[:-1]
        elif character == "," and not awaited:
            pieces.append(text[start:position])
            start = position + 1
    if awaited:
        raise UsageError(f"cannot read {text!r}: a bracket is not closed")
    pieces.append(text[start:])
    return tuple(piece.strip() for piece in pieces if piece.strip())


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a component: its name, its type as Python has it, its default (`REQUIRED` if none)."""

    name: str
    type: Any
    default: Any

    REQUIRED: typing.ClassVar[Any] = inspect.Parameter.empty

    @property
    def label(self) -> str:
        """The name as it is typed: `lambda` for the parameter `lambda_`."""
        return self.name.removesuffix("_")

    @property
    def type_name(self) -> str:
        """The type as a person reads it: `int`, `float | none`, `mean|sum`."""
        return _type_name(self.type)

    @property
    def default_text(self) -> str:
        """The default as it would be typed."""
        if self.default is self.REQUIRED:
            return "required"
        if self.default is None:
            return "none"
        if isinstance(self.default, tuple):
            return "+".join(str(item) for item in self.default)
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def describe(self) -> tuple[str, str, str]:
        """Name, type and default as text. Raises what the text of a default raises."""
        return self.label, self.type_name, self.default_text


def options_of(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The keyword-only parameters of a factory (a class's `__init__`, or a function), with their types.

    A factory that is composed of others states its own: an attribute `options`.
    """
    stated = None if inspect.isclass(factory) else getattr(factory, "options", None)
    if stated is not None:
        return tuple(stated)
    target: Any = factory.__init__ if inspect.isclass(factory) else factory
    if target is object.__init__:
        return ()
    signature = inspect.signature(factory)
    # A data class's own hints know the module of each base; those of its __init__ know only that of the class.
    hints = typing.get_type_hints(factory if dataclasses.is_dataclass(factory) else target)
    return tuple(
        Option(name, hints.get(name, str), parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def bind(owner: str, options: Iterable[Option], given: Mapping[str, str]) -> dict[str, Any]:
    """Turn the text of each given option into its type.

    Raises BadOption for an option that `owner` does not have (with the nearest name), for a value of the wrong type
    and for a required option that is not given.
    """
    known = {option.label: option for option in options}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise BadOption(f"{owner} has no option {name!r}{did_you_mean(name, known)}; {has}")
        try:
            values[known[name].name] = _convert(text, known[name].type)
        except ValueError as error:
            wanted = known[name].type_name
            detail = f" ({error})" if str(error) else ""
            raise BadOption(f"{owner}: {name}={text!r} is not of type {wanted}{detail}") from None
    for option in known.values():
        if option.default is Option.REQUIRED and option.name not in values:
            raise BadOption(f"{owner} needs {option.label}: write {owner}[{option.label}=...]")
    return values


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _convert(text: str, wanted: Any) -> Any:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and text.lower() in ("none", "auto"):
            return None
        alternatives = [argument for argument in arguments if argument is not type(None)]
        for alternative in alternatives[:-1]:
            try:
                return _convert(text, alternative)
            except ValueError:
                continue
        return _convert(text, alternatives[-1])
    if origin is Literal:
        for choice in arguments:
            if text == str(choice):
                return choice
        raise ValueError("")
    if origin is tuple:
        inner = arguments[0] if arguments else str
        return tuple(_convert(item.strip(), inner) for item in text.split("+") if item.strip())
    if wanted is bool:
        lowered = text.lower()
        if lowered in ("true", "yes", "on", "1"):
            return True
        if lowered in ("false", "no", "off", "0"):
            return False
        raise ValueError("")
    if wanted is int:
        return _number(int, text)
    if wanted is float:
        value = _number(float, text)
        json.dumps(value, allow_nan=False)
        return value
    if wanted is Path:
        return _path(text)
    return text


def _number(kind: type[int] | type[float], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("") from None


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # the home of somebody who is not there
        raise ValueError(str(error)) from None


def _type_name(wanted: Any) -> str:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        names = [_type_name(argument) for argument in arguments if argument is not type(None)]
        return " | ".join([*names, *(["none"] if type(None) in arguments else [])])
    if origin is Literal:
        return "|".join(str(choice) for choice in arguments)
    if origin is tuple:
        return f"{_type_name(arguments[0])}+..." if arguments else "list"
    return {str: "text", Path: "path"}.get(wanted, getattr(wanted, "__name__", str(wanted)))
