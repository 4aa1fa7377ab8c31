"""A document as LaTeX: a `tabular` for each table, with booktabs, and the notes as comments."""

from __future__ import annotations

from collections.abc import Iterator

from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.table import Summary, ranked

__all__ = ["Latex"]

_RANKS = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}", "{}")
_SIGNS = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "_%&#${}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "†": r"$^\dagger$",
    }
)


@writers.register("tex")
class Latex:
    """LaTeX, with the best bold and the second underlined."""

    def write(self, document: Document) -> str:
        """The tables and the notes below them."""
        out = [line for table in document.tables for line in _table(table, document.per_category or table.by_defect)]
        notes = (f"% {legible(note)}" for note in document.notes)
        return "\n".join(["% needs \\usepackage{booktabs}", *out, *notes]) + "\n"


def _table(table: Summary, by_part: bool) -> Iterator[str]:
    head = ["method", *([table.part] if by_part else []), *table.metrics]
    yield f"% {legible(table.title)}"
    yield f"\\begin{{tabular}}{{{'l' * (2 if by_part else 1)}{'r' * len(table.metrics)}}}"
    yield from ("\\toprule", " & ".join(map(_tex, head)) + r" \\", "\\midrule")
    previous = table.lines[0].category if table.lines else ""
    for line in table.lines:
        if line.category != previous:
            yield "\\midrule"
            previous = line.category
        cells = [_RANKS[min(rank, 3)].format(_tex(text)) for text, rank in ranked(table, line)]
        name = (r"\quad " if line.beside else "") + _tex(line.label)
        yield " & ".join([name, *([_tex(line.category)] if by_part else []), *cells]) + r" \\"
    yield from ("\\bottomrule", "\\end{tabular}", *(f"% {legible(line)}" for line in table.compared), "")


def _tex(text: str) -> str:
    return legible(text).translate(_SIGNS)
