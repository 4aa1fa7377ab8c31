"""The verb that says what the parts of a method are worth: ablate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import not_written, say_forecast, show_parts
from stackclip.cli.group import cli
from stackclip.cli.options import (
    COMMAS,
    FAILED_SOME,
    condition_options,
    data_options,
    encode_options,
    live_options,
    logger,
    options,
    pass_session,
    share_options,
)
from stackclip.cli.parsing import places, several, specs
from stackclip.cli.tower import tower_options
from stackclip.defaults import TESTED, TRAINING

if TYPE_CHECKING:
    from stackclip.papers.contests import Contest
    from stackclip.reports.parts_report import PartsReport
    from stackclip.session import BenchRows, Session

__all__ = ["ablate_verb"]

_answers = options(
    several("--columns", "--metrics-shown", callback=specs, help="Metrics; else one of pictures and one of pixels."),
    click.option(
        "-o",
        "--output",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the tables, several too: .csv, .html, .jsonl, .md or .tex.",
    ),
    click.option(
        "--plot",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw what each part is worth and where: .png, .svg or .pdf (needs matplotlib).",
    ),
    click.option("--json", is_flag=True, help="Print what each part is worth as JSON lines."),
)


@cli.command("ablate")
@click.argument("method")
@several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@several(
    "--test-on",
    callback=places,
    default=TESTED,
    show_default=True,
    help=f"Data sets; their test splits. NAME=PATH names one. {COMMAS}",
)
@condition_options
@data_options
@tower_options
@encode_options
@live_options
@click.option("--cached-only", is_flag=True, help="Refuse to encode: what is missing is an error.")
@click.option(
    "--overwrite",
    type=click.Choice(["only-missing", "always", "never"]),
    default="only-missing",
    show_default=True,
    help="Compute missing cells, all cells, or none.",
)
@share_options
@_answers
@click.option("--dry-run", is_flag=True, help="Say which methods are compared, and what would be computed.")
@pass_session
def ablate_verb(
    session: Session,
    /,
    method: str,
    category: tuple[str, ...],
    columns: tuple[str, ...],
    output: tuple[Path, ...],
    plot: Path | None,
    json: bool,
    dry_run: bool,
    cached_only: bool,
    overwrite: Any,
    executor: str,
    shard: str | None,
    **words: Any,
) -> None:
    """Say what each part of METHOD is worth, and on which categories.

    Its parts are taken away one by one, and added one by one to the method that has none of them. Which option takes a
    part away is said by the method (stackclip show METHOD). It is a bench: rows are kept, and a second run computes
    only what is missing.
    """
    from stackclip.ops.shards import Shard
    from stackclip.reports.columns import columns_named
    from stackclip.reports.parts_report import PartsReport
    from stackclip.session.jobs import sharded

    _check_files(output, plot)
    metrics = columns_named(columns)
    found, contest = session.ablation(method, categories=category, **words)
    contests = sharded([contest], Shard.parse(shard)) if shard else [contest]
    if dry_run:
        _say_plan(session, found.methods, contests, overwrite, json)
        return
    rows = _run(session, contests, overwrite=overwrite, cached_only=cached_only, executor=executor)
    if shard:
        logger.info("this was a part of the work: the tables are made by the same command without --shard")
    elif not _told(PartsReport(found, rows, metrics), output, plot, as_json=json):
        sys.exit(FAILED_SOME)
    if not rows.whole:
        sys.exit(FAILED_SOME)


def _check_files(output: tuple[Path, ...], plot: Path | None) -> None:
    """Raise UsageError for a file of another kind than is written, StackclipError for a plot that nothing can draw."""
    from stackclip.reports.parts_files import check_parts_output
    from stackclip.reports.plot import check_plot

    if plot:
        check_plot(plot)
    for path in output:
        check_parts_output(path)


def _say_plan(
    session: Session, methods: tuple[str, ...], contests: list[Contest], overwrite: Any, as_json: bool
) -> None:
    from stackclip.cli.group import echo

    for spec in methods:
        echo(spec, err=as_json)
    for forecast in filter(None, (session.forecast(contest, overwrite=overwrite) for contest in contests)):
        say_forecast(forecast, err=as_json)


def _run(session: Session, contests: list[Contest], **how: Any) -> BenchRows:
    from stackclip.session import BenchRows
    from stackclip.terminal import Bars

    rows = BenchRows()
    for contest in contests:
        with Bars.shown() as bars:
            rows += session.run(contest, progress=bars, **how)
    return rows


def _told(report: PartsReport, output: tuple[Path, ...], plot: Path | None, *, as_json: bool) -> bool:
    """Print the tables, write the files and draw the plot; False where something cannot be written, which is said."""
    from stackclip.console import say_text
    from stackclip.errors import StackclipError
    from stackclip.ops.files import write_atomically
    from stackclip.reports.parts_files import parts_written
    from stackclip.reports.parts_plot import plot_ablation

    if as_json:
        say_text(parts_written(report, ".jsonl"))
    else:
        show_parts(report)
    all_written = True
    for path in output:
        try:
            write_atomically(path, parts_written(report, path.suffix).encode("utf-8", "backslashreplace"))
        except (OSError, StackclipError) as error:
            all_written = not_written(path, error)
    try:
        if plot:
            plot_ablation(report, plot)
    except OSError as error:
        all_written = not_written(plot or Path(), error)
    return all_written
