"""What it would take to tell methods apart, from rows: the matrix of differences, and the words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackclip.benchmarks.intervals import draw_facts, pooled_draws
from stackclip.errors import UsageError
from stackclip.metrics.evidence import Evidence
from stackclip.metrics.power import components_of
from stackclip.studies.power import OBSERVED, components, effect_of, power_lines
from stackclip.types import Row

NAME = "image_AUROC"
DIFFERENCES = np.array([[0.02, 0.03, 0.01], [0.05, 0.06, 0.07], [-0.01, 0.01, 0.00], [0.03, 0.02, 0.04]])  # (C, S)


def rows(differences: np.ndarray = DIFFERENCES) -> list[Row]:
    return [
        Row(
            method,
            (),
            "mvtec",
            f"c{place}",
            0,
            seed,
            {NAME: 0.8 + value * (method == "b")},
            facts={"tested_pictures": 50},
        )
        for method in "ab"
        for place, line in enumerate(differences)
        for seed, value in enumerate(line)
    ]


def test_components_are_those_of_the_differences() -> None:
    found = components(rows(), "b", "a", NAME)
    assert found is not None
    wanted = components_of(DIFFERENCES)
    for name in ("mean", "categories", "seeds", "rest", "of_categories", "of_seeds"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name))


def test_a_category_that_lacks_a_seed_does_not_count() -> None:
    some = [row for row in rows() if (row.method, row.category, row.seed) != ("b", "c1", 2)]
    found = components(some, "b", "a", NAME)
    assert found is not None
    assert found.of_categories == 3
    alone = [row for row in rows() if row.method == "a" or row.seed == int(row.category[1:]) % 3]
    assert components(alone, "b", "a", NAME) is None
    [line] = power_lines(alone, [NAME], OBSERVED)
    assert line == "b - a image AUROC: both have no category with every seed"


def test_pictures_are_known_from_draws() -> None:
    draw, labels = np.random.default_rng(0), np.arange(60) % 2
    pair = []
    for method, skill in (("a", 1.0), ("b", 2.0)):
        facts = draw_facts(Evidence(labels, draw.normal(size=60) + skill * labels), "0123456789abcdef" * 4)
        pair.append(
            Row(method, (), "mvtec", "cap", 0, 0, {NAME: 0.8 + skill / 20}, facts={**facts, "tested_pictures": 60})
        )
    found = components(pair, "b", "a", NAME)
    drawn = pooled_draws([(pair[1], pair[0])], NAME)
    assert found is not None
    assert drawn is not None
    assert found.pictures == pytest.approx(np.var(drawn, ddof=1))
    [line] = power_lines(pair, [NAME], OBSERVED)
    assert "seeds: unknown from one; categories: unknown from one; " in line
    wanted = int(np.ceil(60 * found.pictures_factor(0.05)))
    assert line.endswith(f"{wanted} pictures of these categories (now 60)")
    assert pooled_draws([(pair[1], replace(pair[0], facts={}))], NAME) is None


def test_a_line_says_what_seeds_can_do_and_what_they_cannot() -> None:
    [line] = power_lines(rows(), [NAME], OBSERVED)
    found = components_of(DIFFERENCES)
    assert line.startswith("b - a +2.8 image AUROC, to find it with 80 % power at p < .05: ")
    assert f"{found.seeds_needed(found.mean)} seeds on these categories (now 3)" in line
    here = f"now 4, whose differences vary by {100 * found.categories**0.5:.1f}; with these alone no number of seeds is"
    assert f"{found.categories_needed(found.mean)} categories ({here} enough)" in line
    [line] = power_lines(rows(), [NAME], 0.5)
    assert line.startswith("b - a +0.5 image AUROC")


def test_equal_methods_have_nothing_to_be_found() -> None:
    [line] = power_lines(rows(np.zeros((3, 2))), [NAME], OBSERVED)
    assert line == "b - a +0.0 image AUROC: no difference to be found"
    [line] = power_lines(rows(np.zeros((3, 2))), [NAME], 1.0)
    assert "no further seed: they change nothing; no further category: they do not vary" in line
    assert list(power_lines(rows(), [NAME], None)) == []


@pytest.mark.parametrize("given", ["nothing", "0", -1, 101, float("nan"), True, []])
def test_what_is_no_difference_is_refused(given: object) -> None:
    with pytest.raises(UsageError, match=r"wanted observed, or a difference in points of 100, as in 0\.5"):
        effect_of(given)


def test_what_is_one_is_taken() -> None:
    assert [effect_of(each) for each in (None, OBSERVED, "0.5", 2, 100)] == [None, OBSERVED, 0.5, 2.0, 100.0]


def test_one_method_alone_is_said_to_be_alone() -> None:
    [line] = power_lines([row for row in rows() if row.method == "a"], [NAME], 0.5)
    assert line == "a alone: --power tells methods apart, and there is no other in this table"
