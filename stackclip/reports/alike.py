"""Methods that have one image score: whose scores of single pictures are the same, so that their figures have to be."""

from __future__ import annotations

from collections.abc import Sequence

from stackclip.metrics import IMAGE_METRICS
from stackclip.reports.exhibits import Finder
from stackclip.types import Row

__all__ = ["ScoreFinder", "methods_alike"]


class ScoreFinder:
    """The scores of rows by picture, each read once; None of a row of which none were kept."""

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._known: dict[int, tuple[Row, dict[str, float] | None]] = {}  # with the row, so that its id stays its own

    def __call__(self, row: Row) -> dict[str, float] | None:
        """The scores of a row."""
        if id(row) not in self._known:
            kept = None if row.error else self._find(row)
            scores = (
                None if kept is None or kept.scores is None else dict(zip(kept.ids, kept.scores.tolist(), strict=True))
            )
            self._known[id(row)] = row, scores
        return self._known[id(row)][1]


def methods_alike(rows: Sequence[Row], scores: ScoreFinder) -> list[tuple[str, ...]]:
    """The methods of a table that score every picture alike wherever they were tested, as groups of two or more.

    Equal figures alone do not say so: scores are compared, and rows of which none were kept are like no others.
    """
    groups = list[list[str]]()
    cells = {method: _cells(rows, method) for method in dict.fromkeys(row.method for row in rows)}
    for method, own in cells.items():
        home = next((group for group in groups if _alike(own, cells[group[0]], scores)), None)
        if home is None:
            groups.append([method])
        else:
            home.append(method)
    return [tuple(group) for group in groups if len(group) > 1]


def _cells(rows: Sequence[Row], method: str) -> dict[tuple[str, int], Row]:
    return {(row.category, row.seed): row for row in rows if row.method == method}


def _alike(ours: dict[tuple[str, int], Row], theirs: dict[tuple[str, int], Row], scores: ScoreFinder) -> bool:
    if ours.keys() != theirs.keys() or any(_figures(row) != _figures(theirs[place]) for place, row in ours.items()):
        return False
    return all((own := scores(row)) is not None and own == scores(theirs[place]) for place, row in ours.items())


def _figures(row: Row) -> list[float | None]:
    return [row.metrics.get(name) for name in IMAGE_METRICS]
