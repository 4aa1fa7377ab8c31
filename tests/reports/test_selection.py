"""Which rows a report is of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stackclip.benchmarks.rows import RowFolder
from stackclip.errors import StackclipError
from stackclip.reports.selection import Selection
from stackclip.types import Row


@pytest.fixture
def folder(tmp_path: Path) -> RowFolder:
    """Rows of three methods with two seeds, on two data sets."""
    folder = RowFolder(tmp_path)
    cells = [(method, name, seed) for method in ("a", "b", "c") for name in ("nuts", "bolts") for seed in (0, 1)]
    for number, (method, name, seed) in enumerate(cells):
        row = Row(method, ("pcb", "visa"), name, "all", 0, seed, {"image_AUROC": 0.5})
        folder.write(f"{number:024}", row)
    return folder


def cells_of(folder: RowFolder, **words: object) -> list[tuple[str, str, int]]:
    return [(row.method, row.test_on, row.seed) for row in Selection(**words).of(folder)]  # type: ignore[arg-type]


def test_methods_come_as_they_were_said_then_table_by_table(folder: RowFolder) -> None:
    assert cells_of(folder, methods=("c", "a"), seeds=(1,)) == [
        ("c", "bolts", 1),
        ("c", "nuts", 1),
        ("a", "bolts", 1),
        ("a", "nuts", 1),
    ]
    assert [name for _, name, _ in cells_of(folder)] == ["bolts"] * 6 + ["nuts"] * 6


def test_all_training_sets_of_a_row_are_to_be_named(folder: RowFolder) -> None:
    assert len(cells_of(folder, train_on=("visa", "pcb"))) == 12
    with pytest.raises(StackclipError, match="fits; see: stackclip bench --help"):
        cells_of(folder, train_on=("visa",))


def test_a_data_set_that_no_row_has_is_told_with_those_that_there_are(folder: RowFolder) -> None:
    assert {name for _, name, _ in cells_of(folder, test_on=("some/place/nuts",))} == {"nuts"}
    with pytest.raises(StackclipError, match=r"no row was tested on 'nut' .did you mean 'nuts'.*; there are .*bolts"):
        cells_of(folder, test_on=("nut",))


def test_rows_of_folds_are_shown_where_data_sets_are_named_alone(
    folder: RowFolder, caplog: pytest.LogCaptureFixture
) -> None:
    facts = {"fold": "leave-category-out"}
    folder.write("f" * 24, Row("a", ("pcb (without x)",), "pcb (only x)", "x", 0, 0, facts=facts))
    with caplog.at_level(logging.INFO, "stackclip"):
        assert "pcb (only x)" not in {name for _, name, _ in cells_of(folder)}
    assert (
        "1 row of folds, by which points were selected, not shown; name theirs: --test-on 'pcb (only x)'" in caplog.text
    )
    assert cells_of(folder, test_on=("pcb (only x)",)) == [("a", "pcb (only x)", 0)]
    assert cells_of(folder, train_on=("pcb (without x)",)) == [("a", "pcb (only x)", 0)]


def test_the_rows_of_a_grid_come_before_those_of_its_points(folder: RowFolder) -> None:
    for number, method in enumerate(("m[k=2]", "m[k=1|2]", "m[k=1]")):
        folder.write(f"{number:024x}".replace("0", "e"), Row(method, ("pcb",), "nuts", "all", 0, 0))
    assert [method for method, *_ in cells_of(folder, methods=("c", "m[k=1|2]"), seeds=(0,))] == [
        *("c", "c", "m[k=1|2]", "m[k=1]", "m[k=2]")
    ]
