"""Which figures of a table are better than others by a paired test, and not only higher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackclip.reports.table import Figure
from stackclip.studies.significance import Inference, compare_with
from stackclip.types import Row

__all__ = ["CHANCE", "marks_by_test"]

CHANCE = 0.05
"""The p of a paired test below which one figure is called better than another."""
_OVER_PICTURES = Inference()


def marks_by_test(
    rows: Sequence[Row], figures: Mapping[str, Figure], metric: str, inference: Inference = _OVER_PICTURES
) -> dict[str, int]:
    """1 for the best method, where a paired test finds it better than each of the others, and 2 for the second then.

    The p of the tests of one method against the others are corrected together. Figures of fewer cells than others have
    are no match for these. Nothing is marked that looks equal to another.
    """
    most = max((each.counted for each in figures.values()), default=0)
    known = {name: each.value for name, each in figures.items() if each.value is not None and each.counted == most}
    order = sorted(known, key=lambda name: -known[name])
    found = dict[str, int]()
    for mark, method in enumerate(order[:2], start=1):
        others = order[mark:]
        looks = all(round(100 * known[other], 1) < round(100 * known[method], 1) for other in others)
        if not (others and looks and _is_better(rows, method, others, metric, inference)):
            break
        found[method] = mark
    return found


def _is_better(rows: Sequence[Row], method: str, others: Sequence[str], metric: str, inference: Inference) -> bool:
    """Whether a method is better than each of the others, in all cells."""
    found = compare_with(rows, method, others, metric, inference)  # by how much the others are better than it
    return len(found) == len(others) and all(
        each.comparison.cells == each.comparison.of and each.comparison.difference.value < 0 and each.corrected < CHANCE
        for each in found
    )
