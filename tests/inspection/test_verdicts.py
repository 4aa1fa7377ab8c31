"""Verdicts by good pictures: their promise, by counting; and what is said of batches that look unlike them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from stackclip.errors import UsageError
from stackclip.inspection.verdicts import (
    SURE,
    check_rate,
    drift_of,
    lowest_rate,
    needed_for,
    p_values,
    percentiles,
    threshold_of,
)


def test_of_all_orders_of_good_pictures_at_most_the_promised_share_is_a_false_alarm() -> None:
    """The last of six exchangeable scores is the tested one: every order is as likely."""
    orders = list(permutations(range(6)))
    for rate in (0.2, 0.35, 0.5, 0.9):
        alarms = [order[5] > threshold_of(order[:5], rate) for order in orders]
        allowed = int(rate * 6 + 1e-9)
        assert np.mean(alarms) == pytest.approx(allowed / 6)
        assert np.mean(alarms) <= rate


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.34])
@pytest.mark.parametrize("levels", [3, 1000])
def test_a_p_value_counts_itself_and_the_good_pictures_that_score_as_high(rate: float, levels: int) -> None:
    draws = np.random.default_rng(levels)
    good, tested = draws.integers(0, levels, 23) / 1.0, draws.integers(-1, levels + 2, 50) / 1.0
    by_hand = np.array([(1 + sum(each >= own for each in good)) / 24 for own in tested])
    assert np.array_equal(p_values(good, tested), by_hand)
    assert np.array_equal(tested > threshold_of(good, rate), by_hand <= rate)
    assert np.allclose(percentiles(good, tested), [100 * sum(each < own for each in good) / 23 for own in tested])


def test_the_smallest_promise_is_one_in_n_plus_one() -> None:
    for good in (1, 3, 19, 99):
        assert lowest_rate(good) == 1 / (good + 1)
        assert needed_for(lowest_rate(good)) == good
        check_rate(lowest_rate(good), good)
        with pytest.raises(UsageError, match=f"wants {good} good picture"):
            check_rate(lowest_rate(good), good - 1)
    with pytest.raises(UsageError, match=r"there are 12: add some to --good, or say --false-alarms 0\.077"):
        threshold_of(range(12), 0.01)


def test_good_batches_are_seldom_said_to_have_drifted_and_others_are() -> None:
    draws = np.random.default_rng(0)
    found = [drift_of(draws.normal(size=25), draws.normal(size=40)) for _ in range(1500)]
    assert np.mean([each is not None for each in found]) <= SURE
    good = draws.normal(size=40)
    half_bad = np.concatenate([draws.normal(size=20), draws.normal(size=20) + 9])
    assert drift_of(good, half_bad) is None
    brighter, other = drift_of(good, draws.normal(size=30) + 3), drift_of(good, draws.normal(size=30) - 3)
    assert brighter is not None
    assert brighter.side == "higher"
    assert str(brighter).startswith("drift: 30 of 30 pictures score higher than half of the good ones do")
    assert other is not None
    assert other.side == "lower"
    assert drift_of([], [1.0]) is drift_of([1.0], []) is None


@pytest.mark.parametrize("good", [[1.0] * 40, [0.0] * 10 + [1.0] * 20 + [2.0] * 10])
def test_scores_as_high_as_the_median_of_the_good_ones_are_no_drift(good: list[float]) -> None:
    assert drift_of(good, [1.0] * 60) is None
    assert drift_of(good, [1.0] * 60 + [9.0] * 60) is None
    lower, higher = drift_of(good, [-1.0] * 60), drift_of(good, [9.0] * 60)
    assert lower is not None
    assert (lower.side, lower.beyond) == ("lower", 60)
    assert higher is not None
    assert (higher.side, higher.beyond) == ("higher", 60)


def test_at_exact_multiples_a_rate_allows_what_whole_numbers_say() -> None:
    for good in range(1, 1000):
        for percent in (1, 2, 5, 7, 10, 20, 29, 30, 57, 70, 90):
            allowed = percent * (good + 1) // 100 - 1
            if allowed < 0:
                with pytest.raises(UsageError):
                    threshold_of(range(good), percent / 100)
            else:
                assert threshold_of(range(good), percent / 100) == good - 1 - allowed
