"""The command group: our errors as one line and their exit code, signals as 128 and their number."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.exceptions import Exit

from stackclip import __version__
from stackclip.cli.config import place_of, read_config, say_unknown_variables
from stackclip.cli.options import logger
from stackclip.errors import StackclipError, UnknownLayout
from stackclip.ops.words import legible
from stackclip.registry import Stopped, ask_to_stop, at_work, forget_stop, keep_streams, reason

__all__ = ["Group", "cli", "echo", "harmless_streams", "signals"]

INTERRUPTED = "interrupted; what was finished is kept: run the same command again to go on"
PATIENCE = 2.0
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hid it


class Group(click.Group):
    """Turns our errors into one line and their exit code, and an interruption into a line and 128 + its signal."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    """End the command with one line on stderr and an exit code, whatever went wrong on purpose or around us."""
    try:
        yield
    except StackclipError as error:
        layout = error if isinstance(error, UnknownLayout) else None
        _say(f"Error: {layout.line if layout else error}")
        for line in layout.trees.splitlines() if layout else ():
            echo(line, err=True)
        raise Exit(error.exit_code) from None
    except click.ClickException as error:
        raise _in_one_line(error) from None
    except KeyboardInterrupt as stop:
        _say(_interrupted(stop.during) if isinstance(stop, Stopped) else INTERRUPTED)
        raise Exit(stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT) from None
    except BrokenPipeError:  # who read our answer has gone, and wants no words
        _discard_output()
        raise Exit(1) from None
    except (OSError, MemoryError, RecursionError, UnicodeEncodeError) as error:
        logger.debug("what went wrong", exc_info=error)
        _say(f"Error: {_of_the_system(error)}")
        raise Exit(1) from None


def _say(line: str) -> None:
    """One line on stderr, also before it was settled how messages are shown."""
    if logger.handlers:
        logger.error("%s", line)
    else:
        click.echo(legible(line), err=True)


def _interrupted(during: str) -> str:
    return f"interrupted while {during}" if during else INTERRUPTED


def _of_the_system(error: BaseException) -> str:
    """What the machine could not do, with the file that it is about as far as that is known."""
    if isinstance(error, OSError):
        place = "a file without a name" if error.filename is None else error.filename
        return f"{place}: {error.strerror or reason(error)}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({reason(error)}); try smaller batches, or --resident off"
    return reason(error)


def _in_one_line(error: click.ClickException) -> click.ClickException:
    """An error of click's whose message is one harmless line that says where a wrong value comes from."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        return error  # it is the help
    line = legible(error.format_message())
    if (
        isinstance(error, click.BadParameter)
        and error.ctx
        and error.param
        and (place := place_of(error.ctx, error.param))
    ):
        line = f"{line} ({legible(place)})"
    if isinstance(error, click.UsageError):
        return click.UsageError(line, error.ctx)
    return click.ClickException(line)


def _discard_output() -> None:
    """Let what is still to be flushed at the end of the process go nowhere: it could only fail again."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:  # a test's stdout is no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end this process in order, without Python's own words, however often they come.

    The first is raised as KeyboardInterrupt, and what is encoded is sealed on the way out. Another one changes nothing
    for `PATIENCE` seconds (terminals and supervisors send several), and after that ends the process on the spot: what
    was acknowledged is on the disk. A signal that is ignored when the process starts (by nohup, or in the background
    of a shell) stays ignored.
    """
    first: Stopped | None = None
    since = 0.0
    forget_stop()

    def stop(number: int, frame: object) -> None:
        nonlocal first, since
        if first is None:
            first, since = ask_to_stop(128 + number), time.monotonic()
            raise first
        if time.monotonic() - since > PATIENCE:
            line = legible(_interrupted(at_work()))
            os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{line}\n".encode())
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


@contextmanager
def harmless_streams() -> Iterator[None]:
    """What a terminal cannot show is escaped; what cannot be written any more at the end is said, in one line."""
    if sys.stderr is None:  # the next file that is opened would be taken for it
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        sys.stderr.write("Error: stdout is closed, so no answer could be given\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    keep_streams()
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            _discard_output()
            if not isinstance(error, BrokenPipeError):
                sys.stderr.write(f"Error: stdout: {getattr(error, 'strerror', None) or error}\n")
            sys.exit(1)


def echo(text: object, *, err: bool = False) -> None:
    """Print one line that holds names from anywhere."""
    from stackclip.console import names_stdout

    with names_stdout():
        click.echo(legible(text), err=err)


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
    if context.invoked_subcommand is not None:
        from stackclip.terminal import set_up_logging

        context.call_on_close(set_up_logging(-1 if quiet else verbose, log_file))
        say_unknown_variables(context.command)
    typed = context.get_parameter_source("workspace") is not ParameterSource.DEFAULT_MAP
    context.obj = Workspace.find(workspace, typed=typed)
    use_workspace(context.obj.registry)
