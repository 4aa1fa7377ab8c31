"""What a session does as jobs: small facts by which any process finds the same pictures and cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from stackclip.benchmarks.entrant import Entrant, Errand
from stackclip.benchmarks.plan import Plan, check_plan
from stackclip.data import Dataset
from stackclip.executors import Job
from stackclip.ops.shards import Shard
from stackclip.papers.contests import Contest
from stackclip.session.conditions import Conditions
from stackclip.types import Row, Split

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.benchmarks.seeds import CellName
    from stackclip.session.steps import Steps

__all__ = [
    "BenchWords",
    "EncodeWords",
    "Encoding",
    "Teaching",
    "Tried",
    "Trying",
    "bench_jobs",
    "encode_jobs",
    "halves",
    "methods_apart",
    "sharded",
]

SHARES = 8  # of each process: the last ones end at nearly the same time, and a segment still holds many pictures


@dataclass(frozen=True)
class SetWords:
    """A data set as it is typed, or some categories or pictures of it, and what it is called.

    Of a fold it is `pictures`, each with the split that it has there.
    """

    text: str
    name: str
    categories: tuple[str, ...]
    pictures: tuple[tuple[str, Split], ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, contest: Contest) -> SetWords:
        pictures = tuple((each.id, each.split) for each in dataset.samples) if contest.plan.fold else ()
        return cls(contest.texts[dataset.name], dataset.name, dataset.categories, pictures)

    def opened(self, session: Steps) -> Dataset:
        [dataset] = session.opened(self.text).values()
        if self.pictures:
            named = {sample.id: sample for sample in dataset.samples}
            samples = tuple(replace(named[id], split=split) for id, split in self.pictures)
            return replace(dataset, samples=samples, name=self.name)
        return replace(dataset.select(categories=self.categories), name=self.name)


@dataclass(frozen=True)
class BenchWords:
    """A contest in words: methods by their specs, data sets, and what `Conditions` and tower recipes have otherwise."""

    methods: tuple[str, ...]
    train_on: tuple[SetWords, ...]
    test_on: tuple[SetWords, ...]
    conditions: Mapping[str, Any]
    tower: Mapping[str, Any]
    overwrite: Overwrite

    @classmethod
    def of(cls, contest: Contest, overwrite: Overwrite) -> BenchWords:
        """The words of a contest."""
        plan = contest.plan
        names = {each.name for each in fields(plan)} & {*Conditions.__annotations__, "fold", "words"}
        trained, tested = (tuple(SetWords.of(each, contest) for each in some) for some in (plan.train_on, plan.test_on))
        conditions = {name: getattr(plan, name) for name in names}
        return cls(tuple(plan.resolved), trained, tested, conditions, dict(contest.tower), overwrite)

    def contest(self, session: Steps) -> Contest:
        """The same contest in this process. Raises as `Session.bench` does."""
        sets = [tuple(each.opened(session) for each in some) for some in (self.train_on, self.test_on)]
        plan = Plan(methods=self.methods, train_on=sets[0], test_on=sets[1], **self.conditions)
        check_plan(plan)
        return Contest(plan, {each.name: each.text for each in (*self.train_on, *self.test_on)}, self.tower)


@dataclass(frozen=True)
class EncodeWords:
    """What `Session.encode` is asked for, as it is typed."""

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    split: Literal["train", "test"] | None
    categories: tuple[str, ...]
    tiles: str | None
    shard: str | None


@dataclass(frozen=True)
class Encoding:
    """Encode what the store lacks of a shard of the pictures that are read, as `Workbench.extracted` is told."""

    words: BenchWords | EncodeWords
    shard: Shard
    strict: bool = False
    patience: float = 0.0


@dataclass(frozen=True)
class Teaching:
    """Teach methods with one seed, in one scan, and keep what they learned."""

    words: BenchWords
    seed: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Trying:
    """Test methods with one seed on one category, and keep the rows; those that train have learned before."""

    words: BenchWords
    seed: int
    methods: tuple[str, ...]
    dataset: str
    category: str


@dataclass(frozen=True)
class Tried:
    """How many cells were computed, and the rows of those that failed."""

    computed: int
    failed: tuple[Row, ...]


def encode_jobs(
    words: BenchWords | EncodeWords, batches: int, workers: int, *, strict: bool = False, patience: float = 0.0
) -> list[Job]:
    """Jobs that encode what fills so many batches: shards of all that is read, which stay the same meanwhile."""
    count = min(max(batches, workers), SHARES * workers) if batches else 0
    what = (Encoding(words, Shard(index, count), strict, patience) for index in range(count))
    return [Job("encode", each, label="encode") for each in what]


def halves(job: Job, errands: Sequence[Errand]) -> list[Job]:
    """A job that encodes as two, unless it has but one picture of each errand."""
    shard: Shard = job.what.shard
    if shard.count >= max(len(errand.samples) for errand in errands):
        return []
    some = (half for half in shard.halves() if any(half.of(errand.samples) for errand in errands))
    return [replace(job, what=replace(job.what, shard=half)) for half in some]


def bench_jobs(
    words: BenchWords, lacking: Collection[CellName], entrants: Sequence[Entrant], workers: int
) -> list[Job]:
    """Jobs that compute the cells that are lacking: all methods of a seed share its scans, unless that idles somebody.

    A category is tested when all methods that train with its seed have learned.
    """
    seeds = [seed for seed in words.conditions["seeds"] if any(name[3] == seed for name in lacking)]
    places = [(each.name, category) for each in words.test_on for category in each.categories]
    train, test = list[Job](), list[Job]()
    cells = [
        (seed, *place) for seed in seeds for place in places if any(name[1:] == (*place, seed) for name in lacking)
    ]
    for seed in seeds:
        has_work = {name[0] for name in lacking if name[3] == seed}
        learning = [each.spec for each in entrants if each.needs.get("train") and each.spec in has_work]
        pieces = _pieces(learning, ceil(workers / len(seeds)))
        train += [Job("train", Teaching(words, seed, piece), label=f"train, seed {seed}") for piece in pieces]
    for seed, dataset, category in cells:
        able = [each.spec for each in entrants if (each.spec, dataset, category, seed) in lacking]
        what = [Trying(words, seed, piece, dataset, category) for piece in _pieces(able, ceil(workers / len(cells)))]
        label = f"test {dataset} {category}, seed {seed}"
        test += [Job("test", each, (f"train, seed {seed}",), label) for each in what]
    return train + test


def methods_apart(job: Job) -> list[Job]:
    """A job of several methods as one of each."""
    return [replace(job, what=replace(job.what, methods=(method,))) for method in job.what.methods]


def sharded(contests: Sequence[Contest], shard: Shard) -> list[Contest]:
    """Every n-th (contest, seed, method), as contests of one seed each; it does not matter what is computed already."""
    pieces = [
        (place, seed, method)
        for place, contest in enumerate(contests)
        for seed in contest.plan.seeds
        for method in contest.plan.resolved
    ]
    chosen: dict[tuple[int, int], list[str]] = {}
    for place, seed, method in shard.of(pieces):
        chosen.setdefault((place, seed), []).append(method)
    return [
        replace(contests[place], plan=replace(contests[place].plan, methods=tuple(some), seeds=(seed,)))
        for (place, seed), some in chosen.items()
    ]


def _pieces(methods: Sequence[str], count: int) -> list[tuple[str, ...]]:
    """Methods in so many pieces, if there are so many."""
    count = min(len(methods), count)
    return [tuple(methods[piece::count]) for piece in range(count)]
