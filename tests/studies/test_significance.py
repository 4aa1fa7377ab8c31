"""Comparisons over pictures and over categories, their correction, and that intervals hold what they promise."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from stackclip.benchmarks.intervals import compare
from stackclip.errors import UsageError
from stackclip.reports.table import summarise
from stackclip.studies.significance import Inference, compare_over, compare_with, compared, figure_interval
from stackclip.types import Row

NAME = "image_AUROC"
OVER_CATEGORIES = Inference("categories")


def rows_of(method: str, values: dict[str, list[float]]) -> list[Row]:
    """Rows without draws: category -> the value with each seed."""
    return [
        Row(method, ("visa",), "mvtec", category, 0, seed, {NAME: value})
        for category, several in values.items()
        for seed, value in enumerate(several)
    ]


ROWS = [
    *rows_of("a", {"cap": [0.80, 0.82], "nut": [0.90, 0.90], "pill": [0.60, 0.64]}),
    *rows_of("b", {"cap": [0.85, 0.85], "nut": [0.91, 0.93], "pill": [0.68, 0.66]}),
    *rows_of("c", {"cap": [0.80, 0.82], "nut": [0.91, 0.90], "pill": [0.60, 0.61]}),
]


def test_seeds_are_averaged_within_categories_and_no_draws_are_needed() -> None:
    found = compare_over(ROWS, "b", "a", NAME, "categories")
    assert found is not None
    differences = [0.04, 0.02, 0.05]
    wanted = stats.ttest_1samp(differences, 0)
    assert (found.difference.value, found.difference.p) == pytest.approx((np.mean(differences), wanted.pvalue))
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(wanted.confidence_interval()))
    assert found.spread == pytest.approx(np.std([(0.05 + 0.01 + 0.08) / 3, (0.03 + 0.03 + 0.02) / 3]))
    assert (found.cells, found.of) == (6, 6)
    assert "+3.7" in found.text
    assert "p = " in found.text


def test_more_seeds_are_no_evidence_of_other_categories() -> None:
    twice = [
        Row(r.method, r.train_on, r.test_on, r.category, 0, r.seed + 2 * n, r.metrics) for r in ROWS for n in (0, 1)
    ]
    once, again = (compare_over(rows, "b", "a", NAME, "categories") for rows in (ROWS, twice))
    assert once is not None
    assert again is not None
    assert again.difference == once.difference


def test_a_cell_counts_where_both_have_it() -> None:
    lacking = [row for row in ROWS if (row.method, row.category) != ("b", "pill")]
    found = compare_over(lacking, "b", "a", NAME, "categories")
    assert found is not None
    assert found.difference.value == pytest.approx(0.03)
    assert "(4 of 6)" in found.text


def test_figures_have_intervals_over_categories() -> None:
    [table] = summarise(ROWS, inference=OVER_CATEGORIES, per_category=True)
    found = figure_interval([row for row in ROWS if row.method == "a"], NAME, "categories")
    assert found is not None
    lines = {(line.method, line.category): line.cells[0].interval for line in table.lines}
    assert lines["a", None] == (found.low, found.high)
    assert lines["a", "cap"] is None  # a category alone


def test_one_category_is_one_line() -> None:
    alone = [row for row in ROWS if row.category == "cap"]
    [line] = compared(alone, [NAME], OVER_CATEGORIES)
    assert line == "over categories: cap alone says nothing of others; --ci-over pictures does of it"
    [table] = summarise(alone, inference=OVER_CATEGORIES)
    assert table.lines[0].cells[0].interval is None


def test_the_p_of_several_methods_are_corrected_together() -> None:
    raw = [compare_over(ROWS, other, "a", NAME, "categories") for other in "bc"]
    chances = [each.difference.p for each in raw if each is not None]
    found = compare_with(ROWS, "a", "bc", NAME, OVER_CATEGORIES)
    assert [each.corrected for each in found] == pytest.approx([2 * chances[0], chances[1]])
    plain = compare_with(ROWS, "a", "bc", NAME, Inference("categories", "none"))
    assert [each.corrected for each in plain] == chances
    assert all("(Holm " in each.text for each in found)
    assert not any("Holm" in each.text for each in plain)
    assert "Holm" not in compare_with(ROWS, "a", "b", NAME, OVER_CATEGORIES)[0].text


def test_lines_say_what_they_are_over() -> None:
    first, *lines = compared(ROWS, [NAME, "pixel_AP"], OVER_CATEGORIES)
    assert first == "over 3 categories, as if others might have been taken (t):"
    assert [line.partition(":")[0] for line in lines] == ["b - a", "c - a"]
    assert list(compared(ROWS, [NAME], Inference())) == []  # rows without draws say nothing of other pictures


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"over": "category"}, "ci_over='category' (did you mean 'categories'?); wanted pictures or categories"),
        ({"correction": "fdr"}, "correction='fdr'; wanted holm or none"),
    ],
)
def test_other_words_are_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Inference(**words)  # type: ignore[arg-type]
    assert str(caught.value) == said


# What intervals promise


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    place = Path(__file__).resolve().parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("simulated_coverage", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check(held: int, made: int, promise: float = 0.95) -> None:
    """Whether a count is one of the 999 of 1000 that are likeliest if the promise holds."""
    low, high = (stats.binom.ppf(share, made, promise) for share in (0.0005, 0.9995))
    assert low <= held <= high


@pytest.mark.parametrize(("count", "vary"), [(4, 0.4), (8, 0.3)])
def test_intervals_over_categories_hold_the_truth_and_tests_find_no_more_than_they_may(
    simulation: ModuleType, count: int, vary: float
) -> None:
    world = simulation.World(count, 30, 30, (1.5, 1.5), vary, 0.2)
    found = simulation.tallies(world, "categories", 400, [NAME])
    for what in ("figure", "difference"):
        check(found[NAME, what].held, found[NAME, what].made)
    check(found[NAME, "difference"].found, 400, 0.05)


def test_intervals_over_pictures_hold_the_truth_where_percentiles_did_not(simulation: ModuleType) -> None:
    world = simulation.World(1, 25, 25, (2.0, 1.6))  # AUROC .92 and .87
    found = simulation.tallies(world, "pictures", 150, [NAME])
    for what in ("figure", "difference"):
        check(found[NAME, what].held, found[NAME, what].made)


def test_over_pictures_is_the_paired_bootstrap(simulation: ModuleType) -> None:
    rows = simulation.rows_of_world(simulation.World(2, 20, 20, (2.0, 1.0)), 3)
    assert compare_over(rows, "a", "b", NAME, "pictures") == compare(rows, "a", "b", NAME)
