"""What papers print, as a table of its own for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackclip.ops.words import counted, legible
from stackclip.papers.published import Reference
from stackclip.reports.table import METRICS

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["printed_table"]


def printed_table(references: Sequence[Reference], metrics: Sequence[str] = ()) -> RichTable:
    """What papers print, for a terminal: a line for each method and place, whether it was measured or not."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    held = {name for reference in references for name in reference.values}
    columns = [name for name in metrics or METRICS if name in held and not name.endswith("cflow200")]
    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.collapse_padding, table.pad_edge = True, False
    several = len({reference.lines[0].tower for reference in references}) > 1
    for head in ("printed in", "method", *(["tower"] if several else []), "trained on", "tested on"):
        table.add_column(head, overflow="fold")
    for name in columns:
        table.add_column(name.replace("_", "\n"), justify="right")
    for reference in references:
        line, values = reference.lines[0], reference.values
        words = [line.method, *([f"({line.setting})"] if line.setting else [])]
        shots = f", {counted(int(line.shots), 'shot')}" if line.shots != "0" else ""
        where = [line.label, " ".join(words), *([line.tower] if several else []), "+".join(line.train_on) or "-"]
        where.append(" ".join([line.dataset, *([line.category] if line.category else [])]) + shots)
        cells = [f"{100 * values[name]:.1f}" if name in values else "" for name in columns]
        table.add_row(*(Text(legible(text)) for text in (*where, *cells)))
    return table
