"""Defaults of commands from a TOML file and from the environment; what is wrong in them is named with its place."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from stackclip.cli.options import logger
from stackclip.errors import DamagedFile, UsageError

__all__ = ["ENVIRONMENT", "check_hub_variables", "place_of", "read_config", "say_unknown_variables"]

ENVIRONMENT = "STACKCLIP"
LARGEST = 1 << 20  # bytes of a config file
OTHER_VARIABLES = ("STACKCLIP_CACHE", "STACKCLIP_FAULTS", "STACKCLIP_RECALL", "STACKCLIP_SHARED")
_FILE = "stackclip.config"  # where a context keeps the name of its config file


def read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Take defaults from a TOML file: a table for each command, options with underscores."""
    if path is None:
        return
    import tomllib

    from stackclip.ops.seals import read_regular

    try:
        given = tomllib.loads(read_regular(path, largest=LARGEST).decode("utf-8-sig"))
    except DamagedFile as error:
        raise click.BadParameter(str(error)) from None
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}; wanted TOML in UTF-8") from None
    except RecursionError:
        raise click.BadParameter(f"{path}: is nested too deeply; wanted a table for each command") from None
    context.meta[_FILE] = path
    context.default_map = {**(context.default_map or {}), **_defaults(path, context.command, given)}


def place_of(context: click.Context, parameter: click.Parameter) -> str:
    """Where the value of a parameter comes from, if that is not the command line: the file, or the variable."""
    source = context.get_parameter_source(parameter.name or "")
    if source is click.core.ParameterSource.DEFAULT_MAP and _FILE in context.meta:
        return f"{context.meta[_FILE]}: {_table(context.command)} {parameter.name}"
    if source is click.core.ParameterSource.ENVIRONMENT:
        words = [ENVIRONMENT, *_path(context), parameter.name or ""]
        return "_".join(words).upper().replace("-", "_")
    return ""


def say_unknown_variables(command: click.Command) -> None:
    """Warn of variables of the environment that are named almost like an option, and so do nothing."""
    known = {name.removeprefix(f"{ENVIRONMENT}_") for name in (*OTHER_VARIABLES, *_variables(command, ENVIRONMENT))}
    given = {name.removeprefix(f"{ENVIRONMENT}_") for name in os.environ if name.startswith(f"{ENVIRONMENT}_")}
    for name in sorted(given - known):
        for near in difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            words = f"{ENVIRONMENT}_{name} in the environment is no option, and does nothing"
            logger.warning("%s", f"{words} (did you mean {ENVIRONMENT}_{near}?)")


def check_hub_variables() -> None:
    """Raise UsageError for variables that the client of the model hub cannot read, which it does when imported."""
    for name, wanted, read in (
        ("HF_HUB_ETAG_TIMEOUT", "whole seconds", int),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "whole seconds", int),
        ("HF_ENDPOINT", "the address of a hub", urlsplit),
    ):
        try:
            read(os.environ.get(name, "0"))
        except ValueError:
            raise UsageError(f"{name} in the environment is {os.environ[name]!r}, wanted {wanted}") from None


def _variables(command: click.Command, prefix: str) -> Iterator[str]:
    for parameter in command.params:
        yield f"{prefix}_{parameter.name}".upper()
    for name, other in command.commands.items() if isinstance(command, click.Group) else ():
        yield from _variables(other, f"{prefix}_{name.upper().replace('-', '_')}")


def _path(context: click.Context) -> list[str]:
    """The names of the commands that lead to a context, without the program's."""
    return [] if context.parent is None else [*_path(context.parent), context.info_name or ""]


def _table(command: click.Command) -> str:
    return "stackclip" if isinstance(command, click.Group) else f"[{command.name}]"


def _defaults(path: Path, command: click.Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a table of a config file gives to a command; tables in it are for its subcommands.

    A list stands for what is typed with commas. Raises BadParameter for a word that the command does not know, and for
    a value of another type than it takes.
    """
    from stackclip.registry import did_you_mean

    options = {parameter.name or "": parameter for parameter in command.params}
    commands = command.commands if isinstance(command, click.Group) else {}
    defaults: dict[str, Any] = {}
    for name, value in given.items():
        if name in commands:
            if not isinstance(value, dict):
                raise click.BadParameter(f"{path}: {name} is {_kind_of(value)}; wanted a table [{name}]")
            defaults[name] = _defaults(path, commands[name], value)
        elif (option := name.replace("-", "_")) in options:
            try:
                defaults[option] = _value(options[option], value)
            except ValueError as error:
                raise click.BadParameter(f"{path}: {_table(command)} {name} is {error}") from None
        else:
            known = (*options, *commands)
            raise click.BadParameter(f"{path}: {_table(command)} has no {name!r}{did_you_mean(name, known)}")
    return defaults


def _value(option: click.Parameter, value: Any) -> Any:
    """A value of a config file as the option takes it. Raises ValueError that says what it is and what was wanted."""
    if isinstance(value, list):
        if not option.multiple and option.callback is None:
            raise ValueError(f"{_kind_of(value)}; wanted one value")
        several = [_scalar(each, "texts or numbers") for each in value]
        return [str(each) for each in several] if option.multiple else ",".join(map(str, several))
    if isinstance(option, click.Option) and (option.is_flag or option.count):
        wanted, kind = ("true or false", bool) if option.is_flag else ("a whole number", int)
        if type(value) is not kind:
            raise ValueError(f"{_kind_of(value)}; wanted {wanted}")
        return value
    value = _scalar(value, "a number" if isinstance(option.type, click.types.IntParamType) else "text or a number")
    if isinstance(option.type, click.types.IntParamType) and not isinstance(value, int):
        raise ValueError(f"{_kind_of(value)}; wanted a whole number")
    return [str(value)] if option.multiple else value


def _scalar(value: Any, wanted: str) -> str | int | float:
    """Text, or a number that any machine can hold."""
    fits = isinstance(value, str) and "\0" not in value
    fits |= type(value) is int and -(2**63) <= value < 2**63
    fits |= isinstance(value, float) and math.isfinite(value)
    if not fits:
        raise ValueError(f"{_kind_of(value)}; wanted {wanted}")
    number_or_text: str | int | float = value
    return number_or_text


def _kind_of(value: Any) -> str:
    """What a value of a config file is, in a few words."""
    if isinstance(value, str) and "\0" in value:
        return "text with a NUL in it"
    kinds = {dict: "a table", list: "a list", bool: str(value).lower(), str: f"the text {value!r:.60}"}
    if type(value) in kinds:
        return kinds[type(value)]
    if type(value) is int and abs(value) >= 2**63:
        return "a number above 2^63"
    return str(value)
