"""Who teaches whom, as tables: data sets that were trained on by data sets that were tested, for each method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from stackclip.ops.words import counted
from stackclip.reports.marks import dependent_on_others
from stackclip.reports.protocols import conditions_of
from stackclip.reports.table import Figure, Summary, TableLine
from stackclip.reports.transfer_rows import Itself, Pair, TransferRows

__all__ = ["ALL_OTHERS", "GAIN", "MEAN", "SINGLE", "TransferTable", "transfer_notes", "transfer_tables"]

ALL_OTHERS, SINGLE, MEAN, GAIN = "all others", "mean of single sets", "mean", "above singles"
"""What lines and columns are called that are of no one set. The means of lines leave out different sets and are not
compared; how far a line is above the mean of all single sets that taught the same ones is."""


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


def transfer_tables(found: TransferRows) -> tuple[TransferTable, ...]:
    """For each metric all methods, trained on all other sets; then each method with a line for each set."""
    return tuple(_Tables(found).all())


@dataclass(frozen=True)
class _Tables:
    """Makes the tables of one transfer."""

    found: TransferRows

    def all(self) -> Iterator[TransferTable]:
        """For each metric all methods, trained on all other sets; then each method with a line for each set."""
        found = self.found
        yield from map(self._overview, found.shown)
        for method in found.taught:
            yield from (self._grid(method, name) for name in found.shown if self._has(method, name))

    def _overview(self, metric: str) -> TransferTable:
        lines = []
        for method in self.found.methods:
            pairs = [(self.found.all_others(method, tested), tested) for tested in self.found.columns]
            cells = [self.found.cell(method, trained, tested, metric) for trained, tested in pairs]
            lines.append(self._line(self._called(method), method, [*cells, self.found.mean(pairs, method, metric)]))
        said = "trained on all other data sets, tested on each"
        return self._made(metric, f"{metric}, {said}", "method", lines, (MEAN,))

    def _grid(self, method: str, metric: str) -> TransferTable:
        """A line for each set that is trained on, one for their means, and one for all others together."""
        singles = [(name,) for name in self.found.transfer.names]
        pairs = {tested: [(each, tested) for each in singles if tested not in each] for tested in self.found.columns}
        every = [self.found.mean(each, method, metric) for each in (*pairs.values(), [*chain(*pairs.values())])]
        usual = every[:-1]
        lines = [
            self._taught_by(name[0], [(name, each) for each in self.found.columns], method, metric, usual)
            for name in singles
        ]
        lines.append(self._line(SINGLE, method, [*every, Itself()], beside=True))
        others = [(self.found.all_others(method, tested), tested) for tested in self.found.columns]
        if any(len(trained) > 1 for trained, _ in others):
            lines.append(self._taught_by(ALL_OTHERS, others, method, metric, usual))
        head = f"{metric}, {method}: trained on each line, tested on each column"
        return self._made(metric, head, "trained on", lines, (MEAN, GAIN))

    def _taught_by(
        self, label: str, pairs: Sequence[Pair], method: str, metric: str, usual: Sequence[Figure]
    ) -> TableLine:
        """What one training is worth on every set, in the mean, and above what single sets are worth there."""
        cells = [self.found.cell(method, trained, tested, metric) for trained, tested in pairs]
        own = [(trained, tested) for trained, tested in pairs if tested not in trained]
        gains = [
            cell.value - mean.value
            for cell, mean in zip(cells, usual, strict=True)
            if cell.value is not None and mean.value is not None
        ]
        above = fmean(gains) if gains else 0.0
        above = above if round(100 * above, 1) else 0.0  # no -0.0
        gain = Figure(above, counted=len(gains), of=len(own), signed=True) if gains else Figure(None)
        return self._line(label, method, [*cells, self.found.mean(own, method, metric), gain])

    def _line(self, label: str, method: str, cells: Sequence[Figure], *, beside: bool = False) -> TableLine:
        marked = any(dependent_on_others(row) for row in self.found.rows if row.method == method)
        return TableLine(label, None, tuple(cells), beside=beside, marked=marked)

    def _made(
        self, metric: str, head: str, corner: str, lines: Sequence[TableLine], apart: Sequence[str]
    ) -> TransferTable:
        first, names = self.found.rows[0], (*self.found.columns, *apart)
        shots = [counted(first.shots, "shot")] if first.shots else []
        title = ", ".join(
            [
                head,
                counted(len(self.found.seeds), "seed"),
                *shots,
                *conditions_of(first),
                *([self.found.which] if self.found.which else []),
            ]
        )
        categories = tuple(dict.fromkeys(row.category for row in self.found.rows))
        tested, sets = "+".join(self.found.columns), "+".join(self.found.transfer.names)
        facts = (sets, tested, first.shots, self.found.seeds, categories, names, tuple(lines))
        return TransferTable(*facts, over_shots=metric, head=title, lines_are=corner)

    def _called(self, method: str) -> str:
        if method in self.found.taught:
            return method
        trained = any(row.train_on for row in self.found.rows if row.method == method)
        return f"{method} ({'the same whatever is trained on' if trained else 'not trained'})"

    def _has(self, method: str, metric: str) -> bool:
        return any(metric in row.metrics for row in self.found.rows if row.method == method)


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
