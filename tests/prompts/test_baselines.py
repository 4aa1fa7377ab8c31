"""The precise and fuzzy baselines: what a category is called."""

from __future__ import annotations

from stackclip.prompts import Strategy
from stackclip.registry import prompts

CATEGORIES = ("bottle", "metal nut", "zipper")


def test_every_strategy_of_the_package_is_a_strategy():
    for name in ("fuzzy", "precise", "stacked"):
        assert isinstance(prompts.create(name), Strategy)


def test_precise_calls_every_category_by_its_name():
    strategy = prompts.create("precise")
    (group,) = strategy.stacks(CATEGORIES, None)
    assert group == CATEGORIES
    assert [strategy.subject(name, group, seen=True) for name in CATEGORIES] == list(CATEGORIES)
    assert strategy.subject("screw", group, seen=False) == "screw"


def test_fuzzy_calls_every_category_by_one_word():
    for spec, word in (("fuzzy", "object"), ("fuzzy[word=thing]", "thing")):
        strategy = prompts.create(spec)
        (group,) = strategy.stacks(CATEGORIES, None)
        assert {strategy.subject(name, group, seen=True) for name in (*CATEGORIES, "screw")} == {word}


def test_epochs_are_those_of_the_paper():
    assert {name: prompts.create(name).epochs for name in ("precise", "fuzzy", "stacked")} == {
        "precise": 15,
        "fuzzy": 2,
        "stacked": 2,
    }
