"""The verb that says what the parts of a method are worth: ablate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import drawn_in, say_forecast, show_parts, write_each
from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    FAILED_SOME,
    condition_options,
    data_options,
    encode_options,
    kept_options,
    live_options,
    logger,
    options,
    pass_session,
    set_options,
    share_options,
)
from stackclip.cli.parsing import several, specs
from stackclip.cli.tower import tower_options

if TYPE_CHECKING:
    from stackclip.reports.parts_report import PartsReport
    from stackclip.session import Session

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
@set_options
@condition_options
@data_options
@tower_options
@encode_options
@live_options
@kept_options
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
    from stackclip.reports.columns import columns_named
    from stackclip.reports.parts_report import PartsReport
    from stackclip.session.together import Together
    from stackclip.terminal import Bars

    _check_files(output, plot)
    metrics = columns_named(columns)
    found, contest = session.ablation(method, categories=category, **words)
    benches = Together(session, [contest]).part(shard)
    if dry_run:
        for spec in found.methods:
            echo(spec, err=json)
        for forecast in benches.forecasts(overwrite):
            say_forecast(forecast, err=json)
        return
    how: dict[str, Any] = {"overwrite": overwrite, "cached_only": cached_only, "executor": executor}
    with Bars.shown() as bars:
        rows = benches.run(progress=bars, **how)
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


def _told(report: PartsReport, output: tuple[Path, ...], plot: Path | None, *, as_json: bool) -> bool:
    """Print the tables, write the files and draw the plot; False where something cannot be written, which is said."""
    from stackclip.console import say_text
    from stackclip.reports.parts_files import parts_written
    from stackclip.reports.parts_plot import plot_ablation

    if as_json:
        say_text(parts_written(report, ".jsonl"))
    else:
        show_parts(report)
    all_written = write_each(output, lambda path: parts_written(report, path.suffix))
    return drawn_in(plot, lambda path: plot_ablation(report, path)) and all_written
