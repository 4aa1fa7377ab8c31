"""The command group: our errors as one line and their exit code, signals as 128 and their number."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from stackclip import __version__
from stackclip.cli.options import logger
from stackclip.errors import StackclipError

__all__ = ["Group", "cli", "read_config", "signals"]

INTERRUPTED = "interrupted; what was finished is kept: run the same command again to go on"
PATIENCE = 2.0
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hid it


class _Stopped(KeyboardInterrupt):
    """A signal asked us to stop; `code` is the exit code that says which."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Group(click.Group):
    """Turns our errors into one line and their exit code, and an interruption into a line and 128 + its signal."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StackclipError as error:
            logger.error("Error: %s", error)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            logger.error("Error: %s: %s", error.filename, error.strerror)
            ctx.exit(1)
        except KeyboardInterrupt as stop:
            logger.error(INTERRUPTED)
            ctx.exit(stop.code if isinstance(stop, _Stopped) else 128 + signal.SIGINT)


@contextmanager
def signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end this process in order, without Python's own words, however often they come.

    The first is raised as KeyboardInterrupt, and what is encoded is sealed on the way out. Another one changes nothing
    for `PATIENCE` seconds (terminals and supervisors send several), and after that ends the process on the spot: what
    was acknowledged is on the disk. A signal that is ignored when the process starts (by nohup, or in the background
    of a shell) stays ignored.
    """
    first: _Stopped | None = None
    since = 0.0

    def stop(number: int, frame: object) -> None:
        nonlocal first, since
        if first is None:
            first, since = _Stopped(128 + number), time.monotonic()
            raise first
        if time.monotonic() - since > PATIENCE:
            os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{INTERRUPTED}\n".encode())
            os._exit(first.code)

    named = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
    caught = [number for number in named if number and signal.getsignal(number) is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in caught:  # from here on Python only takes itself down, and is not to be disturbed at that
            signal.signal(number, signal.SIG_IGN if first else signal.SIG_DFL)


def read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Take defaults from a TOML file: a table for each command, options with underscores."""
    if path is None:
        return
    import tomllib

    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
    context.default_map = {**(context.default_map or {}), **_defaults(path, context.command, given)}


def _defaults(path: Path, command: click.Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a table of a config file gives to a command; tables in it are for its subcommands.

    A list stands for what is typed with commas. Raises BadParameter for a word that the command does not know.
    """
    from stackclip.registry import did_you_mean

    options = {parameter.name or "": parameter for parameter in command.params}
    commands = command.commands if isinstance(command, click.Group) else {}
    where = "stackclip" if isinstance(command, click.Group) else f"[{command.name}]"
    defaults: dict[str, Any] = {}
    for name, value in given.items():
        if name in commands and isinstance(value, dict):
            defaults[name] = _defaults(path, commands[name], value)
        elif (option := name.replace("-", "_")) in options:
            several = getattr(options[option], "multiple", False)
            texts = [str(each) for each in value] if isinstance(value, list) else value
            defaults[option] = (texts if isinstance(texts, list) else [str(texts)]) if several else texts
        else:
            known = (*options, *commands)
            raise click.BadParameter(f"{path}: {where} has no {name!r}{did_you_mean(name, known)}")
    return defaults


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
@click.option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Folder with registry/ and cache/.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="TOML file of defaults, a table for each command.",
)
@click.option("-v", "--verbose", count=True, help="Say everything.")
@click.option("-q", "--quiet", is_flag=True, help="Say only errors.")
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Keep all messages in this file.")
@click.pass_context
def cli(context: click.Context, workspace: Path | None, verbose: int, quiet: bool, log_file: Path | None) -> None:
    """Encode once, compare many: CLIP-based anomaly detectors over cached features."""
    from stackclip.registry import use_workspace
    from stackclip.workspace import Workspace

    # Threads of torch that wait by spinning make small steps many times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context.obj = Workspace.find(workspace)
    use_workspace(context.obj.registry)
    if context.invoked_subcommand is not None:
        from stackclip.terminal import set_up_logging

        set_up_logging(-1 if quiet else verbose, log_file)
