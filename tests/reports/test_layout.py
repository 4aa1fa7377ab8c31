"""Columns go side by side as far as a line holds them, whole groups if they fit, and tables end with the page."""

from __future__ import annotations

import pytest

from stackclip.reports.layout import SEP, PageLayout
from stackclip.reports.page_tables import PageBlock, PageCell, PageHead, PageLine, PageTable
from stackclip.reports.table import Figure


def page_table(*groups: int, lines: int = 2, value: float = 0.5, label: str = "method") -> PageTable:
    heads = [PageHead(str(group), ("image", "AUROC")) for group, count in enumerate(groups) for _ in range(count)]
    cell = PageCell(Figure(value, counted=1, of=1))
    body = tuple(PageLine(label, (cell,) * len(heads)) for _ in range(lines))
    return PageTable("t", ("t",), "method", tuple(heads), (PageBlock("", body),))


@pytest.mark.parametrize(
    ("groups", "panels"),
    [
        ((2,), (2,)),
        ((2, 2, 2, 2), (8,)),
        ((4, 4, 4, 4), (8, 8)),
        ((8, 8, 8), (8, 8, 8)),
        ((3, 3, 3, 3), (6, 6)),
        ((2, 2, 2, 2, 2, 2), (6, 6)),
        ((14,), (7, 7)),
        ((11, 11), (5, 6, 5, 6)),
        ((7, 2, 1), (7, 3)),
    ],
)
def test_whole_groups_stand_side_by_side_if_they_fit_and_evenly(
    groups: tuple[int, ...], panels: tuple[int, ...]
) -> None:
    layout = PageLayout.of(page_table(*groups))
    assert layout.panels == panels
    assert layout.label + max(panels) * (layout.column + SEP) <= 344
    tables = [columns for table in layout.tables(page_table(*groups)) for columns, _ in table]
    assert [place for columns in tables for place in columns] == list(range(sum(groups)))


def test_a_long_label_is_broken_only_where_that_saves_a_panel() -> None:
    label = "winclip[shots=4]"
    assert PageLayout.of(page_table(2, 2, 2, label=label)).label > 70
    narrow = PageLayout.of(page_table(2, 2, 2, 2, label=label))
    assert narrow.panels == (8,)
    assert narrow.label < 50


def test_lines_that_do_not_fit_a_page_go_on_in_another_table() -> None:
    tables = list(PageLayout.of(page_table(2, lines=70)).tables(page_table(2, lines=70)))
    lines = [sum(len(block.lines) for block in blocks) for table in tables for _, blocks in table]
    assert len(tables) == 3
    assert sum(lines) == 70
    assert max(lines) < 36
