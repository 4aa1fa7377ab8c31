"""Tables for spreadsheets: the one place where CSV is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from numbers import Real

from stackclip.ops.words import legible

__all__ = ["csv_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BEFORE_IT = " \t\r\n\xa0'\""  # what a spreadsheet may skip before a formula


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of comma-separated values below a header; numbers stand as they are, None is an empty cell.

    Text is legible, and what a spreadsheet would run as a formula (also behind spaces or quotes) begins with an
    apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_harmless(name) for name in header])
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: object) -> object:
    if cell is None or isinstance(cell, Real):
        return cell
    text = str(cell)
    runs = text.startswith(_FORMULA) or text.lstrip(_BEFORE_IT).startswith(_FORMULA)
    return f"'{legible(text)}" if runs else legible(text)
