"""A document says the same of its rows in all its parts."""

from __future__ import annotations

from stackclip.reports.document import Document
from stackclip.types import Row


def row(method: str, category: str = "bottle", seed: int = 0, **facts: object) -> Row:
    return Row(method, ("visa",), "mvtec", category, 0, seed, {"image_AP": 0.5}, facts=facts)


def test_a_sheet_has_every_row_in_order_whatever_tables_show() -> None:
    rows = [row("b", seed=1), row("a"), row("b"), row("c", protocol="other")]
    for document in (Document(rows), Document(rows, per_category=True, metrics=("pixel_AP",), ci=True)):
        [sheet] = document.sheets
        assert [cell.row for cell in sheet.cells] == rows
        assert sheet.ci == document.ci


def test_a_cell_knows_the_first_method_of_its_table_for_the_same_category_and_seed() -> None:
    rows = [row("a"), row("b"), row("a", seed=1), row("b", "nut"), row("b", seed=1), row("c", protocol="other")]
    [sheet] = Document(rows, ci=True).sheets
    assert [cell.first for cell in sheet.cells] == [None, rows[0], None, None, rows[2], None]
    assert all(cell.first is None for cell in Document(rows).sheets[0].cells)
    assert not any(cell.differences for cell in sheet.cells)  # rows without draws


def test_each_part_is_made_once() -> None:
    document = Document([row("a", note="n")])
    assert document.tables is document.tables
    assert document.notes == ("n",)
    assert document.notes is document.notes
    assert document.sheets is document.sheets
    assert document.charts == ()
