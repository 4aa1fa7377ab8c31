"""The report of an ablation as files: Markdown, a page, LaTeX, values with commas between, lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from markupsafe import Markup

from stackclip.errors import UsageError
from stackclip.ops.spreadsheet import csv_text
from stackclip.ops.words import legible
from stackclip.reports.fragments import table_html
from stackclip.reports.parts_report import PartsReport
from stackclip.reports.typeset import PREAMBLE, tex
from stackclip.reports.writers.markdown import marked, pipes

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["check_parts_output", "parts_shown", "parts_written"]

_PAGE = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>'
    "body{{font:15px/1.5 sans-serif;margin:2rem;max-width:80rem}}table{{border-collapse:collapse;margin:1.5rem 0}}"
    "caption,th,td{{text-align:left}}"
    "caption{{font-weight:bold}}th,td{{padding:.2rem .7rem;border-bottom:1px solid #ddd}}"
    "</style></head><body>{tables}<ul>{notes}</ul></body></html>\n"
)


def check_parts_output(path: Path) -> None:
    """Raise UsageError for a file of another kind than is written."""
    if path.suffix not in _WRITERS:
        wanted = ", ".join(_WRITERS)
        raise UsageError(f"{path}: no ablation is written as {path.suffix or 'that'}; wanted {wanted}")


def parts_written(report: PartsReport, suffix: str) -> str:
    """The report as files of that suffix hold it; nothing in a name acts on whoever shows it."""
    return _WRITERS[suffix](report)


def parts_shown(report: PartsReport) -> Iterator[RichTable]:
    """The tables for a terminal."""
    from rich.table import Table
    from rich.text import Text

    for table in report.tables:
        shown = Table(title=Text(legible(table.title), "bold"), title_justify="left", box=None, header_style="dim")
        for head in table.heads:
            shown.add_column(Text(legible(head)), overflow="fold")
        for line in table.lines:
            shown.add_row(*(Text(legible(cell)) for cell in line))
        yield shown


def _markdown(report: PartsReport) -> str:
    out: list[str] = []
    for table in report.tables:
        out += [f"**{marked(table.title)}**", "", pipes(table.heads), pipes(["---"] * len(table.heads))]
        out += [*(pipes([marked(cell) for cell in line]) for line in table.lines), ""]
    return "\n".join([*out, *(f"- {marked(note)}" for note in report.notes)]) + "\n"


def _html(report: PartsReport) -> str:
    tables = Markup("\n").join(table_html(each.title, each.heads, each.lines) for each in report.tables)
    notes = Markup("").join(Markup("<li>{}</li>").format(legible(note)) for note in report.notes)
    return _PAGE.format(title=legible(report.ablation.full), tables=tables, notes=notes)


def _latex(report: PartsReport) -> str:
    lines = [*PREAMBLE]
    for table in report.tables:
        lines += [rf"% {legible(table.title)}", rf"\begin{{tabular}}{{{'l' * len(table.heads)}}}", r"\toprule"]
        lines += [rf"{' & '.join(map(tex, table.heads))} \\", r"\midrule"]
        lines += [rf"{' & '.join(map(tex, line))} \\" for line in table.lines]
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([*lines, *(f"% {legible(note)}" for note in report.notes)]) + "\n"


def _csv(report: PartsReport) -> str:
    records = [{**each, "by_category": json.dumps(each["by_category"])} for each in report.records()]
    return csv_text(list(records[0]) if records else [], (list(each.values()) for each in records))


def _json_lines(report: PartsReport) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in report.records())


_WRITERS: Mapping[str, Callable[[PartsReport], str]] = MappingProxyType(
    {".csv": _csv, ".html": _html, ".jsonl": _json_lines, ".md": _markdown, ".tex": _latex}
)
