"""Options: typed by the signature that they go to, and bound to it from text; some name components of a shelf."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from stackclip.errors import BadOption, UsageError
from stackclip.registry.marks import AtTest, Removable
from stackclip.registry.spec import Spec, did_you_mean

if TYPE_CHECKING:
    from stackclip.registry.component import Component
    from stackclip.registry.shelf import Shelf

__all__ = ["From", "Option", "bind", "named_by", "noun", "options_of"]

Mark = TypeVar("Mark")
_NOUNS = {"prompts": "prompt strategy", "datasets": "data set"}


def noun(kind: str) -> str:
    """What one component of a shelf is called."""
    return _NOUNS.get(kind, kind.removesuffix("s"))


@dataclass(frozen=True, slots=True, eq=False)
class From:
    """Says that an option names a component of a shelf: `head: Annotated[str, From(heads)] = "linear"`.

    The option's value is the text as it was typed, `efa[temperature=4]`. `words` are names that may stand there and are
    no component's (`none`), each with the specs that it stands for: `{"auto": ("dbscan",)}`.
    """

    shelf: Shelf
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, text: str) -> str:
        """The text, if its name is on the shelf and its options are that component's.

        Raises UnknownComponent with the nearest name, BadOption, BrokenPlugin or DuplicateComponent.
        """
        for component, spec in () if text in self.words else self.named(text):
            bind(spec.name, component.options, dict(spec.options))
        return text

    def named(self, text: str) -> Iterator[tuple[Component, Spec]]:
        """The component that a text names, or those that a word stands for, with the options that they are given."""
        for each in self.words.get(text, (text,)):
            spec = Spec.parse(each)
            yield self.shelf.find(spec.name), spec

    def __str__(self) -> str:
        return " | ".join((noun(self.shelf.kind), *self.words))


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
    def is_at_test(self) -> bool:
        """Whether it acts at test alone: what is learned is the same at all its values."""
        return typing.get_origin(self.type) is Annotated and AtTest in typing.get_args(self.type)

    @property
    def source(self) -> From | None:
        """What says which components it names; None where it names none."""
        return next(_marks(self.type, From), None)

    @property
    def removables(self) -> tuple[Removable, ...]:
        """The parts of its component that it can take away."""
        return tuple(_marks(self.type, Removable))

    def value_of(self, text: str) -> Any:
        """A text as its type. Raises ValueError for a text that is of another, and what `From.check` raises."""
        return _convert(text, self.type)

    @property
    def default_text(self) -> str:
        """The default as it would be typed."""
        return "required" if self.default is self.REQUIRED else typed(self.default)

    def describe(self) -> tuple[str, str, str]:
        """Name, type and default as text; of one that acts at test alone its type says so.

        Raises what the text of a default raises.
        """
        return self.label, self.type_name + " (at test)" * self.is_at_test, self.default_text


def typed(value: object) -> str:
    """The value of an option as it would be typed."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "+".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def options_of(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The keyword-only parameters of a factory (a class's `__init__`, or a function), with their types.

    A factory that is composed of others states its own: an attribute `options`.
    """
    stated = None if inspect.isclass(factory) else getattr(factory, "options", None)
    if stated is not None:
        return tuple(stated)
    known: Any = factory  # mypy takes no class for hashable
    return _of_class(known) if inspect.isclass(factory) else _signed(factory)


@lru_cache(maxsize=1024)  # as many classes as a grid may name, whose annotations are read as slowly as they are often
def _of_class(factory: Callable[..., Any]) -> tuple[Option, ...]:
    return _signed(factory)


def _signed(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The options that a signature has."""
    target: Any = factory.__init__ if inspect.isclass(factory) else factory
    if target is object.__init__:
        return ()
    signature = inspect.signature(factory)
    # A data class's own hints know the module of each base; those of its __init__ know only that of the class.
    hints = typing.get_type_hints(factory if dataclasses.is_dataclass(factory) else target, include_extras=True)
    return tuple(
        Option(name, _as_stated(factory, name, hints.get(name, str)), parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def _as_stated(factory: Callable[..., Any], name: str, hint: Any) -> Any:
    """An option's type; where a class of another package inherited it, no word of what it learns by holds for it."""
    of_package = factory.__module__.partition(".")[0]
    stating = (each for each in getattr(factory, "__mro__", ()) if name in inspect.get_annotations(each))
    if AtTest in typing.get_args(hint) and next(stating, factory).__module__.partition(".")[0] != of_package:
        return typing.get_args(hint)[0]
    return hint


def bind(owner: str, options: Iterable[Option], given: Mapping[str, str]) -> dict[str, Any]:
    """Turn the text of each given option into its type.

    Raises BadOption for an option that `owner` does not have (with the nearest name), for a value of the wrong type
    and for a required option that is not given; and what `From.check` raises.
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
        except UsageError as error:
            raise type(error)(f"{owner}: {name}={text!r}: {error}") from None
    for option in known.values():
        if option.default is Option.REQUIRED and option.name not in values:
            raise BadOption(f"{owner} needs {option.label}: write {owner}[{option.label}=...]")
    return values


def named_by(option: Option, text: str) -> Iterator[tuple[Component, Spec]]:
    """The components that the text of an option names, where it is one that names some.

    Raises UsageError for a text that cannot be read and for a name that is not there, BrokenPlugin.
    """
    yield from _named(text, option.type)


def _marks(wanted: Any, kind: type[Mark]) -> Iterator[Mark]:
    """What an annotation, or a part of it, is marked with."""
    for part in typing.get_args(wanted):
        yield from (part,) if isinstance(part, kind) else _marks(part, kind)


def _named(text: str, wanted: Any) -> Iterator[tuple[Component, Spec]]:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        for source in _marks(wanted, From):
            yield from source.named(text)
    elif origin in _UNIONS and not (type(None) in arguments and text.lower() in _NOTHING):
        for argument in arguments:
            yield from _named(text, argument)
    elif origin is tuple:
        for item in _items(text):
            yield from _named(item, arguments[0])


_UNIONS = (typing.Union, types.UnionType)
_NOTHING = ("none", "auto")  # how None is typed


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split("+") if item.strip()]


def _convert(text: str, wanted: Any) -> Any:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        value = _convert(text, arguments[0])
        return next((source.check(value) for source in _marks(wanted, From)), value)
    if origin in _UNIONS:
        if type(None) in arguments and text.lower() in _NOTHING:
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
        return tuple(_convert(item, inner) for item in _items(text))
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
    if origin is Annotated:
        return next(map(str, _marks(wanted, From)), _type_name(arguments[0]))
    if origin in _UNIONS:
        names = [_type_name(argument) for argument in arguments if argument is not type(None)]
        return " | ".join([*names, *(["none"] if type(None) in arguments else [])])
    if origin is Literal:
        return "|".join(str(choice) for choice in arguments)
    if origin is tuple:
        return f"{_type_name(arguments[0])}+..." if arguments else "list"
    return {str: "text", Path: "path"}.get(wanted, getattr(wanted, "__name__", str(wanted)))
