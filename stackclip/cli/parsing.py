"""From words of a command line to values: lists of names, places and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stackclip.ops.typed import split_typed
from stackclip.types import LARGEST_SEED

if TYPE_CHECKING:
    from stackclip.sizes import Side

__all__ = [
    "Command",
    "Several",
    "ShotsType",
    "curve_interval",
    "given_here",
    "keep_features_as",
    "picture_range",
    "places",
    "several",
    "specs",
    "typed_size",
    "whole_numbers",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class Several(click.Option):
    """An option of which there may be several: typed again it adds up; one text holds them with commas between.

    What is typed replaces the default. A variable of the environment is one text.
    """

    def __init__(self, *words: Any, **settings: Any) -> None:
        default = settings.get("default", ())
        settings["default"] = (default,) if isinstance(default, str) else default
        settings["multiple"] = True
        super().__init__(*words, **settings)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        text = self.resolve_envvar_value(ctx)
        return None if text is None else (text,)


class ShotsType(click.IntRange):
    """A number of shots from 0, or `all`."""

    name = "number or all"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "all" else super().convert(value, param, ctx)


def several(*words: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*words, cls=Several, **settings)


def given_here(names: Sequence[str]) -> dict[str, Any]:
    """The options among `names` that stand on the command line itself, which a suite gives way to."""
    context = click.get_current_context()
    return {
        name: context.params[name]
        for name in names
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def specs(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Names separated by commas outside brackets."""
    from stackclip.registry import split_specs

    return tuple(name for text in value for name in _named(split_specs(text), text))


def places(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Data sets separated by commas; a text that as a whole is the path of something is one, whatever is in it."""
    if not value:
        return ()  # --help brings no data
    from stackclip.data.naming import is_there

    root = context.params.get("data_root")
    found = ((text,) if is_there(text, root) else _named(split_typed(text), text) for text in value)
    return tuple(chain.from_iterable(found))


def _named(names: Sequence[str], text: str) -> Sequence[str]:
    """The names in a text. Raises BadParameter where there are none: it would stand for what nobody asked for."""
    if not names:
        raise click.BadParameter(f"{text!r} names nothing: wanted names with commas between, or leave the option out")
    return names


def whole_numbers(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[int, ...] | None:
    """Whole numbers separated by commas, each once, that a seed or a layer may be."""
    if not value:
        return None
    text = ",".join(value)
    try:
        found = tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        raise click.BadParameter(f"{text!r}: wanted whole numbers separated by commas") from None
    if not 0 <= min(found) <= max(found) <= LARGEST_SEED:
        raise click.BadParameter(f"{text!r}: wanted numbers from 0 to {LARGEST_SEED}")
    return found


def picture_range(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The word as it came, if it is a range."""
    from stackclip.ops.levels import parse_range

    parse_range(value)
    return value


def typed_size(context: click.Context, parameter: click.Parameter, value: str | int | None) -> Side | None:
    """The side of a square, or height and width."""
    from stackclip.errors import UsageError
    from stackclip.sizes import side_of

    try:
        return None if value is None else side_of(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def curve_interval(context: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """Steps between two points of a training curve, or `epoch`."""
    from stackclip.benchmarks.curves import interval

    return None if value is None else interval(value)


def keep_features_as(context: click.Context, parameter: click.Parameter, value: str) -> None:
    """Let the command work with the stores of the workspace that keep features so."""
    context.obj = replace(context.obj, feature_dtype=value)
