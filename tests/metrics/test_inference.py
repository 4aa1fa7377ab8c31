"""Intervals over categories and Holm's correction, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stackclip.metrics.inference import holm, mean_over_categories, over_categories

VALUES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 4)), min_size=2, max_size=15)


@given(VALUES)
def test_a_difference_over_categories_is_scipys_t_test(values: list[float]) -> None:
    found = over_categories(values)
    if np.std(values) < 1e-6:
        assert (found is None) == (values[0] != 0)
        return
    assert found is not None
    wanted = stats.ttest_1samp(values, 0)
    low, high = wanted.confidence_interval(0.95)
    assert (found.value, found.p) == pytest.approx((np.mean(values), wanted.pvalue))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.least == 0  # no draws bound it


def test_the_interval_of_a_mean_is_that_of_its_odds() -> None:
    # by hand: mean .8, standard error .1 / sqrt(3), t of 2 degrees of freedom 4.3027; logit(.8) = log 4
    found = mean_over_categories([0.7, 0.8, 0.9])
    assert found is not None
    factor = np.exp(4.302653 * (0.1 / np.sqrt(3)) / (0.8 * 0.2))
    assert (found.low, found.high) == pytest.approx((4 / factor / (1 + 4 / factor), 4 * factor / (1 + 4 * factor)))
    assert 0 < found.low < 0.8 < found.high < 1


@pytest.mark.parametrize("values", [[], [0.5], [0.2, np.nan], [0.3, 0.3, 0.3], [[0.1, 0.2]]])
def test_what_says_nothing_of_other_categories_has_no_interval(values: list[float]) -> None:
    assert over_categories(values) is None
    assert mean_over_categories(values) is None


def test_methods_that_are_equal_in_all_categories_do_not_differ() -> None:
    found = over_categories([0.0, 0.0, 0.0])
    assert found is not None
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_same_difference_in_every_category_is_no_proof() -> None:
    assert over_categories([0.01, 0.01]) is None
    assert over_categories(np.array([0.9, 0.7]) - np.array([0.8, 0.6])) is None  # but for rounding


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(chances: list[float]) -> None:
    rejected = set()
    for step, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        if chances[place] * (len(chances) - step) >= 0.05:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(chances)) if p < 0.05} == rejected
