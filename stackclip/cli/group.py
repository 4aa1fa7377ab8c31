"""The command group: our errors as one line and their exit code, interruptions as 128 and their signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.exceptions import Exit

from stackclip.cli.config import check_hub_variables, place_of, read_config, say_unknown_variables
from stackclip.cli.options import logger
from stackclip.cli.process import discard_output, interruption
from stackclip.errors import StackclipError, UnknownLayout
from stackclip.ops.words import legible
from stackclip.registry import Stopped, reason
from stackclip.version import VERSION

__all__ = ["Group", "cli", "echo"]


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
        _say(interruption(stop.during if isinstance(stop, Stopped) else ""))
        raise Exit(stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT) from None
    except BrokenPipeError:  # who read our answer has gone, and wants no words
        discard_output()
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


def echo(text: object, *, err: bool = False) -> None:
    """Print one line that holds names from anywhere."""
    from stackclip.console import names_stdout

    with names_stdout():
        click.echo(legible(text), err=err)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(VERSION)
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
        check_hub_variables()
    typed = context.get_parameter_source("workspace") is not ParameterSource.DEFAULT_MAP
    context.obj = Workspace.find(workspace, typed=typed)
    use_workspace(context.obj.registry)
