"""Mean ranks and what follows from them: against scipy, and Demšar's worked example (JMLR 7, 2006, section 3.2)."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from stackclip.metrics.inference import holm
from stackclip.metrics.ranks import critical_difference, groups_alike, nemenyi_groups, rank_test, wilcoxon_groups

# Table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 sets; `voting` has a digit more, by which it is ranked there.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_demsars_mean_ranks_and_critical_difference() -> None:
    found = rank_test(DEMSAR)
    assert found.ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert critical_difference(4, 14, alpha=0.05) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=5e-3)
    # He prints 9.28 and 3.69, which are not corrected for the ties of four data sets.
    sums = np.array(found.ranks) ** 2
    plain = 12 * 14 / 20 * (sums.sum() - 100 / 4)
    assert plain == pytest.approx(9.28, abs=0.01)
    assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.01)
    assert found.statistic > 3.69
    assert found.p < stats.f.sf(3.69, 3, 39) < 0.05


def test_demsars_data_at_a_tenth_tell_two_pairs_apart() -> None:
    # C4.5+m+cf (1.96) and C4.5+m (2.00) are better than C4.5 (3.14) at .10, as he says; not than C4.5+cf (2.89).
    assert nemenyi_groups(rank_test(DEMSAR), alpha=0.10) == [(3, 1, 2), (2, 0)]
    assert nemenyi_groups(rank_test(DEMSAR), alpha=0.05) == [(3, 1, 2, 0)]


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_his_table(methods: int, quantile: float) -> None:
    assert critical_difference(methods, 6, alpha=0.05) / np.sqrt(methods * (methods + 1) / 36) == pytest.approx(
        quantile, abs=1.1e-3
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.integers(3, 10), st.booleans())
@example(seed=4, methods=4, blocks=3, tied=False)  # one order in every block
def test_friedmans_statistic_is_scipys(seed: int, methods: int, blocks: int, tied: bool) -> None:
    values = np.random.default_rng(seed).random((blocks, methods))
    values = np.round(values, 1) if tied else values
    if not np.ptp(values, axis=1).any():
        return
    chi = stats.friedmanchisquare(*values.T).statistic
    left = blocks * (methods - 1) - chi  # nothing, where all blocks put the methods in one order
    wanted = (blocks - 1) * chi / left if left > 1e-9 else np.inf
    found = rank_test(values)
    assert found.statistic == pytest.approx(wanted, rel=1e-6)
    if not found.exact:
        assert found.p == pytest.approx(stats.f.sf(wanted, methods - 1, (methods - 1) * (blocks - 1)), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(2, 2), (2, 7), (3, 2), (3, 4), (4, 3)]), st.booleans())
def test_of_few_orders_all_are_counted(seed: int, shape: tuple[int, int], tied: bool) -> None:
    methods, blocks = shape
    values = np.random.default_rng(seed).random((blocks, methods))
    values = np.round(values, 1) if tied else values
    ranks = stats.rankdata(-np.round(values, 6), axis=1)
    sums = [np.sum(each, axis=0) for each in product(*(list(permutations(block)) for block in ranks))]
    apart = [float((each**2).sum()) for each in sums]
    found = rank_test(values)
    assert found.exact
    assert found.p == pytest.approx(np.mean([each >= (ranks.sum(0) ** 2).sum() - 1e-9 for each in apart]))


def test_one_order_in_few_blocks_proves_nothing() -> None:
    for blocks in range(2, 8):
        assert rank_test(np.tile([0.9, 0.8], (blocks, 1))).p == pytest.approx(
            2 ** (1 - blocks)
        )  # all heads or all tails


def test_where_orders_are_too_many_f_is_asked() -> None:
    found = rank_test(np.random.default_rng(0).random((40, 6)))
    assert not found.exact


def test_all_ties_and_one_order_everywhere() -> None:
    even = rank_test(np.ones((4, 3)))
    assert (even.ranks, even.p) == ((2.0, 2.0, 2.0), 1.0)
    same = rank_test(np.tile([0.3, 0.2, 0.1], (4, 1)))
    assert (same.ranks, same.p) == ((1.0, 2.0, 3.0), pytest.approx(6**-3))


def test_rounding_makes_no_order() -> None:
    assert rank_test(np.array([[0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]])).ranks == (1.5, 1.5)


@pytest.mark.parametrize("shape", [(1, 3), (4, 1)])
def test_one_block_or_one_method_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"two blocks or more of two methods or more, found \(\d, \d\)"):
        rank_test(np.ones(shape))


def test_runs_are_the_longest_whose_pairs_are_all_alike() -> None:
    ranks = [1.0, 2.0, 3.0, 4.0]
    near = {(0, 1), (1, 2), (2, 3), (0, 2)}
    assert groups_alike(ranks, lambda one, other: tuple(sorted((one, other))) in near) == [(0, 1, 2), (2, 3)]
    assert groups_alike(ranks, lambda one, other: False) == []
    assert groups_alike(ranks[::-1], lambda one, other: True) == [(3, 2, 1, 0)]


def test_wilcoxons_groups_are_those_of_scipys_tests_with_holms_correction() -> None:
    draw = np.random.default_rng(4)
    values = draw.random((14, 1)) / 10 + np.array([0.8, 0.79, 0.6]) + 0.02 * draw.normal(size=(14, 3))
    pairs = list(combinations(range(3), 2))
    chances = holm([stats.wilcoxon(values[:, one], values[:, other]).pvalue for one, other in pairs])
    assert [p < 0.05 for p in chances] == [False, True, True]
    [group] = wilcoxon_groups(rank_test(values), values)
    assert set(group) == {0, 1}
    assert wilcoxon_groups(rank_test(np.ones((6, 2))), np.ones((6, 2))) == [(0, 1)]
