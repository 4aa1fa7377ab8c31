"""Who teaches whom, as tables: data sets that were trained on by data sets that were tested, for each method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from statistics import fmean, pstdev

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import asked_alike
from stackclip.benchmarks.words import as_they_are
from stackclip.ops.words import counted
from stackclip.reports.marks import dependent_on_others
from stackclip.reports.protocols import conditions_of
from stackclip.reports.table import Figure, Summary, TableLine, figure_of
from stackclip.studies.transfer import Transfer
from stackclip.types import Row

__all__ = [
    "ALL_OTHERS",
    "TRANSFER_METRICS",
    "Itself",
    "TransferRows",
    "TransferTable",
    "transfer_notes",
    "transfer_rows",
]

Pair = tuple[Sequence[str], str]
"""The sets that are trained on, and the one that is tested."""
TRANSFER_METRICS = ("image_AUROC", "pixel_AUPRO")
ALL_OTHERS, SINGLE, MEAN, GAIN = "all others", "mean of single sets", "mean", "above singles"
"""What lines and columns are called that are of no one set. The means of lines leave out different sets and are not
compared; how far a line is above the mean of all single sets that taught the same ones is."""


@dataclass(frozen=True, slots=True)
class Itself(Figure):
    """The cell of a set that would be trained on and tested: there is none."""

    value: float | None = None

    @property
    def text(self) -> str:
        """A dash."""
        return "-"


@dataclass(frozen=True, slots=True)
class TransferTable(Summary):
    """A table of one metric whose columns are tested data sets; `head` is its title, `lines_are` what stands left."""

    head: str = ""
    lines_are: str = ""

    @property
    def title(self) -> str:
        """What it is of, in words."""
        return self.head

    @property
    def corner(self) -> str:
        """What its lines are called by."""
        return self.lines_are

    def ranks(self, column: int, category: str | None) -> dict[str, int]:
        """The ranks of a column; none of means over other data sets."""
        alike = self.metrics[column] != MEAN or GAIN not in self.metrics
        return Summary.ranks(self, column, category) if alike else {}


@dataclass(frozen=True)
class TransferRows:
    """The rows of one transfer that were asked alike, in the words as they are.

    Where data sets of equal names lay elsewhere too, `which` tells these from others, and `places` are theirs.
    """

    rows: Sequence[Row]
    transfer: Transfer
    metrics: Sequence[str]
    which: str = ""
    places: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The data sets that were tested."""
        tested = {row.test_on for row in self.rows}
        return tuple(name for name in self.transfer.names if name in tested)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(dict.fromkeys(row.seed for row in self.rows))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods, in order."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @cached_property
    def taught(self) -> tuple[str, ...]:
        """The methods whose figures depend on what they were trained on, as far as rows tell."""
        trained = {row.method for row in self.rows if row.train_on}
        return tuple(method for method in self.methods if method in trained and self._is_moved(method))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The metrics that were measured, of those that are asked for."""
        return tuple(name for name in self.metrics if any(name in (*row.metrics, *row.undefined) for row in self.rows))

    def of(self, method: str, trained: Iterable[str], tested: str) -> Sequence[Row]:
        """The rows of a method that was trained on some sets and tested on one."""
        return self._at.get((method, frozenset(trained), tested), ())

    def all_others(self, method: str, tested: str) -> tuple[str, ...]:
        """All other sets that a method was trained on where one is tested: the most that there are of one training.

        Empty where it was trained on none, or where two trainings have as many.
        """
        sets = {sets for (who, sets, where) in self._at if (who, where) == (method, tested) and sets}
        most = max(map(len, sets), default=0)
        largest = [each for each in sets if len(each) == most]
        return tuple(name for name in self.transfer.names if name in largest[0]) if len(largest) == 1 else ()

    def cell(self, method: str, trained: Sequence[str], tested: str, metric: str) -> Figure:
        """A figure of a method: the mean over the categories of the tested set, then over seeds."""
        if tested in trained:
            return Itself()
        rows = self.of(method, trained, tested)
        why = self.transfer.why_not(trained[0], tested) if len(trained) == 1 and not rows else ""
        return figure_of(rows, metric, self.seeds, self._cells[tested]) if rows else Figure(None, why=why)

    def mean(self, pairs: Sequence[Pair], method: str, metric: str) -> Figure:
        """The mean over pairs of what is trained on and tested, each as much, then over seeds."""
        groups = [self.of(method, trained, tested) for trained, tested in pairs]
        held = [[row for row in rows if metric in row.metrics] for rows in groups]
        by_seed = [
            [fmean(values) for rows in held if (values := [row.metrics[metric] for row in rows if row.seed == seed])]
            for seed in self.seeds
        ]
        means = [fmean(values) for values in by_seed if values]
        if not means:
            return Figure(None)
        return Figure(fmean(means), pstdev(means) if len(means) > 1 else None, sum(map(bool, held)), len(pairs))

    def grids(self) -> Iterator[TransferTable]:
        """For each metric all methods, trained on all other sets; then each method with a line for each set."""
        yield from map(self._overview, self.shown)
        for method in self.taught:
            yield from (self._grid(method, name) for name in self.shown if self._has(method, name))

    def _overview(self, metric: str) -> TransferTable:
        lines = []
        for method in self.methods:
            pairs = [(self.all_others(method, tested), tested) for tested in self.columns]
            cells = [self.cell(method, trained, tested, metric) for trained, tested in pairs]
            lines.append(self._line(self._called(method), method, [*cells, self.mean(pairs, method, metric)]))
        said = "trained on all other data sets, tested on each"
        return self._made(metric, f"{metric}, {said}", "method", lines, (MEAN,))

    def _grid(self, method: str, metric: str) -> TransferTable:
        """A line for each set that is trained on, one for their means, and one for all others together."""
        singles = [(name,) for name in self.transfer.names]
        pairs = {tested: [(each, tested) for each in singles if tested not in each] for tested in self.columns}
        every = [self.mean(each, method, metric) for each in (*pairs.values(), [*chain(*pairs.values())])]
        usual = every[:-1]
        lines = [
            self._taught_by(name[0], [(name, each) for each in self.columns], method, metric, usual) for name in singles
        ]
        lines.append(self._line(SINGLE, method, [*every, Itself()], beside=True))
        others = [(self.all_others(method, tested), tested) for tested in self.columns]
        if any(len(trained) > 1 for trained, _ in others):
            lines.append(self._taught_by(ALL_OTHERS, others, method, metric, usual))
        head = f"{metric}, {method}: trained on each line, tested on each column"
        return self._made(metric, head, "trained on", lines, (MEAN, GAIN))

    def _taught_by(
        self, label: str, pairs: Sequence[Pair], method: str, metric: str, usual: Sequence[Figure]
    ) -> TableLine:
        """What one training is worth on every set, in the mean, and above what single sets are worth there."""
        cells = [self.cell(method, trained, tested, metric) for trained, tested in pairs]
        own = [(trained, tested) for trained, tested in pairs if tested not in trained]
        gains = [
            cell.value - mean.value
            for cell, mean in zip(cells, usual, strict=True)
            if cell.value is not None and mean.value is not None
        ]
        above = fmean(gains) if gains else 0.0
        above = above if round(100 * above, 1) else 0.0  # no -0.0
        gain = Figure(above, counted=len(gains), of=len(own), signed=True) if gains else Figure(None)
        return self._line(label, method, [*cells, self.mean(own, method, metric), gain])

    def _line(self, label: str, method: str, cells: Sequence[Figure], *, beside: bool = False) -> TableLine:
        marked = any(dependent_on_others(row) for row in self.rows if row.method == method)
        return TableLine(label, None, tuple(cells), beside=beside, marked=marked)

    def _made(
        self, metric: str, head: str, corner: str, lines: Sequence[TableLine], apart: Sequence[str]
    ) -> TransferTable:
        first, names = self.rows[0], (*self.columns, *apart)
        shots = [counted(first.shots, "shot")] if first.shots else []
        title = ", ".join(
            [
                head,
                counted(len(self.seeds), "seed"),
                *shots,
                *conditions_of(first),
                *([self.which] if self.which else []),
            ]
        )
        categories = tuple(dict.fromkeys(row.category for row in self.rows))
        tested, sets = "+".join(self.columns), "+".join(self.transfer.names)
        facts = (sets, tested, first.shots, self.seeds, categories, names, tuple(lines))
        return TransferTable(*facts, over_shots=metric, head=title, lines_are=corner)

    def _called(self, method: str) -> str:
        if method in self.taught:
            return method
        trained = any(row.train_on for row in self.rows if row.method == method)
        return f"{method} ({'the same whatever is trained on' if trained else 'not trained'})"

    def _has(self, method: str, metric: str) -> bool:
        return any(metric in row.metrics for row in self.rows if row.method == method)

    def _is_moved(self, method: str) -> bool:
        """Whether what is trained on changes anything: not, where several trainings say the same wherever they do."""
        told: dict[tuple[str, str, int], list[Mapping[str, float]]] = {}
        for row in self.rows:
            if row.method == method:
                told.setdefault((row.test_on, row.category, row.seed), []).append(row.metrics)
        several = [each for each in told.values() if len(each) > 1]
        return not several or any(metrics != each[0] for each in several for metrics in each)

    @cached_property
    def _at(self) -> Mapping[tuple[str, frozenset[str], str], Sequence[Row]]:
        found: dict[tuple[str, frozenset[str], str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.method, frozenset(row.train_on), row.test_on), []).append(row)
        return found

    @cached_property
    def _cells(self) -> Mapping[str, int]:
        """How many cells of each tested set a method has at most."""
        where = {(row.test_on, row.category) for row in self.rows}
        return {name: len(self.seeds) * sum(tested == name for tested, _ in where) for name in self.columns}


def transfer_rows(rows: Iterable[Row], transfer: Transfer, metrics: Sequence[str] = ()) -> list[TransferRows]:
    """The rows of a transfer, apart where the shots, what was asked, or the places of data sets are others."""
    found: list[tuple[tuple[object, ...], dict[str, str], list[Row]]] = []
    for row in filter(as_they_are, rows):
        if not {*row.train_on, row.test_on} <= {*transfer.names} or row.test_on in row.train_on:
            continue
        key, places = (row.shots, *asked_alike(row)), _places(row)
        home = next((each for each in found if each[0] == key and _agree(each[1], places)), None)
        if home is None:
            found.append(home := (key, {}, []))
        home[1].update(places)
        home[2].append(row)
    shown, several = tuple(metrics) or TRANSFER_METRICS, len({key for key, _, _ in found}) < len(found)
    return [
        TransferRows(tuple(own), transfer, shown, f"data {number}" if several else "", places)
        for number, (_, places, own) in enumerate(found, 1)
    ]


def transfer_notes(found: Sequence[TransferRows]) -> Iterator[str]:
    """What has to be said below the tables: why pairs were not measured, and where all others are not all."""
    said = dict[str, None]()
    for each in found:
        said |= dict.fromkeys(f"n/a, {pair.tested} after {pair.trained}: {pair.why}" for pair in each.transfer.refused)
        said |= dict.fromkeys(_lacking(each))
        if each.which:
            said[f"{each.which}: {', '.join(f'{name} at {place}' for name, place in each.places.items())}"] = None
    yield from said


def _lacking(found: TransferRows) -> Iterator[str]:
    """The pairs that could have been measured and were not, and what stands for all others where it is not all."""
    names, transfer = found.transfer.names, found.transfer
    for method, tested in ((method, tested) for method in found.taught for tested in found.columns):
        wanted = [name for name in names if name != tested]
        missing = [n for n in wanted if not transfer.why_not(n, tested) and not found.of(method, (n,), tested)]
        if missing:
            yield f"n/a, not measured: {method} on {tested} after {', '.join(missing)}"
        others = found.all_others(method, tested)
        if others and len(others) < len(wanted):
            left = ", ".join(name for name in wanted if name not in others)
            yield f"{ALL_OTHERS} of {tested} are {', '.join(others)}, without {left}"


def _places(row: Row) -> dict[str, str]:
    """Where the data sets of a row lay, as far as it says."""
    facts = facts_of(row)
    lay = dict(zip(row.train_on, facts.trained.places, strict=False)) | {row.test_on: facts.tested.place}
    return {name: place for name, place in lay.items() if place}


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name, place) == place for name, place in other.items())
