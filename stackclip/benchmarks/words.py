"""What a bench in other words calls its categories, and what its rows and its log say of the words."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import product

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.plan import Plan
from stackclip.data.names import STYLES, CategoryNames
from stackclip.errors import DataError
from stackclip.ops.words import counted
from stackclip.registry import Spec
from stackclip.training.rewording import Rewording
from stackclip.types import Row

__all__ = ["as_they_are", "names_in", "say_words", "with_words"]

logger = logging.getLogger(__name__)


def names_in(plan: Plan, spec: str) -> tuple[str, ...]:
    """What the categories of a plan may be called by a method: in every style, and by a file that is given."""
    given = (plan.class_names, dict(Spec.parse(spec).options).get("class_names"))
    styles = dict.fromkeys([*STYLES, *(each for each in given if each and each.lower().endswith(".json"))])
    categories = dict.fromkeys(each for dataset in (*plan.train_on, *plan.test_on) for each in dataset.categories)
    return tuple(dict.fromkeys(_called(style, each) for style, each in product(map(CategoryNames, styles), categories)))


def _called(names: CategoryNames, category: str) -> str:
    try:
        return names(category)
    except DataError:  # whoever needs the name says that the file has none
        return category


def with_words(row: Row, plan: Plan, rewordings: Mapping[str, Rewording]) -> Row:
    """A row that says by which draw of words it was measured, and whether its method reads any; of draw 0 as it is."""
    if not plan.words:
        return row
    read = row.method in rewordings and rewordings[row.method].asked
    return replace(row, facts={**row.facts, "words": plan.words, "reads_words": bool(read or row.error)})


def as_they_are(row: Row) -> bool:
    """Whether a row was measured with the words as they are."""
    return not facts_of(row).words


def say_words(plan: Plan, rewordings: Mapping[str, Rewording], specs: Collection[str]) -> None:
    """Say how many phrases of each method a draw changed, and which methods read none."""
    for spec, found in ((spec, rewordings[spec]) for spec in specs if spec in rewordings):
        if not found.asked:
            logger.info("%s reads no text: no other words change it", spec)
            continue
        long = f", {found.too_long} of them as they would be too long" if found.too_long else ""
        stay = f"{found.asked - found.changed} stay as they are{long}"
        phrases = counted(found.asked, "phrase")
        logger.info("%s, draw %d of words: %d of %s changed, %s", spec, plan.words, found.changed, phrases, stay)
