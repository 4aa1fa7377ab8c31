"""Suites on the command line: what of them the data, methods and towers at hand allow, and how they are shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.options import logger
from stackclip.cli.steps import load_tower_of, open_datasets, show_document
from stackclip.cli.words import chosen
from stackclip.errors import StackclipError, UnknownComponent, UsageError, WeightsError

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from stackclip.benchmarks.entrant import Entrant
    from stackclip.benchmarks.plan import Plan
    from stackclip.clip import Tower
    from stackclip.data import Dataset
    from stackclip.methods import Method
    from stackclip.papers.published import Lookup, Published
    from stackclip.papers.suites import Run, Suite
    from stackclip.types import Row
    from stackclip.workspace import Workspace

__all__ = [
    "AtHand",
    "Job",
    "beside",
    "fitting",
    "jobs_of",
    "one_of_each",
    "papers_table",
    "say_lacking",
    "show_suite",
    "suite_page",
    "suites_table",
    "typed",
]

_OTHER_LAYOUTS = {"visa": "visa-prepared"}


@dataclass(frozen=True)
class Job:
    """One bench: its plan, the tower it wants, and the suite that it belongs to, if any."""

    plan: Plan
    tower: Mapping[str, Any]
    suite: Suite | None = None


class AtHand:
    """Data sets, methods and towers; a data set is opened once, and one that cannot be had is remembered too.

    `texts` are the data sets that were opened, as they are typed; `methods` those that were made, by their specs.
    """

    def __init__(self, workspace: Workspace, data_root: Path | None) -> None:
        self.workspace = workspace
        self.data_root = data_root
        self.texts: list[str] = []
        self.methods: dict[str, Method] = {}
        self._datasets: dict[str, Dataset | StackclipError] = {}
        self._tower: tuple[Mapping[str, Any], Tower] | None = None

    def dataset(self, name: str) -> Dataset:
        """A data set as a suite names it. Raises what opening it raised."""
        if name not in self._datasets:
            self._datasets[name] = self._open(name)
        found = self._datasets[name]
        if isinstance(found, StackclipError):
            raise found
        return found

    def tower(self, arguments: Mapping[str, Any]) -> Tower:
        """A tower by the arguments of `load_tower_of`; only the last one is kept. Raises what loading it raises."""
        if self._tower is None or self._tower[0] != arguments:
            self._tower = None  # two large towers need not fit in memory
            self._tower = arguments, load_tower_of(**arguments)
        return self._tower[1]

    def _open(self, name: str) -> Dataset | StackclipError:
        first: StackclipError | None = None
        for text in filter(None, (name, _OTHER_LAYOUTS.get(name))):
            try:
                [opened] = open_datasets(self.workspace, [text], self.data_root, ())
            except StackclipError as error:
                first = first or error
            else:
                self.texts.append(text)
                return opened
        return first or StackclipError(name)


def typed(names: Sequence[str]) -> dict[str, Any]:
    """The options among `names` that stand on the command line itself, which a suite gives way to."""
    context = click.get_current_context()
    return {
        name: context.params[name]
        for name in names
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def jobs_of(suites: Sequence[Suite], at_hand: AtHand, *, paper_tower: bool, **words: Any) -> list[Job]:
    """The benches of suites that can run; what they lack is said in one line for each thing.

    `words` are those of `_jobs_of_one`. Raises UsageError where the tower is named twice.
    """
    if paper_tower and typed(("backbone",)):
        raise UsageError("--paper-tower and --backbone name two towers: leave out one of them")
    jobs: list[Job] = []
    lacking: dict[str, list[str]] = {}
    for suite in suites:
        found, missing = _jobs_of_one(suite, at_hand, paper_tower=paper_tower, **words)
        jobs += found
        for what in missing:
            lacking.setdefault(what, []).append(suite.name)
    say_lacking(lacking)
    return jobs


def fitting(plan: Plan, entrants: tuple[Entrant, ...], suite: str) -> tuple[Plan, tuple[Entrant, ...]]:
    """The plan without the methods whose weights do not fit the tower; what they lack is said.

    Raises WeightsError where no method is left.
    """
    unfit = {each.spec: each.why_not for each in entrants if isinstance(each.why_not, WeightsError)}
    fit = tuple(each for each in entrants if each.spec not in unfit)
    if not fit:
        raise next(iter(unfit.values()))
    say_lacking({f"{spec}: {error}": [suite] for spec, error in unfit.items()})
    return replace(plan, methods=tuple(each.spec for each in fit)), fit


def _jobs_of_one(
    suite: Suite,
    at_hand: AtHand,
    *,
    asked: Mapping[str, Any],
    category: Collection[str],
    tower: Mapping[str, Any],
    paper_tower: bool,
    **of_plan: Any,
) -> tuple[list[Job], list[str]]:
    """The benches of a suite that can run, and a line for each thing that it lacks.

    `asked` are the fields of its runs that the user changes, `tower` the tower that was asked for; with `paper_tower`
    each run has that of its paper, but for what was typed. `of_plan` goes to every plan.
    """
    from stackclip.papers.suites import merged, redirected

    runs = redirected(suite.runs, **asked)
    if not paper_tower:
        runs = merged(replace(run, tower=None) for run in runs)
    jobs: list[Job] = []
    lacking: dict[str, None] = {}
    for run in runs:
        methods = list(_known_methods(run, at_hand, lacking))
        plan = _plan(run, methods, at_hand, category, lacking, of_plan) if methods else None
        if plan is not None:
            jobs.append(Job(plan, {**tower, **_of_paper(run)}, suite))
    return jobs, list(lacking)


def _of_paper(run: Run) -> dict[str, Any]:
    """The paper's tower, but for the weights or the size that were typed."""
    if run.tower is None:
        return {}
    own = typed(("pretrained", "image_size"))
    return {name: value for name, value in asdict(run.tower).items() if name not in own}


def _known_methods(run: Run, at_hand: AtHand, lacking: dict[str, None]) -> Iterator[str]:
    from stackclip.benchmarks.plan import resolved
    from stackclip.registry import Spec

    for method in run.methods:
        try:
            at_hand.methods |= resolved((method,), at_hand.methods)
        except UnknownComponent:
            lacking[f"no method is named {Spec.parse(method).name}"] = None
        except StackclipError as error:
            lacking[f"{method}: {error}"] = None
        else:
            yield method


def _plan(
    run: Run,
    methods: Sequence[str],
    at_hand: AtHand,
    category: Collection[str],
    lacking: dict[str, None],
    of_plan: Mapping[str, Any],
) -> Plan | None:
    from stackclip.benchmarks.plan import Plan, check_plan

    train_on = _opened(run.train_on, at_hand, lacking)
    test_on = _opened(run.test_on, at_hand, lacking)
    if len(train_on) < len(run.train_on):
        return None
    try:
        train_on = [_part(dataset, run) for dataset in train_on]
        if category:
            named = chosen(category, {each for dataset in test_on for each in dataset.categories})
            some = [[each for each in dataset.categories if each in named] for dataset in test_on]
            test_on = [data.select(categories=own) for data, own in zip(test_on, some, strict=True) if own]
        if not test_on:
            return None
        plan = Plan(
            methods=tuple(methods),
            resolved=at_hand.methods,
            train_on=tuple(train_on),
            test_on=tuple(test_on),
            seeds=run.seeds,
            shots=run.shots,
            epochs=run.epochs,
            batch_size=run.batch_size,
            eval_every=run.eval_every,
            **of_plan,
        )
        check_plan(plan)
    except StackclipError as error:
        lacking[str(error)] = None
        return None
    return plan


def _opened(names: Sequence[str], at_hand: AtHand, lacking: dict[str, None]) -> list[Dataset]:
    found = []
    for name in names:
        try:
            found.append(at_hand.dataset(name))
        except StackclipError as error:
            lacking[str(error).partition("\n")[0]] = None
    return found


def _part(dataset: Dataset, run: Run) -> Dataset:
    """The categories of a training set that a run trains on; a part has a name of its own in the rows."""
    chosen = [
        each
        for each in dataset.categories
        if (not run.train_categories or each in run.train_categories) and each not in run.train_without
    ]
    for each in (*run.train_categories, *run.train_without):
        if each not in dataset.categories:
            raise UsageError(f"{dataset.name} has no category {each}, which the suite trains on or leaves out")
    if len(chosen) == len(dataset.categories):
        return dataset
    some = run.train_categories or run.train_without
    name = f"{dataset.name} ({'only' if run.train_categories else 'without'} {', '.join(some)})"
    return replace(dataset.select(categories=chosen), name=name)


def beside(suites: Sequence[Suite], jobs: Sequence[Job]) -> Lookup:
    """What is printed of suites, or of everything, with the families of the data sets that were read."""
    from stackclip.papers.published import Lookup, published

    read = [dataset for job in jobs for dataset in (*job.plan.train_on, *job.plan.test_on)]
    families = {dataset.name: dataset.family for dataset in read}
    if not suites:
        return Lookup(families=families)
    wanted = {id(line) for suite in suites for line in suite.published}
    lines = tuple(line for line in published() if id(line) in wanted)
    return Lookup(lines=lines, families=families, any_training=True)


def show_suite(
    suite: Suite | None,
    rows: Sequence[Row],
    published: Lookup | None,
    *,
    per_category: bool,
    as_json: bool,
    ci: bool = False,
) -> None:
    """Print the rows of a suite with what its paper prints beside them, and what it prints of what was not measured."""
    from stackclip.console import line, output, say
    from stackclip.reports.document import Document
    from stackclip.reports.printed import printed_table

    document = Document(rows, per_category=per_category, published=published, ci=ci)
    if suite is None or as_json:
        show_document(document, as_json=as_json)
        return
    own = replace(published, lines=suite.published) if published else None
    output.rule(line(f"{suite.name}: {suite.title}"), align="left", style="dim")
    show_document(replace(document, metrics=suite.shows, published=own), as_json=False)
    if suite.remark:
        say(f"- {suite.remark}", "dim")
    if own and (others := own.unmatched(rows)):
        say(f"{suite.name}: printed in the paper, not measured here", "bold dim")
        output.print(printed_table(others, suite.shows))


def say_lacking(lacking: Mapping[str, Sequence[str]]) -> None:
    """One line for each thing that suites lack: `lacking` has their names by what it is."""
    for what, suites in lacking.items():
        first = what.partition("\n")[0]  # trees of folders would follow
        logger.warning("%s", f"lacking for {', '.join(suites)}: {first}")


def one_of_each(rows: Sequence[Row]) -> list[Row]:
    """Rows without those that an earlier suite measured already."""
    from stackclip.benchmarks.rows import row_to_json
    from stackclip.ops.files import canonical_json

    return list({canonical_json(row_to_json(row)): row for row in rows}.values())


def suites_table() -> RichTable:
    """The suites, a line each."""
    from rich.table import Table

    from stackclip.console import line
    from stackclip.papers.suites import suites

    table = Table(title="suites", title_justify="left", title_style="bold", box=None, header_style="dim")
    for head in ("name", "what it compares", "trained on", "tested on"):
        table.add_column(head, no_wrap=head == "name")
    for suite in suites().values():
        trained = dict.fromkeys("+".join(run.train_on) or "-" for run in suite.runs)
        tested = dict.fromkeys(name for run in suite.runs for name in run.test_on)
        table.add_row(*map(line, (suite.name, suite.title, ", ".join(trained), ", ".join(tested))))
    return table


def papers_table() -> RichTable:
    """The papers and logs whose numbers are known, a line for each of their tables."""
    from rich.table import Table

    from stackclip.console import line as cell
    from stackclip.papers.published import SOURCES, joined, published
    from stackclip.papers.suites import suites

    places: dict[tuple[str, str], list[Published]] = {}
    for line in published():
        places.setdefault((line.source, line.table), []).append(line)
    runs = {(suite.source, table): suite.name for suite in suites().values() for table in suite.tables}
    table = Table(title="papers", title_justify="left", title_style="bold", box=None, header_style="dim")
    for head in ("source", "table", "suite", "lines", "methods", "data sets"):
        table.add_column(head, justify="right" if head == "lines" else "left", no_wrap=head == "suite")
    last = ""
    for (source, number), lines in places.items():
        methods = dict.fromkeys(line.method.partition("[")[0] for line in lines)
        tested = dict.fromkeys(line.dataset for line in lines)
        title = SOURCES[source].title if source != last else ""
        last = source
        said = (title, number, runs.get((source, number), ""), str(len(joined(lines))))
        table.add_row(*map(cell, (*said, ", ".join(methods), ", ".join(tested))))
    return table


def suite_page(suite: Suite) -> Iterator[Any]:
    """Everything about one suite: what runs, with which tower, and what the paper prints."""
    from rich.table import Table
    from rich.text import Text

    from stackclip.console import line
    from stackclip.papers.published import SOURCES, joined
    from stackclip.reports.printed import printed_table

    source = SOURCES[suite.source].title if suite.source in SOURCES else suite.source
    yield line(f"{suite.name}  ", "bold") + line(f"({source})" if source else "", "dim")
    yield line(suite.title)
    if suite.remark:
        yield line(suite.remark)
    table = Table(box=None, header_style="dim")
    for head in ("methods", "trained on", "tested on", "tower of the paper"):
        table.add_column(head, overflow="fold")
    for run in suite.runs:
        some = f" (only {', '.join(run.train_categories)})" if run.train_categories else ""
        some = f" (without {', '.join(run.train_without)})" if run.train_without else some
        table.add_row(
            Text("\n").join(map(line, run.methods)),
            line("+".join(run.train_on) + some or "-"),
            line(", ".join(run.test_on)),
            line(run.tower or ""),
        )
    yield table
    if suite.published:
        yield Text("printed there", "dim")
        yield printed_table(joined(suite.published), suite.shows)
    for remark in dict.fromkeys(each.remark for each in suite.published if each.remark):
        yield line(f"- {remark}", "dim")
