"""How many seeds, categories and pictures it would take to tell methods apart, from what varies in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, isinf, isnan, nan

import numpy as np

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.intervals import cells_of, pooled_draws
from stackclip.errors import UsageError
from stackclip.metrics.power import MOST, POWER, Components, components_of
from stackclip.metrics.uncertainty import LEVEL, enough
from stackclip.types import Row

__all__ = ["OBSERVED", "Effect", "components", "effect_of", "power_lines"]

OBSERVED = "observed"
"""The difference that was found, for the difference that is to be told from none."""
Effect = float | str | None
"""A difference in points of 100, `observed`, or None where nothing is asked."""
_SMALLEST = 5e-5  # a difference that prints as 0.0 is none to be told apart


def effect_of(given: object) -> Effect:
    """A difference that is to be found as it was given: `observed` or points above 0. Raises UsageError for others."""
    if given is None or given == OBSERVED:
        return None if given is None else OBSERVED
    try:
        points = float(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else nan
    except ValueError:
        points = nan
    if not 0 < points <= 100:
        raise UsageError(f"power={given!r}; wanted {OBSERVED}, or a difference in points of 100, as in 0.5")
    return points


def components(rows: Sequence[Row], method: str, other: str, metric: str) -> Components | None:
    """What varies in the difference of two methods, over the categories that both have with every seed of theirs.

    None where there is no such category. What pictures add is known where rows have draws of the same pictures.
    """
    ours, theirs = cells_of(rows, method), cells_of(rows, other)
    both = [place for place in ours if place in theirs and metric in ours[place].metrics]
    both = [place for place in both if metric in theirs[place].metrics]
    seeds = dict.fromkeys(seed for _, seed in both)
    categories = dict.fromkeys(category for category, _ in both)
    whole = [category for category in categories if all((category, seed) in both for seed in seeds)]
    if not whole:
        return None
    pairs = [[(ours[category, seed], theirs[category, seed]) for seed in seeds] for category in whole]
    values = np.array([[row.metrics[metric] - beside.metrics[metric] for row, beside in line] for line in pairs])
    drawn = pooled_draws([pair for line in pairs for pair in line], metric)
    return components_of(values, nan if drawn is None or not enough(drawn) else float(np.nanvar(drawn, ddof=1)))


def power_lines(rows: Sequence[Row], metrics: Iterable[str], effect: Effect) -> Iterator[str]:
    """A line for each method but the first and each metric: what it would take to tell it from the first."""
    if effect is None:
        return
    first, *others = dict.fromkeys(row.method for row in rows)
    if not others:
        yield f"{first} alone: --power tells methods apart, and there is no other in this table"
    pictures = sum({row.category: facts_of(row).tested_pictures for row in rows}.values())
    head = f"to find it with {100 * POWER:.0f} % power at p < {1 - LEVEL:.2f}".replace("0.", ".")
    for method in others:
        for metric in metrics:
            found = components(rows, method, first, metric)
            if found is None:
                yield f"{method} - {first} {metric.replace('_', ' ')}: both have no category with every seed"
            else:
                points = 100 * abs(found.mean) if effect == OBSERVED else float(effect)
                sign = "+" if found.mean >= 0 else "-"
                title = f"{method} - {first} {sign}{points:.1f} {metric.replace('_', ' ')}"
                wanted = "; ".join(_wanted(found, points / 100, pictures)) if points / 100 >= _SMALLEST else ""
                yield f"{title}, {head}: {wanted}" if wanted else f"{title}: no difference to be found"


def _wanted(found: Components, difference: float, pictures: int) -> Iterator[str]:
    """What it takes in seeds, categories and pictures."""
    yield _seeds(found, difference)
    yield _categories(found, difference)
    if (factor := found.pictures_factor(difference)) > 0:
        times = f"{factor:.1f} times the pictures" if not pictures else f"{_number(ceil(factor * pictures))} pictures"
        yield f"{times} of these categories{f' (now {pictures})' if pictures else ''}"


def _seeds(found: Components, difference: float) -> str:
    needed = found.seeds_needed(difference)
    if isnan(needed):
        return "seeds: unknown from one"
    if not needed:
        return "no further seed: they change nothing"
    return f"{_number(needed)} seeds on these categories (now {found.of_seeds})"


def _categories(found: Components, difference: float) -> str:
    needed = found.categories_needed(difference)
    if isnan(needed):
        return "categories: unknown from one"
    if not needed:
        return "no further category: they do not vary"
    here = f"now {found.of_categories}, whose differences vary by {100 * found.categories**0.5:.1f}"
    seeds = found.seeds_for_categories(difference)
    if needed > found.of_categories and not isnan(seeds):
        enough = "no number of seeds is enough" if isinf(seeds) else f"{_number(seeds)} seeds are enough"
        here += f"; with these alone {enough}"
    return f"{_number(needed)} categories ({here})"


def _number(count: float) -> str:
    return f"more than {MOST}" if isinf(count) else str(int(count))
