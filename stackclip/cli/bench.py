"""The verb that compares methods: bench."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import check_files, check_plotted, keep, say_forecast, show_suite
from stackclip.cli.group import cli
from stackclip.cli.options import (
    COMMAS,
    FAILED_SOME,
    answer_options,
    condition_options,
    data_options,
    encode_options,
    live_options,
    logger,
    pass_session,
    share_options,
)
from stackclip.cli.parsing import given_here, places, several, specs
from stackclip.cli.recall import recalls
from stackclip.cli.tower import tower_options
from stackclip.defaults import MOST_POINTS, PROMPT_METHODS, TESTED, TRAINING
from stackclip.errors import StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.papers.contests import Contest
    from stackclip.papers.suites import Suite
    from stackclip.session import BenchRows, Session

__all__ = ["bench_verb"]

_OF_RUNS = ("methods", "train_on", "test_on", "shots", "seeds", "epochs", "batch_size", "train_shots", "eval_every")


@cli.command("bench")
@several("--suite", callback=specs, help="Tables of papers in place of methods and data sets.")
@click.option(
    "--paper-tower", is_flag=True, help="Each table of --suite with its paper's tower; open_clip may download."
)
@several("--methods", callback=specs, default=",".join(PROMPT_METHODS), show_default=True)
@click.option(
    "--most-points",
    type=click.IntRange(1),
    default=MOST_POINTS,
    show_default=True,
    help="How many methods one name with values between | may stand for.",
)
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
@several("--tracker", "trackers", callback=specs, help="Tell of rows too: mlflow[uri=mlruns], tensorboard, wandb.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure; else it is a row.")
@click.option("--published", is_flag=True, help="What papers print beside what was measured; always so with --suite.")
@answer_options
@click.option("--dry-run", is_flag=True, help="Say what would be encoded and which cells are missing.")
@recalls
@pass_session
def bench_verb(
    session: Session,
    /,
    suite: tuple[str, ...],
    published: bool,
    per_category: bool,
    columns: tuple[str, ...],
    output: tuple[Path, ...],
    plot: Path | None,
    axes: tuple[str, ...],
    json: bool,
    dry_run: bool,
    cached_only: bool,
    overwrite: Any,
    executor: str,
    shard: str | None,
    trackers: tuple[str, ...],
    **words: Any,
) -> Iterable[Path] | None:
    """Train methods on one data set, test them on others, and print the table.

    A cell is a method, a tested category and a seed; it is kept when it is done, and a second run does only what is
    missing. `--category` restricts the tested data sets.

    `--suite` takes methods and data sets from tables of papers (see: stackclip list suites), and runs what the data
    and methods at hand allow. What is typed beside it holds: other methods, data sets, seeds, epochs ...
    """
    from stackclip.ops.shards import Shard
    from stackclip.papers.contests import printed_beside
    from stackclip.papers.suites import find_suites
    from stackclip.reports.columns import columns_named
    from stackclip.reports.document import Document
    from stackclip.session import BenchRows, distinct
    from stackclip.session.jobs import sharded

    check_files(output, plot, axes)
    session.check_trackers(trackers)
    metrics = columns_named(columns)
    suites = tuple(dict.fromkeys(each for name in suite for each in find_suites(name)))
    contests = _contests(session, suites, **words)
    if shard and contests and not (contests := sharded(contests, Shard.parse(shard))):
        logger.info("nothing to do: this shard has no part of the work")
        return None
    over_shots = bool(suites) and all(each.over_shots for each in suites)
    check_plotted(contests, plot, axes, over_shots=over_shots)
    if dry_run:
        for forecast in filter(None, (session.forecast(contest, overwrite=overwrite) for contest in contests)):
            say_forecast(forecast, err=json)
        return None
    printed = printed_beside(contests, suites) if suites or published else None
    look: dict[str, Any] = {"per_category": per_category, "metrics": metrics, "published": printed}
    look |= {name: words[name] for name in ("ci", "per_defect")}
    rows = BenchRows()
    for each, group in groupby(contests, key=attrgetter("suite")):
        how: dict[str, Any] = {"cached_only": cached_only, "executor": executor, "trackers": trackers}
        measured = _run(session, group, overwrite=overwrite, **how)
        if measured:
            show_suite(each, Document(measured, **look, find=measured.find), as_json=json)
        rows += measured
    if not rows:
        raise StackclipError(f"nothing of {', '.join(suite)} can run with what is at hand")
    document = Document(distinct(rows), **look, over_shots=over_shots, find=rows.find)
    if not (keep(document, output, plot, axes, as_json=json) and rows.whole):
        sys.exit(FAILED_SOME)
    wanting = bool(suites) or not {*words["test_on"]} <= {text for each in contests for text in each.texts.values()}
    again = not (rows.computed or output or plot or wanting or overwrite == "always")
    return _grounds(session, contests, trackers) if again else None


def _grounds(session: Session, contests: Iterable[Contest], trackers: Sequence[str]) -> Iterable[Path] | None:
    """What rows that were there already rest on, and what trackers were told of them."""
    told = [session.workspace.told] if trackers else []
    every = [session.grounds((*each.plan.train_on, *each.plan.test_on), each.tower) for each in contests]
    return None if None in every else [*told, *(path for paths in every if paths for path in paths)]


def _contests(
    session: Session, suites: Sequence[Suite], *, paper_tower: bool, category: Any, most_points: int, **words: Any
) -> list[Contest]:
    """The benches that were typed: one, or those of suites with what was typed beside them."""
    if not suites:
        if paper_tower:
            raise UsageError("--paper-tower is the tower of a --suite: name one, or the tower with --backbone")
        return [session.contest(words.pop("methods"), categories=category, most_points=most_points, **words)]
    if paper_tower and given_here(("backbone",)):
        raise UsageError("--paper-tower and --backbone name two towers: leave out one of them")
    conditions = {name: value for name, value in words.items() if name not in _OF_RUNS}
    own_tower = given_here(("pretrained", "image_size"))
    tower: Mapping[str, Any] = {"paper_tower": paper_tower, "own_tower": own_tower}
    conditions |= given_here(_OF_RUNS)
    return session.suite_contests(suites, categories=category, most_points=most_points, **tower, **conditions)


def _run(session: Session, contests: Iterable[Contest], **how: Any) -> BenchRows:
    from stackclip.session import BenchRows
    from stackclip.terminal import Bars

    rows = BenchRows()
    for contest in contests:
        with Bars.shown() as bars:
            rows += session.run(contest, progress=bars, **how)
    return rows
