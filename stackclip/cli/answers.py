"""How verbs answer: tables on the terminal and in files, curves, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stackclip.cli.group import echo
from stackclip.cli.options import logger
from stackclip.errors import StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.papers.contests import Contest
    from stackclip.papers.suites import Suite
    from stackclip.reports.document import Document
    from stackclip.reports.parts_report import PartsReport
    from stackclip.session import Forecast
    from stackclip.session.selecting import SelectionForecast

__all__ = [
    "Judged",
    "check_files",
    "check_plotted",
    "drawn_in",
    "keep",
    "say_forecast",
    "show_document",
    "show_parts",
    "show_suite",
    "write_document",
    "write_each",
]


def say_forecast(forecast: Forecast | SelectionForecast, *, err: bool = False) -> None:
    """Say what would be encoded and computed."""
    echo(forecast.encoding, err=err)
    if forecast.note:
        logger.info("note: %s", forecast.note)
    if forecast.computing:
        echo(forecast.computing, err=err)
    if forecast.time:
        echo(forecast.time, err=err)


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


def show_parts(report: PartsReport) -> None:
    """Print what parts of a method are worth, and what has to be said of it."""
    from stackclip.console import output, say
    from stackclip.reports.parts_files import parts_shown

    for table in parts_shown(report):
        output.print(table)
        output.print()
    for note in report.notes:
        say(f"- {note}", "dim", soft_wrap=True)


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

    for note in () if as_json else spread_notes(document.charts):
        say(f"- {note}", "dim")
    what = _drawn(document, axes) if plot else ""
    done = drawn_in(plot, lambda path: _plot(document, what, path, axes))
    if plot and done:
        logger.info("%s are drawn in %s", what, plot)
    return done


def _plot(document: Document, what: str, path: Path, axes: Sequence[str]) -> None:
    from stackclip.reports.heat_plot import plot_heat
    from stackclip.reports.plot import plot_curves
    from stackclip.reports.shot_plot import plot_shots
    from stackclip.reports.transfer_plot import plot_transfer

    if document.transfer:
        plot_transfer(document.transfers, path)
    elif what == "heat maps":
        plot_heat(document.heat_maps(axes), path)
    elif what == "curves over shots":
        plot_shots(document.shot_curves, path)
    else:
        plot_curves(document.charts, path)


def _drawn(document: Document, axes: Sequence[str]) -> str:
    """What a plot shows: a grid where axes are named, and where there are no curves."""
    if document.transfer or axes or (not (document.over_shots or document.charts) and document.heat_maps()):
        return "heat maps"
    return "curves over shots" if document.over_shots else "training curves"


@dataclass(frozen=True, slots=True)
class Judged:
    """What was typed of intervals, tests and ranks: the words of a document, whether draws are wanted, and a file."""

    look: Mapping[str, Any]
    draws: bool = False
    ranks: Path | None = None

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Judged:
        """The words as they were typed. Raises UsageError for one that means nothing beside the others."""
        shown, ranks = words["ci"] or words["ci_over"] is not None, words["ranks"]
        if words["correction"] is not None and not shown:
            raise UsageError("--correction is of the tests of --ci, which is not asked for: add --ci")
        if not ranks and (words["ranks_over"] or words["ranks_test"]):
            raise UsageError(
                "--ranks-over and --ranks-test are of --ranks, which is not asked for: add --ranks FILE.png"
            )
        look: dict[str, Any] = {"ci": shown}
        look |= {name: words[name] for name in ("ci_over", "correction") if words[name]}
        if words["power"] is not None:
            from stackclip.studies.power import effect_of

            look["power"] = effect_of(words["power"])
        if ranks:
            from stackclip.studies.ranks import RankQuestion

            asked = {name: words[f"ranks_{name}"] for name in ("over", "test") if words[f"ranks_{name}"]}
            look["ranks"] = RankQuestion(**asked)
        return cls(look, words["ci"] or words["ci_over"] == "pictures", ranks)


def keep(
    document: Document,
    outputs: Sequence[Path],
    plot: Path | None,
    axes: Sequence[str] = (),
    ranks: Path | None = None,
    *,
    as_json: bool,
) -> bool:
    """Write the files, say how trainings ended, draw them or a grid, and ranks; False where one cannot be written."""
    all_written = write_document(document, outputs)
    all_written &= _show_curves(document, plot, axes, as_json=as_json)
    return _draw_ranks(document, ranks) and all_written


def _draw_ranks(document: Document, path: Path | None) -> bool:
    from stackclip.reports.rank_plot import plot_ranks

    done = drawn_in(path, lambda path: plot_ranks(document.rankings, path))
    if path and done:
        logger.info("mean ranks are drawn in %s", path)
    return done


def check_plotted(contests: Sequence[Contest], plot: Path | None, axes: Sequence[str], *, curves: bool) -> None:
    """Raise UsageError for a plot of what no bench will have: training curves, or a grid over these axes."""
    from stackclip.reports.heat import check_axes
    from stackclip.reports.sweeps import grids_by_name

    methods = [method for contest in contests for method in contest.plan.resolved]
    if plot is None or not contests:
        return
    check_axes(methods, axes)
    curves |= any(contest.plan.eval_every for contest in contests)
    if not curves and not any(grids_by_name(methods)):
        raise UsageError(
            "--plot draws training curves or a grid, and neither is asked for: add --eval-every epoch, or name "
            "a method with several values of an option, stacked[clusters=1|2|3]"
        )


def check_files(
    outputs: Sequence[Path], plot: Path | None = None, axes: Sequence[str] = (), ranks: Path | None = None
) -> None:
    """Raise UsageError for a file of another kind than is written, and for axes of no plot.

    Raises StackclipError for a plot that nothing can draw.
    """
    from stackclip.reports.plot import check_plot
    from stackclip.reports.writers import check_output

    if axes and plot is None:
        raise UsageError(f"--axes {','.join(axes)} are those of a plot: add --plot grid.png")
    for path, option in ((plot, "--plot"), (ranks, "--ranks")):
        if path:
            check_plot(path, option)
    for path in outputs:
        check_output(path)


def write_document(document: Document, outputs: Sequence[Path]) -> bool:
    """Write the files of a document, as `write_each`."""
    from stackclip.reports.writers import written

    return write_each(outputs, lambda path: written(document, path.suffix))


def write_each(outputs: Sequence[Path], made: Callable[[Path], str | bytes]) -> bool:
    """Write files, each whatever becomes of the others; False where one cannot be written, which is said."""
    from stackclip.ops.files import write_atomically

    all_written = True
    for path in outputs:
        try:
            content = made(path)
            write_atomically(path, content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        except (OSError, StackclipError) as error:
            all_written = _not_written(path, error)
    return all_written


def drawn_in(path: Path | None, draw: Callable[[Path], None]) -> bool:
    """Have a plot drawn into a file, if one is asked for; False where it cannot be written, which is said."""
    try:
        if path is not None:
            draw(path)
    except OSError as error:
        return _not_written(path or Path(), error)
    return True


def _not_written(path: Path, error: Exception) -> Literal[False]:
    """Say that a file was not written, and why."""
    from stackclip.ops.words import legible

    logger.error("%s", legible(f"{path}: not written ({getattr(error, 'strerror', None) or error})"))
    return False
