"""The folds of a plan: benches that train on a part of what it trains on, and test on another part of that.

No picture of what the plan tests is in any of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.errors import UsageError
from stackclip.ops.words import few_of
from stackclip.studies.schemes import Scheme
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["Contents", "HeldOut", "fold_plans", "folds_of"]

Contents = Callable[[Sequence[Sample]], Sequence[str | None]]
"""What names the content of each picture; None for one that cannot be read."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The pictures of one bench: what is trained on and what is tested, and how the two are called."""

    trained: tuple[Sample, ...]
    tested: tuple[Sample, ...]
    training: str
    testing: str


def fold_plans(plan: Plan, methods: Sequence[str], scheme: Scheme, contents: Contents) -> list[Plan]:
    """The benches by which methods are compared on what `plan` trains on; seeds whose folds are the same share them.

    Raises UsageError where the training sets cannot be divided so.
    """
    seeds: dict[HeldOut, list[int]] = {}
    for seed in plan.seeds:
        for fold in folds_of(plan, scheme, seed, contents):
            seeds.setdefault(fold, []).append(seed)
    parts = _Parts(plan, contents)
    return [
        replace(
            plan,
            methods=tuple(methods),
            seeds=tuple(some),
            train_on=parts.trained(fold),
            test_on=parts.tested(fold),
            train_list=None,
            train_shots=None,
            ci=False,
            per_defect=False,
            eval_every="epoch" if plan.eval_every == "epoch" else None,
            allow_overlap=plan.allow_overlap or scheme.kind != "leave-category-out",
            fold=str(scheme),
        )
        for fold, some in seeds.items()
    ]


def folds_of(plan: Plan, scheme: Scheme, seed: int, contents: Contents) -> list[HeldOut]:
    """The folds of what a plan trains on with a seed; pictures of one object or one content are on one side of each.

    Raises UsageError where there are too few categories, kinds or pictures.
    """
    pool = plan.training_of(seed)
    if not pool:
        raise UsageError(f"nothing is trained on, so nothing can be selected by {scheme}: name data sets (--train-on)")
    dividing = {"leave-category-out": _by_category, "leave-defect-out": _by_defect, "k-fold": _by_picture}
    folds = dividing[scheme.kind](_Apart(pool, contents(pool)), scheme, seed)
    words = [] if plan.train_shots is None else [f"{plan.train_shots} pictures a category"]
    words += [f"seed {seed}"] if words and scheme.kind == "leave-category-out" else []
    return [
        replace(fold, training=", ".join([fold.training, *words]), testing=", ".join([fold.testing, *words]))
        for fold in folds
    ]


class _Apart:
    """Training pictures, and which of them belong together: views of one object, and equal files."""

    def __init__(self, pool: Sequence[Sample], contents: Sequence[str | None]) -> None:
        self.pool = tuple(pool)
        self._unit = _units(self.pool, contents)

    @property
    def sets(self) -> str:
        """The data sets, as they are named."""
        return few_of(dict.fromkeys(sample.dataset for sample in self.pool))

    def fold(self, tested: Iterable[Sample], training: str, testing: str, *, spare: Iterable[Sample] = ()) -> HeldOut:
        """A fold that tests some pictures and trains on all that belong to none of them, nor to those to `spare`."""
        chosen = frozenset(tested)
        units = {self._unit[sample] for sample in chosen.union(spare)}
        trained = tuple(sample for sample in self.pool if self._unit[sample] not in units)
        return HeldOut(trained, tuple(sample for sample in self.pool if sample in chosen), training, testing)

    def units(self, samples: Iterable[Sample]) -> list[list[Sample]]:
        """Some pictures, those that belong together as one."""
        found = defaultdict[int, list[Sample]](list)
        for sample in samples:
            found[self._unit[sample]].append(sample)
        return [*found.values()]


def _units(pool: Sequence[Sample], contents: Sequence[str | None]) -> Mapping[Sample, int]:
    """The number of what each picture belongs to: equal for those that are joined by groups or contents, by any way."""
    roots = [*range(len(pool))]

    def root(index: int) -> int:
        while roots[index] != index:
            roots[index] = index = roots[roots[index]]
        return index

    first: dict[object, int] = {}
    for index, (sample, content) in enumerate(zip(pool, contents, strict=True)):
        group = (sample.dataset, sample.category, sample.group) if sample.group else None
        for name in (group, content):
            if name is not None:
                roots[root(index)] = root(first.setdefault(name, index))
    return {sample: root(index) for index, sample in enumerate(pool)}


def _shuffled(units: Sequence[list[Sample]], seed: int, *key: str) -> list[list[Sample]]:
    draws = np.random.default_rng([seed, *"/".join(key).encode()])
    return [units[index] for index in draws.permutation(len(units))]


def _by_category(apart: _Apart, scheme: Scheme, seed: int) -> Iterator[HeldOut]:
    """Each training category, or group of them, is tested by what was learned without it, whatever set it is of."""
    for name, tested in _parts(apart, scheme, apart.pool, lambda sample: sample.category, ("category", "categories")):
        yield apart.fold(tested, f"without {name}", f"only {name}")


def _by_defect(apart: _Apart, scheme: Scheme, seed: int) -> Iterator[HeldOut]:
    """Each kind of defect is tested, with half of the good pictures, by what was learned without either."""
    good = defaultdict[tuple[str, str], list[list[Sample]]](list)
    for unit in apart.units(sample for sample in apart.pool if sample.label == NORMAL):
        good[unit[0].dataset, unit[0].category].append(unit)
    spare = [
        sample
        for place, units in good.items()
        for unit in _shuffled(units, seed, *place)[: len(units) // 2]
        for sample in unit
    ]
    defective = [sample for sample in apart.pool if sample.label == ANOMALOUS]
    for name, kind in _parts(apart, scheme, defective, lambda sample: sample.defect, ("kind", "kinds of defects")):
        places = {(sample.dataset, sample.category) for sample in kind}
        tested = [*kind, *(sample for sample in spare if (sample.dataset, sample.category) in places)]
        words = f"{name}, seed {seed}" if name.startswith("kind group") else f"defect {name}, seed {seed}"
        yield apart.fold(tested, f"without {words}", f"only {words}", spare=spare)


def _by_picture(apart: _Apart, scheme: Scheme, seed: int) -> Iterator[HeldOut]:
    """The pictures of each category and label are dealt to folds; each fold is tested by what the others taught."""
    count = scheme.folds or 1
    pools = defaultdict[tuple[str, str, int], list[list[Sample]]](list)
    for unit in apart.units(apart.pool):
        pools[unit[0].dataset, unit[0].category, max(sample.label for sample in unit)].append(unit)
    fewest = (min(len(pools.get((*place[:2], label), ())) for label in (NORMAL, ANOMALOUS)) for place in pools)
    if (most := max(fewest)) < count:
        raise UsageError(
            f"{scheme}: no category of {apart.sets} has {count} good and {count} defective pictures to train on, at "
            f"most {most} of each; ask for fewer folds, k-fold[folds=2], or add data sets (--train-on)"
        )
    order = [unit for place, units in pools.items() for unit in _shuffled(units, seed, *map(str, place))]
    for number in range(count):
        words = f"fold {number + 1} of {count}, seed {seed}"
        tested = [sample for unit in order[number::count] for sample in unit]
        yield apart.fold(tested, f"without {words}", words)


def _parts(
    apart: _Apart, scheme: Scheme, samples: Iterable[Sample], name_of: Callable[[Sample], str], what: tuple[str, str]
) -> Iterator[tuple[str, list[Sample]]]:
    """Samples by what they are called, or by groups of such names, with what each part is called.

    Raises UsageError where there are too few names.
    """
    names: dict[str, list[Sample]] = {}
    for sample in samples:
        names.setdefault(_plain(name_of(sample)), []).append(sample)
    found = [(name_of(some[0]), some) for some in names.values()]
    one, several = what
    if len(found) < max(2, scheme.folds or 2):
        there = f"{len(found)} ({few_of(name for name, _ in found)})" if found else "none"
        wanted = f"{scheme.folds or 2} {several} or more to train on"
        raise UsageError(
            f"{scheme} wants {wanted}, and {apart.sets} has {there}: add data sets (--train-on), ask for fewer folds, "
            "or divide the pictures (--select k-fold)"
        )
    if scheme.folds is None:
        yield from found
        return
    for number in range(scheme.folds):
        group = [sample for _, some in found[number :: scheme.folds] for sample in some]
        yield f"{one} group {number + 1} of {scheme.folds}", group


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


class _Parts:
    """The data sets of a fold: parts of those that a plan trains on, under names that say which."""

    def __init__(self, plan: Plan, contents: Contents) -> None:
        self.plan, self.contents = plan, contents
        self.shown = any(plan.shots_for(method).count for method in plan.resolved.values())
        self.listed = frozenset(plan.training)

    def trained(self, fold: HeldOut) -> tuple[Dataset, ...]:
        """What is trained on. A set of which nothing is left out goes by its own name."""
        parts = self._of(fold.trained, fold.training)
        return tuple(
            replace(part, name=whole.name) if part.samples == whole.select(split="test").samples else part
            for whole, part in parts
        )

    def tested(self, fold: HeldOut) -> tuple[Dataset, ...]:
        """What is tested, with the other pictures of its categories, which are shown or calibrated by."""
        parts = self._of(fold.tested, fold.testing)
        return tuple(replace(part, samples=(*part.samples, *self._others(whole, part))) for whole, part in parts)

    def _of(self, samples: Sequence[Sample], title: str) -> Iterator[tuple[Dataset, Dataset]]:
        """Each data set of which some samples are, and the part that these are."""
        for dataset in self.plan.train_on:
            whole = frozenset(dataset.samples)
            own = tuple(replace(sample, split="test") for sample in samples if sample in whole)
            if own:
                yield dataset, replace(dataset, samples=own, name=f"{dataset.name} ({title})")

    def _others(self, whole: Dataset, part: Dataset) -> list[Sample]:
        """The pictures of its categories that are neither tested nor trained on, nor belong to tested ones."""
        found = [
            sample
            for sample in whole.samples
            if sample.split != "test" and sample.category in part.categories and sample not in self.listed
        ]
        groups = {(sample.category, sample.group) for sample in part.samples if sample.group}
        found = [sample for sample in found if (sample.category, sample.group) not in groups]
        if not self.shown:
            return found
        known = frozenset(self.contents(part.samples))
        return [sample for sample, content in zip(found, self.contents(found), strict=True) if content not in known]
