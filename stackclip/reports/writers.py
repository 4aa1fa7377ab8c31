"""Rows as files: CSV and JSON lines with a line a cell, Markdown and LaTeX with the tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from stackclip.benchmarks.rows import row_to_json
from stackclip.benchmarks.sets import identity
from stackclip.metrics.uncertainty import Difference
from stackclip.ops.spreadsheet import csv_text
from stackclip.ops.words import legible
from stackclip.papers.published import Lookup
from stackclip.reports.table import METRICS, differences_of, first_methods, notes, ranked, summarise
from stackclip.types import Row

__all__ = ["WRITERS"]


def _markdown(
    rows: Sequence[Row],
    *,
    per_category: bool,
    metrics: Sequence[str] = (),
    published: Lookup | None = None,
    ci: bool = False,
) -> str:
    out = []
    for summary in summarise(rows, per_category=per_category, metrics=metrics, published=published, ci=ci):
        head = ["method", *(["category"] if per_category else []), *summary.metrics]
        out += [f"**{_marked(summary.title)}**", "", _pipes(head), _pipes(["---"] * len(head))]
        for line in summary.lines:
            cells = [_MARKDOWN[min(rank, 3)].format(_marked(text)) for text, rank in ranked(summary, line)]
            name = ("&nbsp;&nbsp;" if line.beside else "") + _marked(line.method)  # spaces would vanish
            out.append(_pipes([name, *([_marked(line.category)] if per_category else []), *cells]))
        out += ["", *(f"- {_marked(line)}" for line in summary.compared), *([""] if summary.compared else [])]
    return "\n".join([*out, *(f"- {_marked(note)}" for note in notes(rows, published, metrics))]) + "\n"


_MARKDOWN = ("{}", "**{}**", "<u>{}</u>", "{}")


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _marked(text: str) -> str:
    """Text as Markdown shows it: what would be a cell's end, HTML, code, emphasis, a formula or a link is none."""
    return _MARKS.sub(lambda mark: f"{mark[0][:-1]}\\{mark[0][-1]}", legible(text))


# An underscore within a word, and brackets that no link follows, mean nothing: names of metrics and methods stay.
_MARKS = re.compile(r"[\\`*|~$]|<(?=[\w/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|\][(\[:]|://|www\.")


def _latex(
    rows: Sequence[Row],
    *,
    per_category: bool,
    metrics: Sequence[str] = (),
    published: Lookup | None = None,
    ci: bool = False,
) -> str:
    out = ["% needs \\usepackage{booktabs}"]
    for summary in summarise(rows, per_category=per_category, metrics=metrics, published=published, ci=ci):
        head = ["method", *(["category"] if per_category else []), *summary.metrics]
        out += [
            f"% {legible(summary.title)}",
            f"\\begin{{tabular}}{{{'l' * (2 if per_category else 1)}{'r' * len(summary.metrics)}}}",
        ]
        out += ["\\toprule", _ampersands(head), "\\midrule"]
        previous = summary.lines[0].category if summary.lines else ""
        for line in summary.lines:
            if line.category != previous:
                out.append("\\midrule")
                previous = line.category
            cells = [_LATEX[min(rank, 3)].format(_tex(text)) for text, rank in ranked(summary, line)]
            name = (r"\quad " if line.beside else "") + _tex(line.method)
            out.append(" & ".join([name, *([_tex(line.category)] if per_category else []), *cells]) + r" \\")
        out += ["\\bottomrule", "\\end{tabular}", *(f"% {legible(line)}" for line in summary.compared), ""]
    return "\n".join([*out, *(f"% {legible(note)}" for note in notes(rows, published, metrics))]) + "\n"


_LATEX = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}", "{}")


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    return legible(text).translate(_TEX)


_TEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "_%&#${}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
    }
)


def _csv(rows: Sequence[Row], *, ci: bool = False, **view: object) -> str:
    """One line a cell of the bench, values as fractions at full precision, however the tables are asked for.

    With `ci` the intervals come last, and the differences from the first method.
    """
    keys = ("method", "train_on", "test_on", "category", "shots", "seed")
    facts = ("tower", "class_names", "features", "stackclip")
    ends = [f"{name}_{end}" for name in METRICS[:-1] for end in _ENDS] if ci else []
    sets = ("tested", "tested_place", "trained", "trained_places")
    compared_to = ["compared_to"] if ci else []
    head = [*keys, *METRICS, "undefined", "error", "seconds", *facts, *sets, *compared_to, *ends]
    first = first_methods(rows) if ci else {}
    return csv_text(head, (_csv_cells(row, keys, facts, first.get(id(row)), ci) for row in rows))


def _csv_cells(row: Row, keys: Sequence[str], facts: Sequence[str], first: Row | None, ci: bool) -> list[object]:
    flat = row_to_json(row) | {"train_on": "+".join(row.train_on)}
    return [
        *(flat[key] for key in keys),
        *(row.metrics.get(name, "") for name in METRICS),
        "; ".join(f"{name}: {why}" for name, why in row.undefined.items()),
        row.error,
        row.seconds,
        *(row.facts.get(name, "") for name in facts),
        *identity(row),
        *(_ends(row, first) if ci else []),
    ]


_ENDS = ("low", "high", "difference", "difference_low", "difference_high", "p")


def _ends(row: Row, first: Row | None) -> Iterator[object]:
    """The intervals of a row, and its differences from that of the first method, as columns of a spreadsheet."""
    differences = differences_of(row, first)
    yield first.method if first and differences else ""
    for name in METRICS[:-1]:
        yield from row.facts.get("intervals", {}).get(name, ("", ""))
        found = differences[name].difference if name in differences else None
        yield from (found.value, found.low, found.high, found.p) if found else [""] * 4


def _json_lines(rows: Sequence[Row], *, ci: bool = False, **view: object) -> str:
    """One JSON object a cell with all its facts but the draws, however the tables are asked for.

    Undefined metrics are null. With `ci` the differences from the first method are among the facts.
    """
    lines = []
    first = first_methods(rows) if ci else {}
    for row in rows:
        nulls = dict.fromkeys(row.undefined)
        facts = {name: value for name, value in row.facts.items() if name != "draws"}
        if differences := differences_of(row, first.get(id(row))):
            told = {name: _told(comparison.difference) for name, comparison in differences.items()}
            facts["paired"] = {first[id(row)].method: told}
        said = {**row_to_json(row), "metrics": {**nulls, **row.metrics}, "facts": facts}
        lines.append(json.dumps(said, sort_keys=True, allow_nan=False))
    return "".join(f"{line}\n" for line in lines)


def _told(found: Difference) -> dict[str, float]:
    return {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}


WRITERS: dict[str, Callable[..., str]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".md": _markdown,
    ".tex": _latex,
}
