"""A document as LaTeX: tables for a paper, which fit its page at 10 points, and the notes as comments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from stackclip.ops.words import legible
from stackclip.registry import writers
from stackclip.reports.document import Document
from stackclip.reports.layout import SEP, PageLayout, PagePanel, figure_texts, indent
from stackclip.reports.page_tables import PageCell, PageHead, PageLine, PageTable
from stackclip.reports.paper import paper_tables
from stackclip.reports.typeset import PREAMBLE, SMALL, breakable, in_box, tex

__all__ = ["Latex"]

_MARKS = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}")
_WORD = 60.0  # points of a word of a caption that is not broken


@writers.register("tex")
class Latex:
    """LaTeX for a paper: methods by data sets in one `tabular`, and with `--per-category` an appendix by category.

    Bold and underlined is what a paired test finds better (`--ci`). It needs booktabs, and fits the lines of `article`
    at 10 points: columns that do not fit beside the others stand below them, in the same `tabular`.
    """

    def write(self, document: Document) -> str:
        """The tables and the notes below them."""
        out = [line for page_table in paper_tables(document) for line in _tables(page_table)]
        notes = (f"% {legible(note)}" for note in document.notes)
        return "\n".join([r"% needs \usepackage{booktabs}", *PREAMBLE, "", *out, *notes]) + "\n"


def _tables(page_table: PageTable) -> Iterator[str]:
    """A table, on as many pages as it needs; of one without columns a comment says that there is none."""
    if not page_table.heads:
        yield f"% no table of {legible(page_table.title)}: no row has a metric that was asked for"
        return
    layout = PageLayout.of(page_table)
    yield from (f"% {legible(remark)}" for remark in page_table.remarks)
    for number, panels in enumerate(layout.tables(page_table)):
        sentences = page_table.caption if not number else (f"{page_table.title}, continued",)
        said = " ".join(f"{breakable(each, _WORD)}." for each in sentences)
        yield from (r"\begin{table}[!htbp]", r"\centering\sloppy", rf"\setlength{{\tabcolsep}}{{{SEP / 2}pt}}")
        yield r"\setlength{\belowcaptionskip}{6pt}"
        yield rf"\caption[{{{breakable(page_table.title, _WORD)}}}]{{{said}}}"
        yield rf"\begin{{tabular}}{{@{{}}l*{{{max(layout.panels)}}}{{r}}@{{}}}}"
        yield r"\toprule"
        for place, panel in enumerate(panels):
            yield from [r"\midrule"] if place else []
            yield from _panel(page_table, panel, layout)
        yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}", "")


def _panel(page_table: PageTable, panel: PagePanel, layout: PageLayout) -> Iterator[str]:
    columns, blocks = panel
    heads = [page_table.heads[place] for place in columns]
    yield from _heads(heads, page_table.corner, layout)
    for block in blocks:
        yield r"\midrule"
        if block.title:
            room = layout.label + len(columns) * (layout.column + SEP)
            yield _row([rf"\multicolumn{{{len(columns) + 1}}}{{@{{}}l@{{}}}}{{\emph{{{in_box(block.title, room)}}}}}"])
        for line in block.lines:
            yield from _line(line, columns, layout)


def _heads(heads: Sequence[PageHead], corner: str, layout: PageLayout) -> Iterator[str]:
    """The titles of groups with rules below them, and the lines of each head, the last of them beside the corner."""
    if any(head.group for head in heads):
        yield from _groups(heads, layout)
    count = max(len(head.lines) for head in heads)
    for number in range(count):
        texts = [(head.group, *("",) * (count - len(head.lines)), *head.lines)[: number + 2] for head in heads]
        spans = groupby(texts) if number < count - 1 else ((text, [text]) for text in texts)
        cells = [_head(text[-1], len(list(same)), layout) for text, same in spans]
        yield _row([in_box(corner, layout.label) if number == count - 1 else "", *cells])


def _groups(heads: Sequence[PageHead], layout: PageLayout) -> Iterator[str]:
    cells, rules, column = [""], [], 2
    for title, same in groupby(head.group for head in heads):
        span = len(list(same))
        cells.append(_head(title, span, layout, scale=1.0))
        rules += [rf"\cmidrule(lr){{{column}-{column + span - 1}}}"] if title else []
        column += span
    yield _row(cells)
    yield "".join(rules)


def _head(text: str, span: int, layout: PageLayout, scale: float = SMALL) -> str:
    """A head over some columns, centred."""
    room = span * layout.column + (span - 1) * SEP
    size = "" if scale == 1.0 else r"\scriptsize "
    return rf"\multicolumn{{{span}}}{{c}}{{{size}{in_box(text, room, scale=scale, head=True)}}}"


def _line(line: PageLine, columns: range, layout: PageLayout) -> Iterator[str]:
    """A line of figures; their intervals stand below them."""
    cells = [line.cells[place] for place in columns]
    label = (r"\quad " if line.beside else "") + in_box(line.label, layout.label - indent(line))
    intervals = [figure_texts(cell.figure)[3] if cell else "" for cell in cells]
    yield _row([label, *map(_figure, cells)]) + ("[-3pt]" if any(intervals) else "")
    if any(intervals):
        yield _row(["", *(rf"\scriptsize {each}" if each else "" for each in intervals)])


def _figure(cell: PageCell | None) -> str:
    if cell is None or (cell.figure.value is None and not (cell.figure.why or cell.failed)):
        return ""
    number, spread, partial, _ = figure_texts(cell.figure)
    text = "failed" if cell.failed and cell.figure.value is None else number
    more = rf"{{\scriptsize {tex(spread)}}}" if spread else ""
    return _MARKS[cell.mark].format(tex(text)) + more + (rf"\textsuperscript{{{partial}}}" if partial else "")


def _row(cells: Sequence[str]) -> str:
    """The cells as a row; what would be an option of the row above it is none."""
    text = " & ".join(cells)
    return ("{}" if text.startswith(("[", "*")) else "") + text + r" \\"
