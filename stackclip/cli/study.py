"""The verb that runs the questions of a file and writes down what was found: study."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import say_forecast, show_document, show_parts, write_document
from stackclip.cli.group import cli, echo
from stackclip.cli.options import FAILED_SOME, data_options, encode_options, live_options, pass_session, share_options
from stackclip.cli.parsing import given_here, places, several, specs, whole_numbers
from stackclip.cli.tower import tower_options
from stackclip.errors import StackclipError

if TYPE_CHECKING:
    from stackclip.papers.suites import Suite
    from stackclip.reports.study import StudyPage
    from stackclip.session import Session
    from stackclip.session.studying import Section

__all__ = ["study_verb"]

_OF_RUNS = ("methods", "train_on", "test_on", "seeds", "epochs")


def _folder(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """The folder, unless its name is that of one of the files that will be in it."""
    if value is not None and value.suffix in (".md", ".html") and not value.is_dir():
        raise click.BadParameter(f"{value} is named like a file: wanted a folder, for index.md and what it shows")
    return value


@cli.command("study")
@click.argument("studies", nargs=-1, required=True, metavar="FILE.toml|NAME...")
@click.option("--paper-tower", is_flag=True, help="Each table of a paper with its tower; open_clip may download.")
@several("--methods", callback=specs, help="In place of those of the file.")
@several("--train-on", callback=places, help="In place of those of the file.")
@several("--test-on", callback=places, help="In place of those of the file.")
@several("--seeds", callback=whole_numbers, help="In place of those of the file.")
@click.option("--epochs", type=click.IntRange(min=0), help="In place of those of the file.")
@data_options
@tower_options
@encode_options
@live_options
@share_options
@click.option(
    "--overwrite",
    type=click.Choice(["only-missing", "always", "never"]),
    default="only-missing",
    show_default=True,
    help="Compute missing cells, all cells, or none: the page is made of the rows that there are.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_folder,
    help="A folder for the page (index.md, with pictures index.html), its plots and all rows.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be encoded and computed, and how long that takes.")
@pass_session
def study_verb(
    session: Session,
    /,
    studies: tuple[str, ...],
    category: tuple[str, ...],
    output: Path | None,
    dry_run: bool,
    overwrite: Any,
    executor: str,
    shard: str | None,
    paper_tower: bool,
    **words: Any,
) -> None:
    """Run a study: questions in a TOML file, each with methods, data, seeds and how it is answered.

    A suite of a paper is such a file too. What is computed is kept cell by cell, so a study that was stopped goes on;
    run again, it computes nothing and makes its page anew.
    """
    from stackclip.papers.suites import find_suites

    suites = tuple(dict.fromkeys(each for name in studies for each in find_suites(name)))
    asked = {name: value for name, value in given_here(_OF_RUNS).items() if value is not None}
    lacks: list[str] = []
    how: dict[str, Any] = {"paper_tower": paper_tower, "categories": category, "shard": shard, "lacks": lacks}
    sections = session.sections(suites, writes=not dry_run, **how, **asked)
    if dry_run:
        _foretell(sections, overwrite)
        sys.exit(FAILED_SOME if lacks else 0)
    answered = [_answered(each, overwrite=overwrite, executor=executor) for each in sections]
    lacks += (f"{each.question.title}: nothing could be measured, as was said" for each in answered if not each.rows)
    answered = [section for section in answered if section.rows]
    if not answered:
        raise StackclipError(f"nothing of {', '.join(studies)} can run with what is at hand")
    written = _write(replace(_page(suites, answered), lacking=lacks), output) if output else True
    if lacks or not (written and all(section.rows.whole for section in answered)):
        sys.exit(FAILED_SOME)


def _foretell(sections: list[Section], overwrite: Any) -> None:
    for section in sections:
        echo(section.question.title)
        for forecast in section.benches.forecasts(overwrite):
            say_forecast(forecast)


def _answered(section: Section, **how: Any) -> Section:
    """A section that was run, and shown."""
    from stackclip.console import line, output, say
    from stackclip.reports.document import Document
    from stackclip.terminal import Bars

    with Bars.shown() as bars:
        found = section.answered(progress=bars, **how)
    if found.rows:
        question = found.question
        output.rule(line(question.title), align="left", style="dim")
        if question.asks:
            say(question.asks)
        if isinstance(question.told, Document):
            show_document(question.told, as_json=False)
        else:
            show_parts(question.told)
        if question.says:
            say(question.says)
    return found


def _page(suites: tuple[Suite, ...], sections: list[Section]) -> StudyPage:
    from stackclip.reports.study import StudyPage

    title = "; ".join(suite.title for suite in suites)
    remark = " ".join(suite.remark for suite in suites if suite.remark)
    return StudyPage(title, remark, [section.question for section in sections])


def _write(page: StudyPage, folder: Path) -> bool:
    """Write a page, its plots and its rows; False where rows cannot be written, which is said.

    Raises StackclipError where the page or a plot cannot be.
    """
    from stackclip.ops.files import write_atomically
    from stackclip.reports.plot import save

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in page.plots.items():
            save(draw, folder / f"{name}.png")
        write_atomically(folder / "index.md", page.markdown().encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise StackclipError(f"{error.filename or folder}: not written ({error.strerror})") from None
    written = write_document(page.every, [folder / "rows.jsonl"])
    written &= write_document(page.document, [folder / "index.html"])
    echo(f"the page is {folder / 'index.md'}")
    return written
