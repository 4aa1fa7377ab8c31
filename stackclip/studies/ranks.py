"""Methods by their mean ranks over categories or data sets, and which of them are not told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isinf
from statistics import fmean
from typing import Literal, get_args

import numpy as np

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import Titles, asked_alike, standing
from stackclip.metrics.ranks import (
    ALPHA,
    RankTest,
    critical_difference,
    nemenyi_groups,
    rank_test,
    wilcoxon_groups,
)
from stackclip.ops.words import chance, counted
from stackclip.registry import one_of
from stackclip.types import Row

__all__ = ["Blocks", "PostHoc", "RankQuestion", "Ranking", "rank_lines", "rankings"]

Blocks = Literal["categories", "data-sets"]
PostHoc = Literal["nemenyi", "wilcoxon"]
Place = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class RankQuestion:
    """What ranks are over, and which test tells pairs of methods apart after Friedman's. Raises UsageError."""

    over: Blocks = "categories"
    test: PostHoc = "nemenyi"

    def __post_init__(self) -> None:
        one_of("ranks_over", self.over, get_args(Blocks))
        one_of("ranks_test", self.test, get_args(PostHoc))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Methods by one metric, the best first, with their mean ranks and the runs of those that are not told apart.

    `distance` is Nemenyi's critical difference, None by another test. Where `found.p` is not below .05, all are one
    group. `left_out` are methods that lack some of the blocks. `tower` is what all were measured on, with its note.
    """

    title: str
    metric: str
    methods: tuple[str, ...]
    found: RankTest
    groups: tuple[tuple[str, ...], ...]
    question: RankQuestion
    distance: float | None = None
    left_out: tuple[str, ...] = ()
    tower: str = ""

    @property
    def differ(self) -> bool:
        """Whether Friedman's test finds that the methods differ at all."""
        return self.found.p < ALPHA

    @property
    def blocks(self) -> str:
        """Over how many of what."""
        noun = ("category", "categories") if self.question.over == "categories" else ("data set", "data sets")
        return f"{self.found.blocks} {noun[self.found.blocks > 1]}"

    @property
    def text(self) -> str:
        """The ranks, Friedman's test and what it leaves together, in a line."""
        ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(self.methods, self.found.ranks, strict=True))
        free = f"{len(self.methods) - 1}, {(len(self.methods) - 1) * (self.found.blocks - 1)}"
        size = "inf" if isinf(self.found.statistic) else f"{self.found.statistic:.2f}"
        out = f"; left out, as they lack some: {', '.join(self.left_out)}" if self.left_out else ""
        head = f"mean ranks over {self.blocks}{self.title}, {self.metric.replace('_', ' ')}: {ranks}"
        return f"{head}; Friedman F({free}) = {size}, {self.chance_in_words}: {self._told}{out}"

    @property
    def chance_in_words(self) -> str:
        """Friedman's p, and whether it is exact."""
        return f"{'exact ' if self.found.exact else ''}{chance(self.found.p)}"

    @property
    def _told(self) -> str:
        """Which methods are not told apart, and by what."""
        if not self.differ:
            return "no method is told from another"
        by = "Wilcoxon and Holm" if self.distance is None else f"Nemenyi, {self.distance:.2f} ranks"
        groups = "; ".join(", ".join(group) for group in self.groups)
        return f"not told apart ({by}): {groups}" if groups else f"all are told apart ({by})"


def rankings(rows: Sequence[Row], metrics: Iterable[str], question: RankQuestion) -> list[Ranking]:
    """A ranking for each metric of rows that were asked alike, where there are two methods and two blocks or more.

    A block is a tested category, or a data set by the mean over its categories; a value is a mean over seeds. Rows of
    other shots or another tower are ranked apart; where a set was tested after several trainings, so are these.
    """
    found = []
    groups = _alike(rows)
    for title, group in groups.items():
        for metric in metrics:
            if (made := _ranking(group, metric, question, title if len(groups) > 1 else "")) is not None:
                found.append(made)
    return found


def rank_lines(made: Sequence[Ranking], question: RankQuestion) -> Iterator[str]:
    """The rankings in words, or what they lack."""
    yield from (each.text for each in made)
    if not made:
        nouns = question.over.replace("-", " ")
        yield f"no ranks: that takes two methods or more, measured on the same two {nouns} or more"


def _alike(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows that can be ranked together, by what tells them from others."""
    trained: dict[Place, set[Place]] = {}
    for row in rows:
        trained.setdefault((asked_alike(row), row.shots, _tested(row)), set()).add(_trained(row))
    several = any(len(each) > 1 for each in trained.values())
    groups, titles, named = dict[Place, list[Row]](), Titles(tuple(rows)), dict[str, list[Row]]()
    for row in rows:
        groups.setdefault((asked_alike(row), row.shots, _trained(row) if several else ()), []).append(row)
    for number, (first, *more) in enumerate(groups.values(), start=1):
        words = [f"trained on {titles.trained(first)}"] if several and first.train_on else []
        words += [counted(first.shots, "shot")] if first.shots else []
        title = "".join(f", {each}" for each in words)
        named[title if title not in named else f"{title}, asked otherwise ({number})"] = [first, *more]
    return named


def _tested(row: Row) -> Place:
    found = standing(row)
    return (row.test_on, found.place, found.earlier)


def _trained(row: Row) -> Place:
    found = standing(row)
    return (row.train_on, found.trained, found.trained_earlier)


def _ranking(rows: Sequence[Row], metric: str, question: RankQuestion, title: str) -> Ranking | None:
    """One ranking of rows that were asked alike; None where there is too little to rank."""
    values = _values(rows, metric, question.over)
    methods = list(values)
    blocks = dict.fromkeys(block for each in values.values() for block in each)
    held = [block for block in blocks if 2 * sum(block in each for each in values.values()) >= len(methods)]
    whole = [method for method in methods if all(block in values[method] for block in held)]
    if len(whole) < 2 or len(held) < 2:
        return None
    figures = np.array([[values[method][block] for method in whole] for block in held])  # (N, k)
    order = np.argsort(rank_test(figures).ranks, kind="stable")
    figures, names = figures[:, order], tuple(whole[place] for place in order)
    found = rank_test(figures)
    nemenyi = question.test == "nemenyi"
    runs = nemenyi_groups(found) if nemenyi else wilcoxon_groups(found, figures)
    runs = runs if found.p < ALPHA else [tuple(range(len(names)))]
    groups = tuple(tuple(names[place] for place in run) for run in runs)
    distance = critical_difference(len(names), found.blocks) if nemenyi else None
    facts = facts_of(rows[0])
    tower = "; ".join(each for each in (facts.tower, facts.note) if each)
    left_out = tuple(method for method in methods if method not in whole)
    return Ranking(title, metric, names, found, groups, question, distance, left_out, tower)


def _values(rows: Sequence[Row], metric: str, over: Blocks) -> dict[str, dict[Place, float]]:
    """Method -> block -> its value there: the mean over seeds, of a data set that of the means of its categories."""
    cells = dict[str, dict[Place, dict[str, list[float]]]]()
    for row in rows:
        of_method = cells.setdefault(row.method, {})
        if metric in row.metrics:
            place = _tested(row) if over == "data-sets" else (*_tested(row), row.category)
            of_method.setdefault(place, {}).setdefault(row.category, []).append(row.metrics[metric])
    return {
        method: {place: fmean(map(fmean, each.values())) for place, each in places.items()}
        for method, places in cells.items()
    }
