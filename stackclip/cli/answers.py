"""How verbs answer: tables on the terminal and in files, curves, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stackclip.cli.group import echo
from stackclip.cli.options import logger
from stackclip.errors import StackclipError

if TYPE_CHECKING:
    from stackclip.papers.suites import Suite
    from stackclip.reports.document import Document
    from stackclip.session import Forecast

__all__ = [
    "check_files",
    "keep",
    "not_written",
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


def _show_curves(document: Document, plot: Path | None, *, as_json: bool) -> bool:
    """Say how steadily methods ended their training, where that was asked, and draw it into a file.

    False where that cannot be written, which is said.
    """
    from stackclip.benchmarks.curves import spread_notes
    from stackclip.console import say
    from stackclip.reports.plot import plot_curves
    from stackclip.reports.shot_plot import plot_shots

    for note in () if as_json else spread_notes(document.charts):
        say(f"- {note}", "dim")
    if plot is None:
        return True
    try:
        if document.over_shots:
            plot_shots(document.shot_curves, plot)
        else:
            plot_curves(document.charts, plot)
    except OSError as error:
        return not_written(plot, error)
    logger.info("%s are drawn in %s", "curves over shots" if document.over_shots else "training curves", plot)
    return True


def keep(document: Document, outputs: Sequence[Path], plot: Path | None, *, as_json: bool) -> bool:
    """Write the files, say how trainings ended and draw the curves; False where something cannot be written."""
    all_written = write_document(document, outputs)
    return _show_curves(document, plot, as_json=as_json) and all_written


def check_files(outputs: Sequence[Path], plot: Path | None = None) -> None:
    """Raise UsageError for a file of another kind than is written, StackclipError for a plot that nothing can draw."""
    from stackclip.reports.plot import check_plot
    from stackclip.reports.writers import check_output

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
            all_written = not_written(path, error)
    return all_written


def not_written(path: Path, error: Exception) -> Literal[False]:
    """Say that a file was not written, and why."""
    from stackclip.ops.words import legible

    logger.error("%s", legible(f"{path}: not written ({getattr(error, 'strerror', None) or error})"))
    return False
