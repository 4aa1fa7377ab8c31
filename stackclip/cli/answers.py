"""How verbs answer: tables on the terminal and in files, curves, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stackclip.cli.group import echo
from stackclip.cli.options import logger
from stackclip.errors import StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.papers.contests import Contest
    from stackclip.papers.suites import Suite
    from stackclip.reports.document import Document
    from stackclip.session import Forecast

__all__ = [
    "check_files",
    "check_plotted",
    "keep",
    "say_forecast",
    "show_document",
    "show_suite",
    "write_document",
]


def say_forecast(forecast: Forecast, *, err: bool = False) -> None:
    """Say what would be encoded and computed."""
    echo(forecast.encoding, err=err)
    if forecast.note:
        logger.info("note: %s", forecast.note)
    if forecast.computing:
        echo(forecast.computing, err=err)


def show_document(document: Document, *, as_json: bool) -> None:
    """Print the tables with the notes, or every cell as a line of JSON."""
    from stackclip.console import output, say_text
    from stackclip.reports.writers.jsonlines import JsonLines
    from stackclip.reports.writers.terminal import blocks

    if as_json:
        say_text(JsonLines().write(document))
        return
    for block in blocks(document):
        output.print(block.content, soft_wrap=block.soft_wrap)


def show_suite(suite: Suite | None, document: Document, *, as_json: bool) -> None:
    """Print the rows of a suite with what its paper prints beside them, and what it prints of what was not measured."""
    from stackclip.console import line, output, say
    from stackclip.reports.printed import printed_table

    if suite is None or as_json:
        show_document(document, as_json=as_json)
        return
    own = replace(document.published, lines=suite.published) if document.published else None
    output.rule(line(f"{suite.name}: {suite.title}"), align="left", style="dim")
    columns = document.metrics or suite.shows
    shown = replace(document, metrics=columns, published=own, over_shots=suite.over_shots)
    show_document(shown, as_json=False)
    if suite.remark:
        say(f"- {suite.remark}", "dim")
    if own and (others := own.unmatched(document.rows)):
        say(f"{suite.name}: printed in the paper, not measured here", "bold dim")
        output.print(printed_table(others, suite.shows))


def _show_curves(document: Document, plot: Path | None, axes: Sequence[str], *, as_json: bool) -> bool:
    """Say how steadily methods ended their training, where that was asked, and draw it into a file, or else a grid.

    False where that cannot be written, which is said.
    """
    from stackclip.benchmarks.curves import spread_notes
    from stackclip.console import say
    from stackclip.reports.heat_plot import plot_heat
    from stackclip.reports.plot import plot_curves
    from stackclip.reports.shot_plot import plot_shots

    for note in () if as_json else spread_notes(document.charts):
        say(f"- {note}", "dim")
    if plot is None:
        return True
    try:
        what = _drawn(document, axes)
        if what == "heat maps":
            plot_heat(document.heat_maps(axes), plot)
        elif what == "curves over shots":
            plot_shots(document.shot_curves, plot)
        else:
            plot_curves(document.charts, plot)
    except OSError as error:
        return _not_written(plot, error)
    logger.info("%s are drawn in %s", what, plot)
    return True


def _drawn(document: Document, axes: Sequence[str]) -> str:
    """What a plot shows: a grid where axes are named, and where there are no curves."""
    if axes or (not (document.over_shots or document.charts) and document.heat_maps()):
        return "heat maps"
    return "curves over shots" if document.over_shots else "training curves"


def keep(document: Document, outputs: Sequence[Path], plot: Path | None, axes: Sequence[str], *, as_json: bool) -> bool:
    """Write the files, say how trainings ended and draw them, or a grid; False where something cannot be written."""
    all_written = write_document(document, outputs)
    return _show_curves(document, plot, axes, as_json=as_json) and all_written


def check_plotted(contests: Sequence[Contest], plot: Path | None, axes: Sequence[str], *, over_shots: bool) -> None:
    """Raise UsageError for a plot of what no bench will have: training curves, or a grid over these axes."""
    from stackclip.reports.heat import check_axes
    from stackclip.reports.sweeps import grids_among

    methods = [method for contest in contests for method in contest.plan.resolved]
    if plot is None or not contests:
        return
    check_axes(methods, axes)
    curves = over_shots or any(contest.plan.eval_every for contest in contests)
    if not curves and not any(grids_among(methods)):
        raise UsageError(
            "--plot draws training curves or a grid, and neither is asked for: add --eval-every epoch, or name "
            "a method with several values of an option, stacked[clusters=1|2|3]"
        )


def check_files(outputs: Sequence[Path], plot: Path | None = None, axes: Sequence[str] = ()) -> None:
    """Raise UsageError for a file of another kind than is written, and for axes of no plot.

    Raises StackclipError for a plot that nothing can draw.
    """
    from stackclip.reports.plot import check_plot
    from stackclip.reports.writers import check_output

    if axes and plot is None:
        raise UsageError(f"--axes {','.join(axes)} are those of a plot: add --plot grid.png")
    if plot:
        check_plot(plot)
    for path in outputs:
        check_output(path)


def write_document(document: Document, outputs: Sequence[Path]) -> bool:
    """Write the files, each whatever becomes of the others; False where one cannot be written, which is said."""
    from stackclip.ops.files import write_atomically
    from stackclip.reports.writers import written

    all_written = True
    for path in outputs:
        try:
            made = written(document, path.suffix)
            write_atomically(path, made.encode("utf-8", "backslashreplace") if isinstance(made, str) else made)
        except (OSError, StackclipError) as error:
            all_written = _not_written(path, error)
    return all_written


def _not_written(path: Path, error: Exception) -> Literal[False]:
    from stackclip.ops.words import legible

    logger.error("%s", legible(f"{path}: not written ({getattr(error, 'strerror', None) or error})"))
    return False
