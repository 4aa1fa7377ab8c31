"""The verb for the pictures whose labels others keep: submission."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.inspecting import own_options
from stackclip.cli.options import FAILED_SOME, encode_options, live_options, logger, pass_session
from stackclip.cli.parsing import several
from stackclip.cli.tower import tower_options
from stackclip.defaults import GOOD_METHODS
from stackclip.ops.words import counted

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["submission_verb"]


@cli.command("submission")
@click.option("--method", default=GOOD_METHODS[0], show_default=True)
@several("--category", help="All by default, as the server wants them; the others, where a run was stopped.")
@click.option("--check", is_flag=True, help="Write nothing: check what lies in the folder of -o.")
@own_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="submission",
    show_default=True,
    help="A folder that is new, or has other categories: a file too many is refused.",
)
@tower_options
@encode_options
@live_options
@pass_session
def submission_verb(
    session: Session,
    /,
    method: str,
    category: tuple[str, ...],
    check: bool,
    seed: int,
    output: Path,
    **words: Any,
) -> None:
    """Write what the server of MVTec AD 2 takes: maps of the private pictures below --data-root, and check it.

    Good pictures of train/good are shown to the method, and set the threshold for the pictures of 0 and 255. The maps
    have the size of their pictures: some 40 GB before compression for all categories.
    """
    from stackclip.session import submitting
    from stackclip.terminal import Bars

    if not check:
        with Bars.shown() as bars:
            how = {"methods": (method,), "seeds": (seed,), "progress": bars}
            for line in submitting.submit(session, output, category, **how, **words):
                echo(line)
    problems = list(submitting.check(session, output))
    for problem in problems:
        logger.error("%s", problem)
    if problems:
        echo(f"{output}: {counted(len(problems), 'reason')} to refuse it")
        sys.exit(FAILED_SOME)
    echo(f"{output}: as the server wants it; pack it: tar -czf {output.name}.tar.gz -C {output.parent} {output.name}")
