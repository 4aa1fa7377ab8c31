"""What words alone cause: how far a method moves when it reads other words that mean the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import asked_alike, standing
from stackclip.benchmarks.words import as_they_are
from stackclip.ops.words import counted
from stackclip.reports.columns import firsts_of
from stackclip.reports.table import Figure, Summary, TableLine, figure_of
from stackclip.types import Row

__all__ = ["in_other_words", "only_in_other_words"]


@dataclass(frozen=True)
class Wordings:
    """The rows of one table in all wordings: draw 0 is the words as they are."""

    rows: Sequence[Row]

    @cached_property
    def draws(self) -> tuple[int, ...]:
        """The draws that there are."""
        return tuple(sorted({facts_of(row).words for row in self.rows}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the words as they are."""
        return tuple(dict.fromkeys(row.seed for row in self.rows if as_they_are(row)))

    def reads(self, method: str) -> bool:
        """Whether a method reads any words, as far as its rows of other words say."""
        return any(facts_of(row).reads_words for row in self.rows if row.method == method and not as_they_are(row))

    def values(self, method: str, category: str | None, metric: str) -> Mapping[int, float]:
        """The metric at each draw, the mean over categories, then seeds; of draws with as many cells as draw 0."""
        found = dict[int, Figure]()
        for draw in self.draws:
            own = [row for row in self._of(method, draw) if category in (None, row.category)]
            found[draw] = figure_of(own, metric, self.seeds, 0)
        whole = found[0].counted if 0 in found else 0
        return {draw: each.value for draw, each in found.items() if each.value is not None and each.counted == whole}

    def _of(self, method: str, draw: int) -> Iterator[Row]:
        return (row for row in self.rows if row.method == method and facts_of(row).words == draw)


def in_other_words(tables: Iterable[Summary], groups: Iterable[Sequence[Row]], rows: Sequence[Row]) -> list[Summary]:
    """Tables of rows with, below each method that reads words, what it is in all wordings, and sentences on that.

    `groups` are the rows of each table, `rows` all, those in other words among them.
    """
    others = dict[tuple[object, ...], list[Row]]()
    for row in rows:
        if not as_they_are(row):
            others.setdefault(_key(row), []).append(row)
    pairs = zip(tables, groups, strict=True)
    return [
        _worded(table, Wordings([*own, *found])) if (found := others.get(_key(own[0]))) else table
        for table, own in pairs
    ]


def only_in_other_words(rows: Sequence[Row]) -> Iterator[str]:
    """What has to be said of rows in other words that stand in no table, as none has the words as they are."""
    known = {_key(row) for row in rows if as_they_are(row)}
    lost = [row for row in rows if not as_they_are(row) and _key(row) not in known]
    if lost:
        draws = ", ".join(map(str, sorted({facts_of(row).words for row in lost})))
        count = counted(len(lost), "row")
        yield f"no table has {count} in other words (draws {draws}): none is there in the words as they are"


def _key(row: Row) -> tuple[object, ...]:
    return row.train_on, row.test_on, row.shots, standing(row), asked_alike(row)


def _worded(table: Summary, wordings: Wordings) -> Summary:
    lines = list[TableLine]()
    for line in table.lines:
        lines.append(line)
        if not line.beside and wordings.reads(line.method):
            cells = tuple(_figure(wordings, line, metric) for metric in table.metrics)
            beside = TableLine(f"in {len(wordings.draws)} wordings", line.category, cells, beside=True)
            lines += [beside] if any(cell.value is not None for cell in cells) else []
    methods = tuple(dict.fromkeys(line.method for line in table.lines if not line.beside))
    said = (_legend(wordings), *_unmoved(wordings, methods), *_compared(wordings, methods, table.metrics))
    return replace(table, lines=tuple(lines), compared=(*table.compared, *said))


def _figure(wordings: Wordings, line: TableLine, metric: str) -> Figure:
    """The mean over the wordings with their standard deviation, and the ends of their range as an interval."""
    values = list(wordings.values(line.method, line.category, metric).values())
    if len(values) < 2:
        return Figure(None)
    ends = (min(values), max(values))
    return Figure(fmean(values), stdev(values), len(values), len(wordings.draws), interval=ends)


def _legend(wordings: Wordings) -> str:
    others = counted(len(wordings.draws) - 1, "draw")
    return (
        f"in {len(wordings.draws)} wordings: mean, standard deviation, least and greatest over the words as they are "
        f"and {others} of equivalent ones"
    )


def _unmoved(wordings: Wordings, methods: Iterable[str]) -> Iterator[str]:
    known = {row.method for row in wordings.rows if not as_they_are(row)}
    still = [method for method in methods if method in known and not wordings.reads(method)]
    if still:
        yield f"{', '.join(still)}: no words are read, so none move {'it' if len(still) == 1 else 'them'}"
    if alone := [method for method in methods if method not in known]:
        yield f"{', '.join(alone)}: not measured in other words"


def _compared(wordings: Wordings, methods: Sequence[str], metrics: Sequence[str]) -> Iterator[str]:
    """Each method beside the first, paired by draw, against what words alone do to the one of both they move more."""
    first, *others = methods
    for metric in firsts_of(metrics):
        for method in others:
            own, base = (wordings.values(each, None, metric) for each in (method, first))
            if len(both := sorted(own.keys() & base.keys())) > 1 and not both[0]:
                yield _verdict(metric, (method, first), [[each[draw] for draw in both] for each in (own, base)])


def _verdict(metric: str, pair: tuple[str, str], values: Sequence[Sequence[float]]) -> str:
    """The difference of a pair in a line; `values` are those of both at the same draws, draw 0 first."""
    apart = [100 * (own - other) for own, other in zip(*values, strict=True)]
    moved, whom = max((100 * stdev(each), who) for each, who in zip(values, pair, strict=True))
    ahead = sum(each > 0 for each in apart)
    if not any(apart):
        return f"{metric.replace('_', ' ')}: {pair[0]} and {pair[1]} are equal in all {len(apart)} wordings"
    small = "less" if abs(apart[0]) < moved else "no less"
    return (
        f"{metric.replace('_', ' ')}: {pair[0]} - {pair[1]} {apart[0]:+.1f} as the words are, which is {small} than "
        f"words alone move {whom} (±{moved:.1f}); in {len(apart)} wordings {fmean(apart):+.1f} ±{stdev(apart):.1f}, "
        f"above 0 in {ahead}"
    )
