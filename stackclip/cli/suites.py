"""The suites and the papers that there are, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from stackclip.console import line
from stackclip.papers.published import SOURCES, Published, joined, published
from stackclip.papers.suites import Suite, suites
from stackclip.reports.printed import printed_table

__all__ = ["papers_table", "suite_page", "suites_table"]


def suites_table() -> Table:
    """The suites, a line each."""
    table = Table(title="suites", title_justify="left", title_style="bold", box=None, header_style="dim")
    for head in ("name", "what it compares", "trained on", "tested on"):
        table.add_column(head, no_wrap=head == "name")
    for suite in suites().values():
        trained = dict.fromkeys("+".join(run.train_on) or "-" for run in suite.runs)
        tested = dict.fromkeys(name for run in suite.runs for name in run.test_on)
        table.add_row(*map(line, (suite.name, suite.title, ", ".join(trained), ", ".join(tested))))
    return table


def papers_table() -> Table:
    """The papers and logs whose numbers are known, a line for each of their tables."""
    places: dict[tuple[str, str], list[Published]] = {}
    for printed in published():
        places.setdefault((printed.source, printed.table), []).append(printed)
    runs = {(suite.source, table): suite.name for suite in suites().values() for table in suite.tables}
    table = Table(title="papers", title_justify="left", title_style="bold", box=None, header_style="dim")
    for head in ("source", "table", "suite", "lines", "methods", "data sets"):
        table.add_column(head, justify="right" if head == "lines" else "left", no_wrap=head == "suite")
    last = ""
    for (source, number), lines in places.items():
        methods = dict.fromkeys(printed.method.partition("[")[0] for printed in lines)
        tested = dict.fromkeys(printed.dataset for printed in lines)
        title = SOURCES[source].title if source != last else ""
        last = source
        place = (title, number, runs.get((source, number), ""), str(len(joined(lines))))
        table.add_row(*map(line, (*place, ", ".join(methods), ", ".join(tested))))
    return table


def suite_page(suite: Suite) -> Iterator[Any]:
    """Everything about one suite: what runs, with which tower, and what the paper prints."""
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
