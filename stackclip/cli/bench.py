"""The verbs about methods and their tables: bench, report, demo."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    COMMAS,
    DEFAULT_BACKBONE,
    FAILED_SOME,
    PROMPT_METHODS,
    TESTED,
    TRAINING,
    ci_option,
    curve_interval,
    data_options,
    encode_options,
    numbers,
    places,
    plot_option,
    resident_option,
    several,
    specs,
    tower_options,
)
from stackclip.cli.steps import (
    check_suffixes,
    check_words,
    encode,
    left_out,
    load_tower_of,
    missing_parts,
    named_in_rows,
    open_bench,
    open_datasets,
    program,
    run_bench,
    say_cells,
    say_plan,
    show_curves,
    show_document,
    store_of,
    write_document,
)
from stackclip.cli.suites import AtHand, Job, beside, fitting, jobs_of, one_of_each, say_lacking, show_suite, typed
from stackclip.errors import CategoryOverlap, StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.benchmarks.curves import EvalEvery
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.training.residency import Resident
    from stackclip.types import Row
    from stackclip.workspace import Workspace

__all__ = ["bench", "demo", "report"]

DEMO_METHODS = ("precise", "fuzzy", "stacked", "stackclip", "stackclip[clusters=3]", "april-gan", "sdp", "clip")


@cli.command()
@several("--suite", callback=specs, help="Tables of papers in place of methods and data sets.")
@click.option(
    "--paper-tower", is_flag=True, help="Each table of --suite with its paper's tower; open_clip may download."
)
@several("--methods", callback=specs, default=PROMPT_METHODS, show_default=True)
@several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@several(
    "--test-on",
    callback=places,
    default=TESTED,
    show_default=True,
    help=f"Data sets; their test splits. NAME=PATH names one. {COMMAS}",
)
@click.option("--shots", type=click.IntRange(min=0), default=0, show_default=True, help="Normal pictures a category.")
@several("--seeds", callback=numbers, default="0", show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Pictures a step, for all; else each has its paper's.")
@click.option("--class-names", help="raw, spaced, natural or FILE.json, for all methods; else each has its own.")
@click.option(
    "--metrics",
    type=click.Choice(["auto", "exact", "streamed"]),
    default="auto",
    show_default=True,
    help="Pixel metrics from all scores, or binned with a bound of the error; auto bins large categories.",
)
@click.option(
    "--eval-every",
    metavar="N|epoch",
    callback=curve_interval,
    help="Training curves: test after every N optimiser steps too; nothing is selected by it.",
)
@click.option("--executor", default="serial", show_default=True, help="What runs the seeds.")
@click.option("--allow-overlap", is_flag=True, help="Test on categories that were trained on (not zero-shot).")
@data_options
@tower_options
@encode_options
@resident_option
@click.option("--cached-only", is_flag=True, help="Refuse to encode: what is missing is an error.")
@click.option(
    "--overwrite",
    type=click.Choice(["only-missing", "always", "never"]),
    default="only-missing",
    show_default=True,
    help="Compute missing cells, all cells, or none.",
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure; else it is a row.")
@click.option("--published", is_flag=True, help="What papers print beside what was measured; always so with --suite.")
@click.option("--per-category", is_flag=True, help="A line for every category.")
@click.option(
    "-o",
    "--output",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the table: .csv, .jsonl, .md, .tex or .txt; may be given several times.",
)
@ci_option
@plot_option
@click.option("--json", is_flag=True, help="Print rows as JSON lines instead of a table.")
@click.option("--dry-run", is_flag=True, help="Say what would be encoded and which cells are missing.")
@click.pass_obj
def bench(
    workspace: Workspace,
    /,
    suite: tuple[str, ...],
    paper_tower: bool,
    methods: tuple[str, ...],
    train_on: tuple[str, ...],
    test_on: tuple[str, ...],
    data_root: Path | None,
    category: tuple[str, ...],
    shots: int,
    seeds: tuple[int, ...],
    epochs: int | None,
    batch_size: int | None,
    class_names: str | None,
    metrics: str,
    eval_every: EvalEvery | None,
    executor: str,
    allow_overlap: bool,
    encode_batch_size: int,
    num_workers: int,
    resident: Resident,
    cached_only: bool,
    overwrite: Overwrite,
    fail_fast: bool,
    published: bool,
    per_category: bool,
    output: tuple[Path, ...],
    ci: bool,
    plot: Path | None,
    json: bool,
    dry_run: bool,
    **tower_arguments: Any,
) -> None:
    """Train methods on one data set, test them on others, and print the table.

    A cell is a method, a tested category and a seed; it is kept when it is done, and a second run does only what is
    missing. `--category` restricts the tested data sets.

    `--suite` takes methods and data sets from tables of papers (see: stackclip list suites), and runs what the data
    and methods at hand allow. What is typed beside it holds: other methods, data sets, seeds, epochs ...
    """
    from stackclip.benchmarks.entrant import entrants_of, needed
    from stackclip.benchmarks.plan import Plan, check_plan, resolved
    from stackclip.papers.suites import find_suites
    from stackclip.reports.document import Document

    check_suffixes(output, plot)
    check_words(executor, class_names)
    of_plan: dict[str, Any] = {
        "class_names": class_names,
        "allow_overlap": allow_overlap,
        "fail_fast": fail_fast,
        "executor": executor,
        "metrics": metrics,
        "ci": ci,
    }
    suites = tuple(dict.fromkeys(each for name in suite for each in find_suites(name)))
    at_hand = AtHand(workspace, data_root)
    if paper_tower and not suites:
        raise UsageError("--paper-tower is the tower of a --suite: name one, or the tower with --backbone")
    if suites:
        asked = typed(("methods", "train_on", "test_on", "shots", "seeds", "epochs", "batch_size", "eval_every"))
        at_hand.methods |= resolved(asked.get("methods", ()))
        words = {"asked": asked, "category": category, "tower": tower_arguments, **of_plan}
        jobs = jobs_of(suites, at_hand, paper_tower=paper_tower, **words)
    else:
        plan = Plan(
            methods=methods,
            resolved=resolved(methods),  # a wrong name is said before data sets are opened
            train_on=open_datasets(workspace, train_on, data_root, ()),
            test_on=open_datasets(workspace, test_on, data_root, category),
            seeds=seeds,
            shots=shots,
            epochs=epochs,
            batch_size=batch_size,
            eval_every=eval_every,
            **of_plan,
        )
        check_plan(plan)
        jobs = [Job(plan, tower_arguments)]
        at_hand.texts += [*train_on, *test_on]
    if plot and jobs and not any(job.plan.eval_every for job in jobs):
        raise UsageError("--plot draws training curves, and none is asked for: add --eval-every epoch")
    lookup = beside(suites, jobs) if suites or published else None
    rows: list[Row] = []
    failed = False
    for each, group in groupby(jobs, key=attrgetter("suite")):
        measured: list[Row] = []
        for job in group:
            try:
                tower = at_hand.tower(job.tower)
                plan, entrants = job.plan, entrants_of(job.plan, tower.spec)
                if each is not None:
                    plan, entrants = fitting(plan, entrants, each.name)
                samples, parts = needed(plan, entrants)
            except StackclipError as error:
                if each is None:
                    raise
                say_lacking({str(error): [each.name]})
                continue
            if dry_run:
                say_plan(workspace, tower, samples, parts, err=json)
                say_cells(workspace, plan, tower, entrants, again=overwrite == "always", err=json)
                continue
            store = store_of(workspace, tower)
            lacking = () if overwrite == "never" else store.lacking(samples, parts)
            store.keep_readings()
            if lacking:
                if cached_only:
                    texts = at_hand.texts
                    raise missing_parts(entrants, lacking, tower=job.tower, texts=texts, data_root=data_root)
                failed |= bool(
                    encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=False, store=store)
                )
            try:
                outcome = run_bench(
                    workspace, plan, tower, entrants, overwrite=overwrite, resident=resident, store=store
                )
            except CategoryOverlap as error:
                if each is None:
                    raise
                say_lacking({str(error): [each.name]})
                continue
            measured += outcome.rows
            failed |= bool(outcome.unkept)
        if measured:
            show_suite(each, measured, lookup, per_category=per_category, as_json=json, ci=ci)
        rows += measured
    if dry_run:
        return
    if not rows:
        raise StackclipError(f"nothing of {', '.join(suite)} can run with what is at hand")
    rows = one_of_each(rows)
    document = Document(rows, per_category=per_category, published=lookup, ci=ci)
    failed |= not write_document(document, output)
    failed |= not show_curves(document, plot, as_json=json)
    if failed or any(row.error for row in rows) or any(left_out(row) for row in rows):
        sys.exit(FAILED_SOME)


@cli.command()
@several("--methods", callback=specs, help="Only these.")
@several("--train-on", callback=places, help="Only rows trained on these.")
@several("--test-on", callback=places, help="Only rows tested on these.")
@several("--seeds", callback=numbers, help="Only these.")
@click.option("--published", is_flag=True, help="What papers print beside what was measured.")
@click.option("--per-category", is_flag=True)
@click.option("-o", "--output", multiple=True, type=click.Path(path_type=Path, dir_okay=False))
@ci_option
@plot_option
@click.option("--json", is_flag=True)
@click.pass_obj
def report(
    workspace: Workspace,
    /,
    methods: tuple[str, ...],
    train_on: tuple[str, ...],
    test_on: tuple[str, ...],
    seeds: tuple[int, ...] | None,
    published: bool,
    per_category: bool,
    output: tuple[Path, ...],
    ci: bool,
    plot: Path | None,
    json: bool,
) -> None:
    """Print tables of the rows that earlier benches kept; nothing is computed."""
    from stackclip.benchmarks.rows import RowFolder
    from stackclip.benchmarks.sets import reported, standing
    from stackclip.papers.published import Lookup
    from stackclip.registry import Spec
    from stackclip.reports.document import Document

    check_suffixes(output, plot)
    wanted = {str(Spec.parse(method)): place for place, method in enumerate(methods)}
    every = reported(RowFolder(workspace.rows).entries())
    trained = named_in_rows("trained", train_on, (name for row in every for name in row.train_on))
    tested = named_in_rows("tested", test_on, (row.test_on for row in every))
    rows = [
        row
        for row in every
        if (not wanted or row.method in wanted)
        and (not train_on or set(row.train_on) == set(trained))
        and (not test_on or row.test_on in tested)
        and (seeds is None or row.seed in seeds)
    ]
    rows.sort(key=lambda row: (row.train_on, row.test_on, row.shots, standing(row), row.method, row.category, row.seed))
    rows.sort(key=lambda row: wanted.get(row.method, 0))  # in the order typed
    if not rows:
        raise StackclipError(f"no row in {workspace.rows} fits; see: stackclip bench --help")
    document = Document(rows, per_category=per_category, published=Lookup() if published else None, ci=ci)
    show_document(document, as_json=json)
    kept = write_document(document, output)
    if not (show_curves(document, plot, as_json=json) and kept):
        sys.exit(FAILED_SOME)


@cli.command()
@click.pass_obj
def demo(workspace: Workspace, /) -> None:
    """A first run on any machine: generate pictures, cache their features, bench methods, show what they see."""
    from stackclip.benchmarks.entrant import entrants_of, needed
    from stackclip.benchmarks.plan import Plan
    from stackclip.inspection.predictions import draw_sheet
    from stackclip.reports.document import Document

    trained, tested = (open_datasets(workspace, [name], None, ()) for name in (TRAINING, TESTED))
    plan = Plan(methods=DEMO_METHODS, train_on=trained, test_on=tested)
    tower = load_tower_of(backbone=DEFAULT_BACKBONE)
    entrants, store = entrants_of(plan, tower.spec), store_of(workspace, tower)
    samples, parts = needed(plan, entrants)
    failed = encode(workspace, tower, samples, parts, batch_size=8, workers=2, strict=False, store=store)
    outcome = run_bench(workspace, plan, tower, entrants, overwrite="only-missing", store=store)
    rows = outcome.rows
    show_document(Document(rows), as_json=False)
    for line in _learned(rows):
        echo(line)
    table, pictures = workspace.cache / "demo", workspace.cache / "demo.png"
    files = [table.with_suffix(suffix) for suffix in (".md", ".csv", ".jsonl")]
    kept = write_document(Document(rows, per_category=True), files)
    with open_bench(workspace, plan, tower, entrants, store=store) as run:
        draw_sheet(run, pictures)
    echo(f"pictures with heat maps  {pictures}")
    echo(f"the table                {table}.md, .csv, .jsonl")
    echo(f"generated pictures       {workspace.generated}")
    echo(f"features                 {workspace.features}")
    echo(f"rows and trained heads   {workspace.rows}, {workspace.heads}")
    echo(f"next: {program()} bench --methods precise,fuzzy,stacked,stackclip,clip --seeds 0,1,2,3,4 --ci")
    if failed or outcome.unkept or not kept:
        sys.exit(FAILED_SOME)


def _learned(rows: Sequence[Row]) -> Iterator[str]:
    """What StackCLIP came to: its stacks, and the terms of its learned prompts; and what the order of a table means."""
    from stackclip.benchmarks.facts import facts_of
    from stackclip.ops.words import counted

    learned = {row.method: facts for row in rows if (facts := facts_of(row)).learned}
    stacks = (f"{method} made {counted(len(facts.stacks), 'stack')}" for method, facts in learned.items())
    if learned:
        yield f"CSP and EFA: {', '.join(stacks)} of the training categories, and trained a head for each"
    for cross_entropy, distance in dict.fromkeys(_of_rpl(facts.steps) for facts in learned.values() if facts.steps):
        yield f"RPL, first step and last: cross-entropy {cross_entropy}; distance to the stacked prompts {distance}"
    yield "the order of the methods is as it was measured, with one seed; the next command gives its spread"


def _of_rpl(steps: Mapping[str, Mapping[str, float]]) -> tuple[str, str]:
    """Both terms of equation 12, each in the first step and in the last."""
    cross_entropy, distance = (
        f"{steps['first'][term]:.2g} and {steps['last'][term]:.2g}" for term in ("rpl_ce", "rpl_mse")
    )
    return cross_entropy, distance
