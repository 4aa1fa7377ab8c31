"""An ablation as people read it: what each part is worth, on which categories, and what has to be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stackclip.benchmarks.facts import facts_of
from stackclip.metrics.uncertainty import Difference
from stackclip.ops.words import chance_digits, counted
from stackclip.reports.columns import METRICS, firsts_of
from stackclip.reports.notes import stack_notes
from stackclip.reports.protocols import towers_of
from stackclip.studies.ablation import ADDED, ALL, AWAY, Ablation
from stackclip.studies.worth import Worth, points, worths_of
from stackclip.types import Row

__all__ = ["PartsReport", "PartsTable", "metrics_of"]

_HEADS = ("part", "", "worth", "over pictures", "over categories", "p", "in words")


@dataclass(frozen=True, slots=True)
class PartsTable:
    """A table of text: its title, the heads of its columns, and its lines."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PartsReport:
    """What the rows of an ablation say, each part made once when it is first asked for.

    `metrics` are those that are told; those of `metrics_of` if there are none.
    """

    ablation: Ablation
    rows: Sequence[Row]
    metrics: tuple[str, ...] = ()

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The metrics that are told."""
        return self.metrics or metrics_of(self.rows)

    @cached_property
    def worths(self) -> tuple[Worth, ...]:
        """What each contrast comes to."""
        return worths_of(self.ablation, self.rows, self.shown)

    @cached_property
    def tables(self) -> tuple[PartsTable, ...]:
        """For each tested set and metric what each part is worth, and on which categories."""
        return tuple(table for found in self.groups for table in self._two(found))

    @property
    def groups(self) -> tuple[tuple[Worth, ...], ...]:
        """What there is of each tested set and metric."""
        kinds = dict.fromkeys((each.test_on, each.metric) for each in self.worths)
        return tuple(tuple(each for each in self.worths if (each.test_on, each.metric) == kind) for kind in kinds)

    @property
    def about(self) -> tuple[str, ...]:
        """What it was measured with: training and tested sets, seeds, tower."""
        seeds = dict.fromkeys(row.seed for row in self.rows)
        trained = "+".join(dict.fromkeys(name for row in self.rows for name in row.train_on))
        tested = dict.fromkeys(row.test_on for row in self.rows)
        words = [f"trained on {trained}" if trained else "not trained", f"tested on {', '.join(tested)}"]
        return (*words, counted(len(seeds), "seed"), f"tower {'; '.join(towers_of(self.rows)) or 'unknown'}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be said below the tables."""
        return tuple(self._notes())

    def records(self) -> list[dict[str, Any]]:
        """What each contrast comes to as plain values, fractions; None where there is nothing."""
        return [_record(each) for each in self.worths]

    def _two(self, found: Sequence[Worth]) -> Iterator[PartsTable]:
        title = f"{self.ablation.full}: {found[0].metric.replace('_', ' ')}, tested on {found[0].test_on}"
        yield PartsTable(f"{title}, what each part is worth", _HEADS, tuple(map(_line, found)))
        where = [each for each in found if each.contrast.way == AWAY and each.of_category]
        names = tuple(dict.fromkeys(name for each in where for name in each.of_category))
        if len(names) > 1:
            lines = tuple((each.contrast.name, *(_at(each, name) for name in names)) for each in where)
            yield PartsTable(f"{title}, where", ("part, taken away", *names), lines)

    def _notes(self) -> Iterator[str]:
        yield f"{'; '.join(self.about)}"
        yield f"without any part it is {self.ablation.bare}"
        for name, by in dict.fromkeys((each.name, each.taken_away_by) for each in self.ablation.contrasts):
            if name != ALL:
                yield f"{name}: taken away by {by}"
        yield (
            f"{AWAY}: the full method less the one that lacks the part; {ADDED}: the one that has this part alone, and "
            "what holds it, less the same without it; times 100, ± over seeds"
        )
        yield (
            "95 % intervals for other pictures of these categories (paired bootstrap), and for other categories "
            "(paired, Student's t), the last of a line has the p; * where that over pictures leaves out 0"
        )
        yield from self.ablation.remarks
        for spec, reason in self.ablation.refused.items():
            yield f"{spec} cannot be made: {reason}"
        yield from dict.fromkeys(note for row in self.rows if (note := facts_of(row).note))
        yield from stack_notes(self.rows)


def metrics_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The first metric of pictures and the last exact one of pixels that rows have."""
    found = {name for row in rows for name in row.metrics}
    order = ("image_AUROC", "pixel_AUPRO", *METRICS)
    return firsts_of(name for name in order if name in found) or ("image_AUROC",)


def _line(worth: Worth) -> tuple[str, ...]:
    contrast, found = worth.contrast, worth.pictures
    if found is None:
        return (contrast.name, contrast.way, "n/a", "", "", "", worth.verdict)
    spread = "" if found.spread is None else f" ±{100 * found.spread:.1f}"
    partial = "" if found.cells == found.of else f" ({found.cells} of {found.of})"
    value = f"{points(found.difference.value)}{spread}{partial}"
    both = (_between(found.difference), _between(worth.categories))
    return (
        contrast.name,
        contrast.way,
        value,
        *both,
        chance_digits((worth.categories or found.difference).p),
        worth.verdict,
    )


def _between(found: Difference | None) -> str:
    return "" if found is None else f"[{points(found.low)}, {points(found.high)}]"


def _at(worth: Worth, category: str) -> str:
    found = worth.of_category.get(category)
    if found is None:
        return "n/a"
    return f"{points(found.difference.value)}{'*' if found.difference.leaves_out_zero else ''}"


def _record(worth: Worth) -> dict[str, Any]:
    contrast, found = worth.contrast, worth.pictures
    of_part = {"part": contrast.name, "taken_away_by": contrast.taken_away_by, "way": contrast.way}
    record: dict[str, Any] = {**of_part, "having": contrast.having, "lacking": contrast.lacking}
    record |= {"test_on": worth.test_on, "metric": worth.metric, "worth": found.difference.value if found else None}
    record |= {"spread": found.spread if found else None}
    for name, each in (("pictures", found.difference if found else None), ("categories", worth.categories)):
        record |= {f"{name}_low": each.low if each else None, f"{name}_high": each.high if each else None}
        record |= {f"{name}_p": each.p if each else None}
    by_category = {name: each.difference.value for name, each in worth.of_category.items()}
    return {**record, "in_words": worth.verdict, "by_category": by_category}
