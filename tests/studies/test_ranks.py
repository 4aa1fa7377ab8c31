"""Ranks of methods from rows: what is a block, who takes part, and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stackclip.errors import UsageError
from stackclip.metrics.ranks import critical_difference
from stackclip.studies.ranks import RankQuestion, rank_lines, rankings
from stackclip.types import Row

NAME = "image_AUROC"


def row(method: str, category: str, value: float | None, seed: int = 0, **more: Any) -> Row:
    words = {"train_on": ("visa",), "test_on": "mvtec", "shots": 0} | more
    metrics = {} if value is None else {NAME: value}
    return Row(
        method,
        words["train_on"],
        words["test_on"],
        category,
        words["shots"],
        seed,
        metrics,
        facts=words.get("facts", {}),
    )


def ordered(methods: Sequence[str], categories: int, **more: Any) -> list[Row]:
    """Rows of methods of which each is better than the one before it, everywhere."""
    return [
        row(method, f"c{place}", 0.5 + place / 100 + number / 20, **more)
        for number, method in enumerate(methods)
        for place in range(categories)
    ]


def test_the_best_comes_first_and_what_nemenyi_leaves_together_is_said() -> None:
    [found] = rankings(ordered("abc", 12), [NAME, "pixel_AP"], RankQuestion())
    assert (found.methods, found.found.ranks, found.found.blocks) == (("c", "b", "a"), (1.0, 2.0, 3.0), 12)
    assert found.distance == critical_difference(3, 12) == pytest.approx(0.957, abs=1e-3)  # 2.3437 * sqrt(12 / 72)
    assert found.groups == ()
    assert (
        "c 1.00, b 2.00, a 3.00; Friedman F(2, 22) = inf, exact p < .001: all are told apart (Nemenyi, 0.96 ranks)"
        in found.text
    )
    [few] = rankings(ordered("abc", 6), [NAME], RankQuestion())
    assert few.groups == (("c", "b"), ("b", "a"))


def test_wilcoxon_is_an_alternative() -> None:
    [found] = rankings(ordered("abc", 12), [NAME], RankQuestion(test="wilcoxon"))
    assert found.distance is None
    assert found.groups == ()
    [few] = rankings(ordered("ab", 4), [NAME], RankQuestion(test="wilcoxon"))
    assert few.groups == (("b", "a"),)  # four signs alike have p = .125


def test_where_friedman_finds_nothing_all_are_one_group() -> None:
    rows = [row(method, f"c{place}", 0.5) for method in "abc" for place in range(5)]
    [found] = rankings(rows, [NAME], RankQuestion())
    assert not found.differ
    assert found.groups == (("a", "b", "c"),)
    assert found.text.endswith("exact p = 1.00: no method is told from another")


def test_a_value_is_the_mean_over_seeds() -> None:
    rows = [row("a", f"c{n}", value, seed) for n in range(3) for seed, value in enumerate((0.2, 0.8))]
    rows += [row("b", f"c{n}", value, seed) for n in range(3) for seed, value in enumerate((0.6, 0.6))]
    [found] = rankings(rows, [NAME], RankQuestion())
    assert (found.methods, found.found.blocks) == (("b", "a"), 3)


def test_data_sets_are_blocks_by_the_means_of_their_categories() -> None:
    rows = [each for name in ("mvtec", "loco", "dagm") for each in ordered("ab", 4, test_on=name)]
    [by_set] = rankings(rows, [NAME], RankQuestion("data-sets"))
    [by_category] = rankings(rows, [NAME], RankQuestion())
    assert (by_set.blocks, by_category.blocks) == ("3 data sets", "12 categories")


def test_methods_that_lack_blocks_are_left_out_and_named_and_blocks_that_most_lack_do_not_count() -> None:
    rows = [*ordered("abc", 5), row("d", "c0", 0.9), row("d", "c1", None), row("a", "rare", 0.9)]
    [found] = rankings(rows, [NAME], RankQuestion())
    assert (set(found.methods), found.found.blocks, found.left_out) == ({"a", "b", "c"}, 5, ("d",))
    assert found.text.endswith("left out, as they lack some: d")


def test_other_shots_and_another_training_of_the_same_set_are_ranked_apart() -> None:
    rows = [*ordered("ab", 4), *ordered("ab", 4, shots=2)]
    found = rankings(rows, [NAME], RankQuestion())
    assert [each.found.blocks for each in found] == [4, 4]
    assert [each.title for each in found] == ["", ", 2 shots"]
    rows = [*ordered("ab", 4), *ordered("ab", 4, train_on=("loco",))]
    assert [each.title for each in rankings(rows, [NAME], RankQuestion())] == [", trained on visa", ", trained on loco"]


def test_sets_that_were_trained_for_apart_are_ranked_together() -> None:
    rows = [*ordered("ab", 4), *ordered("ab", 3, test_on="visa", train_on=("mvtec",))]
    [found] = rankings(rows, [NAME], RankQuestion())
    assert (found.title, found.found.blocks) == ("", 7)


def test_too_little_to_rank_is_said() -> None:
    for rows in (ordered("a", 5), ordered("ab", 1), []):
        question = RankQuestion()
        assert rankings(rows, [NAME], question) == []
        [line] = rank_lines([], question)
        assert line == "no ranks: that takes two methods or more, measured on the same two categories or more"


def test_other_words_are_refused() -> None:
    with pytest.raises(UsageError, match=r"ranks_over='sets' .*; wanted categories or data-sets"):
        RankQuestion("sets")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"ranks_test='t'; wanted nemenyi or wilcoxon"):
        RankQuestion(test="t")  # type: ignore[arg-type]
