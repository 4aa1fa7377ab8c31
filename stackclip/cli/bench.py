"""The verb that compares methods: bench."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import Judged, check_files, keep, say_forecast, show_suite
from stackclip.cli.group import cli
from stackclip.cli.options import (
    FAILED_SOME,
    answer_options,
    condition_options,
    data_options,
    encode_options,
    kept_options,
    live_options,
    logger,
    pass_session,
    set_options,
    share_options,
)
from stackclip.cli.parsing import places, several, specs
from stackclip.cli.recall import recalls
from stackclip.cli.selecting import selection_options
from stackclip.cli.tower import tower_options
from stackclip.cli.typed_benches import typed_benches
from stackclip.defaults import MOST_POINTS, PROMPT_METHODS
from stackclip.errors import StackclipError

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["bench_verb"]


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
@set_options
@several(
    "--transfer",
    callback=places,
    help="In place of both: each set trains methods that are tested on the others, and all others teach for each.",
)
@condition_options
@selection_options
@data_options
@tower_options
@encode_options
@live_options
@click.option(
    "--prompt-jitter",
    type=click.IntRange(1),
    metavar="N",
    help="Measure in N draws of equivalent words too, and show how far words alone move methods.",
)
@kept_options
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
    transfer: tuple[str, ...],
    prompt_jitter: int | None,
    judged: Judged,
    **words: Any,
) -> Iterable[Path] | None:
    """Train methods on one data set, test them on others, and print the table.

    A cell is a method, a tested category and a seed; it is kept when it is done, and a second run does only what is
    missing. `--category` restricts the tested data sets.

    `--suite` takes methods and data sets from tables of papers (see: stackclip list suites), and runs what the data
    and methods at hand allow. What is typed beside it holds: other methods, data sets, seeds, epochs ...

    `--select` takes one point of each grid, a name with values between |, by what is learned without a part of the
    training sets: it is trained on all of them and tested once.
    """
    from stackclip.papers.contests import printed_beside
    from stackclip.papers.suites import find_suites
    from stackclip.reports.columns import columns_named
    from stackclip.reports.document import Document
    from stackclip.session import BenchRows, distinct

    check_files(output, plot, axes, judged.ranks)
    words["ci"] = judged.draws
    session.check_trackers(trackers)
    metrics = columns_named(columns)
    suites = tuple(dict.fromkeys(each for name in suite for each in find_suites(name)))
    also: dict[str, Any] = {"writes": not dry_run, "shard": shard, "plot": plot}
    benches = typed_benches(session, suites, transfer, prompt_jitter or 0, **also, **words).part(shard)
    if shard and not benches.contests:
        logger.info("nothing to do: this shard has no part of the work")
        return None
    benches.check_plot(plot, axes)
    if dry_run:
        for forecast in benches.forecasts(overwrite):
            say_forecast(forecast, err=json)
        return None
    printed = printed_beside(benches.contests, suites) if suites or published else None
    look: dict[str, Any] = {"per_category": per_category, "metrics": metrics, "published": printed}
    look |= {"per_defect": words["per_defect"], "transfer": benches.between, **judged.look}
    rows = BenchRows()
    how: dict[str, Any] = {"cached_only": cached_only, "executor": executor, "overwrite": overwrite}
    for each, measured in benches.run(trackers=trackers, **how):
        if measured:
            show_suite(
                each, Document(distinct(measured), **look, find=measured.find, known=measured.known), as_json=json
            )
        rows += measured
    if not rows:
        raise StackclipError(f"nothing of {', '.join(suite)} can run with what is at hand")
    document = Document(distinct(rows), **look, over_shots=benches.over_shots, find=rows.find, known=rows.known)
    if not (keep(document, output, plot, axes, judged.ranks, as_json=json) and rows.whole):
        sys.exit(FAILED_SOME)
    texts = {text for each in benches.contests for text in each.texts.values()}
    wanting = bool(suites) or not {*words["test_on"]} <= texts
    again = not (rows.computed or output or plot or judged.ranks or wanting or overwrite == "always")
    return benches.grounds(trackers) if again else None
