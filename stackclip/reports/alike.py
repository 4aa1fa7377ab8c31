"""Methods that have one image score: whose scores of single pictures are the same, so that their figures have to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackclip.metrics import IMAGE_METRICS
from stackclip.reports.exhibits import Finder
from stackclip.types import Row

__all__ = ["methods_alike"]


def methods_alike(rows: Sequence[Row], find: Finder) -> list[tuple[str, ...]]:
    """The methods of a table that score every picture alike wherever they were tested, as groups of two or more.

    Equal figures alone do not say so: scores are compared, and rows of which none were kept are like no others.
    """
    groups = list[list[str]]()
    cells = {method: _cells(rows, method) for method in dict.fromkeys(row.method for row in rows)}
    for method, own in cells.items():
        home = next((group for group in groups if _alike(own, cells[group[0]], find)), None)
        if home is None:
            groups.append([method])
        else:
            home.append(method)
    return [tuple(group) for group in groups if len(group) > 1]


def _cells(rows: Sequence[Row], method: str) -> dict[tuple[str, int], Row]:
    return {(row.category, row.seed): row for row in rows if row.method == method}


def _alike(ours: dict[tuple[str, int], Row], theirs: dict[tuple[str, int], Row], find: Finder) -> bool:
    if [_figures(row) for row in ours.values()] != [_figures(theirs[place]) for place in ours if place in theirs]:
        return False
    return len(ours) == len(theirs) and all(_same_scores(row, theirs[place], find) for place, row in ours.items())


def _figures(row: Row) -> list[float | None]:
    return [row.metrics.get(name) for name in IMAGE_METRICS]


def _same_scores(row: Row, other: Row, find: Finder) -> bool:
    """Whether two rows have scores, and the same ones of the same pictures."""
    if row.error or other.error:
        return False
    kept, beside = find(row), find(other)
    if kept is None or beside is None or kept.scores is None or beside.scores is None:
        return False
    return kept.ids == beside.ids and np.array_equal(kept.scores, beside.scores)
