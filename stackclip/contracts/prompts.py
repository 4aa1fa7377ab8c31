"""What prompt strategies promise, besides what methods do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from stackclip.contracts.methods import predicts
from stackclip.contracts.trial import (
    CATEGORIES,
    MANY,
    UNSEEN,
    Promises,
    Subject,
    global_randomness_untouched,
    require,
    trial_encode,
)
from stackclip.errors import UsageError
from stackclip.methods import Pipeline
from stackclip.ops.given import epochs_of, why_no_name
from stackclip.prompts.ensemble import OVERFLOWS
from stackclip.registry import options_of

__all__ = ["PROMPTS"]


def _partitions(subject: Subject) -> None:
    for categories in (MANY[:1], CATEGORIES, MANY):
        try:
            stacks = subject.make().stacks(categories, trial_encode())
        except UsageError:  # a fixed number of stacks can be more than there are categories
            if len(categories) == len(MANY):
                raise
            continue
        placed = [category for stack in stacks for category in stack]
        require(all(stacks), f"of {len(categories)} categories it made an empty stack: {stacks}")
        wanted = f"wanted each of {', '.join(categories)} once"
        require(sorted(placed) == sorted(categories), f"it placed {', '.join(placed) or 'none'}; {wanted}")


def _stacks_again(subject: Subject) -> None:
    strategy = subject.make()
    first = strategy.stacks(MANY, trial_encode())
    strategy.stacks(tuple(reversed(MANY)), trial_encode())
    for again in (strategy.stacks(MANY, trial_encode()), subject.make().stacks(MANY, trial_encode())):
        require(again == first, f"first {first}, then {again}")


def _called(strategy: Any, stacks: Sequence[tuple[str, ...]]) -> dict[tuple[str, int, bool], Any]:
    """What every category is called under every stack: its own if it is seen, each if it is not."""
    seen = {(name, k, True): (name, stack) for k, stack in enumerate(stacks) for name in stack}
    unseen = {(name, k, False): (name, stack) for name in (*UNSEEN, *MANY) for k, stack in enumerate(stacks)}
    asked = {**seen, **unseen}
    return {key: strategy.subject(*asked[key], seen=key[2]) for key in asked}


def _names_are_text(subject: Subject) -> None:
    strategy = subject.make()
    for (category, _, seen), name in _called(strategy, strategy.stacks(MANY, trial_encode())).items():
        about = f"the {'seen' if seen else 'unseen'} category {category!r} is called {name!r}"
        why = why_no_name(name)
        require(not why, f"{about}, {why}")


def _names_again(subject: Subject) -> None:
    strategy = subject.make()
    stacks = strategy.stacks(MANY, trial_encode())
    first = _called(strategy, stacks)
    fresh = subject.make()
    for (category, k, seen), name in reversed(first.items()):
        again = fresh.subject(category, stacks[k], seen=seen)
        require(again == name, f"{category!r} is called {name!r}, and asked in another order {again!r}")


def _strategy_draws_nothing(subject: Subject) -> None:
    with global_randomness_untouched():
        strategy = subject.make()
        _called(strategy, strategy.stacks(MANY, trial_encode()))


def _strategy_attributes(subject: Subject) -> None:
    strategy = subject.make()
    epochs_of(getattr(strategy, "epochs", 0))
    overflow = getattr(strategy, "overflow", "error")
    require(overflow in OVERFLOWS, f"overflow is {overflow!r}, wanted {', '.join(OVERFLOWS)}")
    if hasattr(strategy, "explain"):
        json.dumps(strategy.explain(MANY, trial_encode()), allow_nan=False)


def _no_option_twice(subject: Subject) -> None:
    both = {option.name for option in options_of(subject.component.factory)} & {f.name for f in fields(Pipeline)}
    require(not both, f"{', '.join(sorted(both))}: the pipeline has an option of that name, and would take its value")


PROMPTS: Promises = {
    "its stacks hold every category exactly once, and none is empty": _partitions,
    "the same categories always make the same stacks": _stacks_again,
    "every category, seen or not, is called by one line of text without braces": _names_are_text,
    "what a category is called does not depend on what was asked before": _names_again,
    "the global random state is left alone": _strategy_draws_nothing,
    "epochs, overflow and explain, where it has them, are as the pipeline wants them": _strategy_attributes,
    "none of its options has the name of one of the pipeline's": _no_option_twice,
    "it trains and predicts in the pipeline: scores and maps are finite and of the right shape": predicts,
}
