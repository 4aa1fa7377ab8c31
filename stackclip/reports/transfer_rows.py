"""The rows of a transfer: what each method is worth on each data set, by what it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, pstdev

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import asked_alike
from stackclip.benchmarks.words import as_they_are
from stackclip.reports.table import Figure, figure_of
from stackclip.studies.transfer import Transfer
from stackclip.types import Row

__all__ = ["TRANSFER_METRICS", "Itself", "Pair", "TransferRows", "transfer_rows"]

Pair = tuple[Sequence[str], str]
"""The sets that are trained on, and the one that is tested."""
TRANSFER_METRICS = ("image_AUROC", "pixel_AUPRO")


@dataclass(frozen=True, slots=True)
class Itself(Figure):
    """The cell of a set that would be trained on and tested: there is none."""

    value: float | None = None

    @property
    def text(self) -> str:
        """A dash."""
        return "-"


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


def _places(row: Row) -> dict[str, str]:
    """Where the data sets of a row lay, as far as it says."""
    facts = facts_of(row)
    lay = dict(zip(row.train_on, facts.trained.places, strict=False)) | {row.test_on: facts.tested.place}
    return {name: place for name, place in lay.items() if place}


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name, place) == place for name, place in other.items())
