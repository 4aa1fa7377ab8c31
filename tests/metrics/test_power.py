"""How many seeds and categories a difference wants: by hand, by simulated tests, and by tables of sample sizes."""

from __future__ import annotations

from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import integrate, stats

from stackclip.metrics.power import Components, components_of, power_of_t


def test_components_by_hand() -> None:
    # two categories with two seeds: rows 1 3 / 5 11; means of rows 2, 8, of columns 3, 7; what is left is -+1
    found = components_of(np.array([[1.0, 3.0], [5.0, 11.0]]))
    assert found.mean == 5
    assert found.rest == pytest.approx(4.0)  # (1 + 1 + 1 + 1) / 1
    assert found.categories == pytest.approx(18 - 4 / 2)
    assert found.seeds == pytest.approx(8 - 4 / 2)


def test_components_are_found_again() -> None:
    draw, wanted = np.random.default_rng(0), (0.04, 0.01, 0.0025)
    between, seeds, rest = (
        np.mean(each, axis=0)
        for each in zip(
            *(
                (found.categories, found.seeds, found.rest)
                for found in (
                    components_of(
                        0.2 * draw.normal(size=(12, 1))
                        + 0.1 * draw.normal(size=(1, 8))
                        + 0.05 * draw.normal(size=(12, 8))
                    )
                    for _ in range(400)
                )
            ),
            strict=True,
        )
    )
    assert (between, seeds, rest) == pytest.approx(wanted, rel=0.1)


def test_what_one_seed_or_one_category_cannot_tell_is_no_number() -> None:
    one_seed, one_category = components_of(np.array([[1.0], [3.0]])), components_of(np.array([[1.0, 3.0]]))
    assert one_seed.categories == one_category.seeds == 2
    assert isnan(one_seed.seeds_needed(1))
    assert isnan(one_seed.seeds_for_categories(1))
    assert isnan(one_category.categories_needed(1))
    assert one_category.seeds_needed(1) < inf
    assert isnan(components_of(np.array([[1.0]])).seeds_needed(1))


@pytest.mark.parametrize(("level", "apart"), [(0.9, 2e-4), (0.95, 2e-4), (0.99, 2e-4), (0.999, 5e-4), (0.9999, 1e-3)])
@pytest.mark.parametrize("free", [1, 2, 3, 5, 20])
def test_far_from_nothing_the_power_is_as_near_as_it_says(level: float, apart: float, free: int) -> None:
    reach = stats.t.isf((1 - level) / 2, free)
    for shift in (
        35.1,
        50.0,
        100.0,
    ):  # the power is the mean, over normal z, of how often chi is below (shift + z) / reach

        def below(z: float, shift: float = shift) -> float:
            return float(stats.norm.pdf(z) * stats.chi2.cdf(free * ((shift + z) / reach) ** 2, free))

        wanted, _ = integrate.quad(below, -8, 8)
        assert power_of_t(shift, 1.0, free, level=level) == pytest.approx(wanted, abs=apart)


@pytest.mark.parametrize(("difference", "count"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)])
def test_seeds_are_those_of_tables_for_paired_t_tests(difference: float, count: int) -> None:
    # Cohen, Statistical Power Analysis, 1988: d of .5, .8, 1 and 1.5, two-sided at .05, power .8
    assert Components(0, 0, 1.0, 0, 1, 3).seeds_needed(difference) == count
    assert Components(0, 1.0, 0, 0, 3, 1).categories_needed(difference) == count


def test_power_is_the_share_of_tests_that_find_it() -> None:
    draw = np.random.default_rng(1)
    samples = 0.7 + draw.normal(size=(4000, 8))
    share = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)
    assert power_of_t(0.7, 1 / sqrt(8), 7) == pytest.approx(share, abs=0.025)
    assert power_of_t(0.0, 1.0, 7) == pytest.approx(0.05)
    assert power_of_t(1e6, 1.0, 3) == 1
    assert (power_of_t(1.0, 0.0, 3), power_of_t(0.0, 0.0, 3)) == (1, 0)


def test_no_number_of_seeds_removes_the_spread_of_categories() -> None:
    # five categories that vary by .1: a difference of .1 has power .40 at best, .2 has .94
    found = Components(0.1, 0.01, 0.0, 0.01, 5, 2)
    assert found.seeds_for_categories(0.1) == inf
    few = found.seeds_for_categories(0.2)
    assert few < inf
    assert power_of_t(0.2, sqrt((0.01 + 0.01 / few) / 5), 4) >= 0.8
    assert few == 1 or power_of_t(0.2, sqrt((0.01 + 0.01 / (few - 1)) / 5), 4) < 0.8


def test_what_does_not_vary_wants_no_more() -> None:
    found = components_of(np.full((3, 2), 0.1))
    assert (found.seeds_needed(0.1), found.categories_needed(0.1)) == (0, 0)
    assert Components(0, 0, 1.0, 0, 1, 2).seeds_needed(1e-4) == inf


def test_pictures_grow_with_the_variance_that_they_cause() -> None:
    # (1.96 + .8416)^2 = 7.849 times the variance over the squared difference
    found = Components(0.1, 0.0, 0.0, 0.0, 2, 1, pictures=0.0025)
    assert found.pictures_factor(0.1) == pytest.approx(7.849 * 0.0025 / 0.01, rel=1e-3)
    assert isnan(Components(0.1, 0.0, 0.0, 0.0, 2, 1, pictures=nan).pictures_factor(0.1))


@pytest.mark.parametrize("free", [1, 2, 7])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("shift", [1.0, 3.9, 4.1, 8.0, 12.0, 34.0, 36.0, 120.0])
def test_power_is_right_however_many_errors_a_difference_is(free: int, level: float, shift: float) -> None:
    # The chance that a normal of that mean is beyond what the estimated error asks for, over all that it may be.
    even = (np.arange(40_000) + 0.5) / 40_000
    asked = stats.t.ppf((1 + level) / 2, free) * np.sqrt(stats.chi2.ppf(even, free) / free)
    wanted = (stats.norm.cdf(shift - asked) + stats.norm.cdf(-shift - asked)).mean()
    assert power_of_t(shift, 1.0, free, level=level) == pytest.approx(wanted, abs=5e-4)
