"""Which of the rows that benches kept a report is of."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stackclip.benchmarks.facts import Reported, facts_of
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.sets import reported, standing
from stackclip.data.naming import name_of
from stackclip.errors import StackclipError
from stackclip.ops.words import counted
from stackclip.registry import Spec, did_you_mean, spread_out
from stackclip.studies.transfer import Transfer, check_names
from stackclip.types import Row

__all__ = ["Selection", "transferred"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of these methods, data sets and seeds; all of what is not said. Data sets go by their names, or as typed."""

    methods: Sequence[str] = ()
    train_on: Sequence[str] = ()
    test_on: Sequence[str] = ()
    seeds: Sequence[int] | None = None

    def of(self, folder: RowFolder) -> list[Row]:
        """The rows that hold now and are selected: by method as these were said, then table by table.

        Raises StackclipError for a data set that no row has, and where nothing is selected.
        """
        names = [name for method in self.methods for name in (method, *spread_out([method]))]  # a grid has rows too
        wanted = {str(Spec.parse(name)): place for place, name in reversed([*enumerate(names)])}
        every = self._without_folds(reported(folder.entries()))
        trained = _named("trained", self.train_on, (name for row in every for name in row.train_on))
        tested = _named("tested", self.test_on, (row.test_on for row in every))
        rows = [
            row
            for row in every
            if (not wanted or row.method in wanted)
            and (not trained or set(row.train_on) == set(trained))
            and (not tested or row.test_on in tested)
            and (self.seeds is None or row.seed in self.seeds)
        ]
        if not rows:
            raise StackclipError(f"no row in {folder.folder} fits; see: stackclip bench --help")
        return sorted(rows, key=lambda row: (wanted.get(row.method, 0), *_table(row)))

    def _without_folds(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Rows but for those of folds, by which points were selected, unless data sets are named; that is said."""
        kept = [row for row in rows if not facts_of(row).fold]
        if self.train_on or self.test_on or len(kept) == len(rows):
            return rows
        left = counted(len(rows) - len(kept), "row")
        first = next(row.test_on for row in rows if facts_of(row).fold)
        logger.info("%s of folds, by which points were selected, not shown; name theirs: --test-on '%s'", left, first)
        return kept


def transferred(rows: Sequence[Row], texts: Sequence[str]) -> tuple[list[Row], Transfer]:
    """The rows of a transfer between data sets as typed, and what it is of; rows of pictures that changed are left out.

    Raises UsageError for fewer than two sets, StackclipError for one that no row has, and where no row is left.
    """
    check_names(texts)
    names = _named("trained or tested", texts, (name for row in rows for name in (*row.train_on, row.test_on)))
    check_names(names)
    between = [row for row in rows if {*row.train_on, row.test_on} <= {*names} and row.test_on not in row.train_on]
    held = [row for row in between if facts_of(row).reported == Reported()]
    if len(held) < len(between):
        logger.info("%s of pictures that are others by now: left out", counted(len(between) - len(held), "row"))
    if not held:
        raise StackclipError(f"no row is between {', '.join(names)}; some are made by: stackclip bench --transfer")
    return held, Transfer(names)


def _table(row: Row) -> tuple[object, ...]:
    shots = (1, 0) if row.shots == "all" else (0, row.shots)
    return row.train_on, row.test_on, shots, standing(row), row.method, row.category, row.seed


def _named(what: str, texts: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names that rows have for data sets as typed: a name itself, or that of the data set so typed.

    Raises StackclipError for one that no row has, with those that there are; `what` says what was done on them.
    """
    names = tuple(dict.fromkeys(known))
    found = []
    for text in texts:
        name = text if text in names else name_of(text)
        if name not in names:
            there = ", ".join(names) or "none"
            raise StackclipError(f"no row was {what} on {text!r}{did_you_mean(name, names)}; there are {there}")
        found.append(name)
    return tuple(found)
