"""Curves over shots: the numbers of rows worked by hand, in tables and in a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from stackclip.errors import StackclipError
from stackclip.reports.document import Document
from stackclip.reports.shot_plot import draw_shots, plot_shots
from stackclip.reports.shots import shot_curves
from stackclip.reports.writers import written
from stackclip.types import Row


def row(method: str, shots: int | Literal["all"], value: float | None, *, category: str = "c", seed: int = 0) -> Row:
    metrics = {} if value is None else {"image_AUROC": value, "pixel_AUPRO": value / 2}
    facts = {"tower": "toy", "note": "a toy's numbers say nothing"}
    error = "" if metrics else "it is shown none"
    return Row(method, ("here",), "there", category, shots, seed, metrics=metrics, error=error, facts=facts)


ROWS = [
    row("late", "all", 0.9),
    row("late", 0, None),
    row("late", 4, 0.8),
    row("text", 0, 0.5),
    row("text", 4, 0.6),
    row("text", 4, 0.8, category="d"),
    row("text", 0, 0.5, category="d"),
    row("text", 4, 0.4, seed=1),
    row("text", 4, 0.4, category="d", seed=1),
]


def test_columns_are_the_amounts_in_order_and_cells_the_means_over_categories_then_seeds() -> None:
    [curves] = shot_curves(ROWS)
    assert curves.amounts == (0, 4, "all")
    figures = curves.figures("image_AUROC")
    assert [each.value for each in figures["late"]] == [None, 0.8, 0.9]
    assert [each.value for each in figures["text"]] == pytest.approx([0.5, 0.55, None])  # 4: (0.7 + 0.4) / 2
    assert figures["text"][1].spread == pytest.approx(0.15)
    tables = Document(ROWS, over_shots=True).tables
    assert [table.over_shots for table in tables] == ["image_AUROC", "pixel_AUPRO"]
    assert tables[0].title == "image_AUROC, trained on here, tested on there, mean over 2 categories, 2 seeds"
    assert tables[0].metrics == ("0 shots", "4 shots", "all")


@pytest.mark.parametrize("suffix", [".md", ".txt", ".tex"])
def test_writers_write_them_as_other_tables(suffix: str) -> None:
    text = written(Document(ROWS, over_shots=True, metrics=("image_AUROC",)), suffix)
    assert all(word in text for word in ("0 shots", "4 shots", "all", "55.0"))
    assert "27.5" not in text  # half of it, the other metric


def test_rows_of_one_amount_are_no_curve(tmp_path: Path) -> None:
    alone = [each for each in ROWS if each.shots == 4]
    assert shot_curves(alone) == []
    with pytest.raises(StackclipError, match=r"several numbers of shots: bench --suite few-shot-curve does"):
        plot_shots(shot_curves(alone), tmp_path / "x.png")


def test_other_training_sets_are_other_curves() -> None:
    others = [replace(each, train_on=("far",)) for each in ROWS]
    assert [each.title for each in shot_curves([*ROWS, *others])] == [
        "trained on here, tested on there",
        "trained on far, tested on there",
    ]


def test_the_picture_has_a_line_a_method_through_what_was_measured() -> None:
    pytest.importorskip("matplotlib")
    [band] = draw_shots(shot_curves(ROWS)).subfigs
    assert [axes.get_title() for axes in band.axes] == ["image AUROC", "pixel AUPRO"]
    late, text = band.axes[0].get_lines()
    assert late.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(late.get_ydata(), [80, 90])
    np.testing.assert_allclose(text.get_ydata(), [50, 55])
    assert [label.get_text() for label in band.axes[0].get_xticklabels()] == ["0", "4", "all"]
    low = min(path.get_extents().ymin for path in band.axes[0].collections[1].get_paths())
    assert low == pytest.approx(40)
    assert band.get_suptitle().split("\n") == [
        "trained on here, tested on there",
        "mean and standard deviation over 2 seeds; tower: toy",
        "a toy's numbers say nothing",
    ]


def test_the_file_is_drawn_alike_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        plot_shots(shot_curves(ROWS), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
