"""What a bench compares with what, and what it must read for that."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from stackclip.benchmarks.curves import EvalEvery, interval
from stackclip.benchmarks.tiles import tiling_for
from stackclip.data import UNLABELLED, Dataset
from stackclip.data.chosen import listed_samples
from stackclip.data.hints import label_words
from stackclip.errors import CategoryOverlap, DataError, NotApplicable, UsageError
from stackclip.methods import Method, resolve
from stackclip.metrics import FORMS, Form, choose_form
from stackclip.ops.files import canonical_json, content_hash
from stackclip.ops.tiling import Tiling, tiling_of
from stackclip.ops.words import agreed, counted
from stackclip.registry import Spec, spread_out
from stackclip.sizes import Side, size_of
from stackclip.types import ANOMALOUS, NORMAL, Sample, Split, TowerSpec

__all__ = ["Cell", "Plan", "Shots", "check_plan", "resolved"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One category of one tested data set: the samples that can be used, and those that cannot, with the reasons.

    Those of the samples that are `without_mask` have one that cannot be used: they count for image metrics alone.
    """

    dataset: Dataset
    category: str
    samples: tuple[Sample, ...]
    left_out: tuple[tuple[Sample, str], ...]
    without_mask: tuple[Sample, ...] = ()

    @property
    def place(self) -> str:
        """Where the data set lies."""
        return str(self.dataset.root.absolute())


@dataclass(frozen=True, slots=True)
class Shots:
    """How many normal pictures of each tested category a method is shown, and whether one may be drawn twice.

    `all` are all normal training pictures that a category has.
    """

    count: int | Literal["all"]
    repeated: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared with what. Training uses the test splits of `train_on`, as the field does.

    `resolved` are the methods by their specs, in the order given; a spec given twice counts once. Those that were made
    before are taken from it, the others are made now, and what `resolve` raises is raised.
    Each method trains in batches of its own size, or all in those of `batch_size` where it is given. `train_shots` are
    the pictures of each training category, half of them normal, that the seed draws, `train_list` a file that
    names them (`stackclip.data.chosen`); without either all are trained on. A method has learned all it will
    `stop_after` so many epochs of its schedule, which stays what it is. `fold` names the selection of which a bench is
    a part.
    With `eval_every` the rows say what the methods were worth after so many steps of training, with `ci` how far their
    metrics may be off because other pictures might have been taken, with `per_defect` what they are worth on each kind
    of defect; no figure depends on any of these. With `tiles` tested pictures, shots and what is calibrated by are seen
    in tiles (`stackclip.ops.tiling`), those that are trained on as they are. `words` above 0 are the draw of equivalent
    words that methods read in place of their own (`stackclip.prompts.jitter`).
    """

    methods: tuple[str, ...]
    train_on: tuple[Dataset, ...]
    test_on: tuple[Dataset, ...]
    seeds: tuple[int, ...] = (0,)
    shots: int | Literal["all"] = 0
    epochs: int | None = None
    batch_size: int | None = None
    train_shots: int | None = None
    train_list: Path | None = None
    stop_after: int | None = None
    class_names: str | None = None
    allow_overlap: bool = False
    fail_fast: bool = False
    metrics: str = "auto"
    eval_every: EvalEvery | None = None
    ci: bool = False
    per_defect: bool = False
    tiles: str | None = None
    fold: str = ""
    words: int = 0
    resolved: Mapping[str, Method] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.methods or not self.seeds:
            raise UsageError(f"a bench without {'seeds' if self.methods else 'methods'} has nothing to do: name one")
        _check_names(self.train_on, self.test_on)
        if self.eval_every is not None:
            interval(self.eval_every)
        _check_training(self.train_shots, self.train_list)
        if self.metrics not in FORMS:
            raise UsageError(f"there are no {self.metrics} pixel metrics: choose {', '.join(FORMS)}")
        object.__setattr__(self, "resolved", resolved(self.methods, self.resolved))
        if self.tiles:
            object.__setattr__(self, "tiles", str(tiling_for(self.tiles, self.test_on)))

    @cached_property
    def tiling(self) -> Tiling | None:
        """In which tiles pictures are seen that are not trained on; None where as they are."""
        return tiling_of(self.tiles, lambda: (1, 1)) if self.tiles else None

    def map_side(self, tower: TowerSpec) -> Side:
        """The side in pixels, or the size, of the maps and masks that are compared."""
        return self.tiling.map_side(tower.image_size) if self.tiling else tower.image_size

    def all_shots(self) -> tuple[Sample, ...]:
        """All shots that are drawn, for any method, seed and tested category."""
        drawn: dict[Sample, None] = {}
        for shots in dict.fromkeys(self.shots_for(method) for method in self.resolved.values()):
            for dataset, seed in product(self.test_on, self.seeds):
                for category in dataset.categories:
                    with suppress(NotApplicable):  # its rows will say why
                        drawn |= dict.fromkeys(self.shots_of(dataset, category, seed, shots=shots))
        return tuple(drawn)

    @cached_property
    def training(self) -> tuple[Sample, ...]:
        """The pictures that are trained on, with any seed."""
        if self.train_list is not None:
            return listed_samples(self.train_list, self.train_on)
        every = tuple(sample for dataset in self.train_on for sample in dataset.select(split="test").samples)
        if self.train_shots is None:
            return every
        drawn = frozenset(sample for seed in self.seeds for sample in self.training_of(seed))
        return tuple(sample for sample in every if sample in drawn)

    @cached_property
    def listed(self) -> str:
        """What `train_list` names, in words that tell its pictures from others; empty without one."""
        if self.train_list is None:
            return ""
        named = content_hash(canonical_json({"samples": [[sample.key, sample.label] for sample in self.training]}))
        return f"{counted(len(self.training), 'listed picture')} ({named[:8]})"

    def training_of(self, seed: int) -> tuple[Sample, ...]:
        """The pictures that are trained on with a seed, in the order of their data sets.

        Raises DataError for a category that has not so many.
        """
        if self.train_shots is None:
            return self.training
        found: list[Sample] = []
        for dataset in self.train_on:
            tested, drawn = dataset.select(split="test"), set[Sample]()
            for category, label in product(dataset.categories, (NORMAL, ANOMALOUS)):
                pool = [each for each in tested.samples if (each.category, each.label) == (category, label)]
                _check_enough(pool, self.train_shots // 2, f"{dataset.name} {category}", label)
                order = np.random.default_rng([seed, label, *category.encode()]).permutation(len(pool))
                drawn.update(pool[index] for index in order[: self.train_shots // 2])
            found += [sample for sample in tested.samples if sample in drawn]
        return tuple(found)

    def pixel_form(self, cell: Cell, tower: TowerSpec) -> Form:
        """How the pixel metrics of a cell are computed: as asked, or by its size."""
        return choose_form(self.metrics, len(cell.samples) * size_of(self.map_side(tower)).area)

    def shots_for(self, method: Method) -> Shots:
        """What a method is shown: its own options `shots` and `draw`, where it has and gives them, else the plan's."""
        own = getattr(method, "shots", None)
        return Shots(self.shots if own is None else own, getattr(method, "draw", "distinct") == "with-replacement")

    def shots_of(self, dataset: Dataset, category: str, seed: int, *, shots: Shots) -> tuple[Sample, ...]:
        """The normal training pictures shown of a category, drawn by the seed: the same for all that ask for as many.

        Raises NotApplicable where there are not so many.
        """
        if not shots.count:
            return ()
        pool = _normal(dataset, "train", category)
        if shots.count == "all" and pool:
            return pool
        wanted = 1 if shots.count == "all" else shots.count
        if len(pool) < (1 if shots.repeated else wanted):
            found = f"{dataset.name} {category} has {counted(len(pool), 'normal training picture')}"
            raise NotApplicable(f"{found}, wanted {shots.count} to show as shots")
        draws = np.random.default_rng([seed, *category.encode()])
        return tuple(pool[index] for index in draws.choice(len(pool), wanted, replace=shots.repeated))

    def normals_of(self, dataset: Dataset, category: str, shots: Collection[Sample]) -> tuple[Sample, ...]:
        """The normal pictures that a method may calibrate by: those of the validation split, else those not shown."""
        known = frozenset(shots)
        kept = _normal(dataset, "validation", category)
        return kept or tuple(sample for sample in _normal(dataset, "train", category) if sample not in known)

    def all_normals(self) -> tuple[Sample, ...]:
        """All normal pictures of tested categories that are not tested."""
        splits: tuple[Split, ...] = ("train", "validation")
        return tuple(
            sample
            for dataset, split in product(self.test_on, splits)
            for name in dataset.categories
            for sample in _normal(dataset, split, name)
        )


def resolved(names: Iterable[str], known: Mapping[str, Method] = MappingProxyType({})) -> dict[str, Method]:
    """The methods of names as they are typed, grids too, by their specs; those that are `known` are not made again.

    Raises UnknownComponent, DuplicateComponent, BrokenPlugin or BadOption.
    """
    specs = dict.fromkeys(str(Spec.parse(name)) for name in spread_out(names))
    return {spec: known[spec] if spec in known else resolve(spec) for spec in specs}


def check_plan(plan: Plan) -> None:
    """What can be told before a picture is read: raises DataError for pictures without labels, CategoryOverlap."""
    _check_labels(plan)
    _check_overlap(plan)
    for seed in plan.seeds:
        plan.training_of(seed)


def _check_overlap(plan: Plan) -> None:
    """Raise CategoryOverlap if a category that is tested is trained on: that would not be zero-shot.

    Names mean the same in sets of one family or in one place; between others the content decides (`check_content`).
    """
    for tested, trained in () if plan.allow_overlap else product(plan.test_on, plan.train_on):
        known = {_plain(category) for category in trained.categories} if tested.shares_names_with(trained) else set()
        if both := sorted(category for category in tested.categories if _plain(category) in known):
            raise CategoryOverlap(
                f"{', '.join(both)}: tested on {tested.name} and trained on {trained.name}, so not zero-shot; choose "
                "other data sets or categories, or say --allow-overlap"
            )


def _check_labels(plan: Plan) -> None:
    """Raise DataError for pictures without labels: nothing can be learned or measured from them."""
    for dataset in (*plan.train_on, *plan.test_on):
        unlabelled = sum(sample.defect == UNLABELLED for sample in dataset.samples)
        if unlabelled:
            words = label_words(dataset.root, dataset.layout)
            raise DataError(
                f"{dataset.root}: {counted(unlabelled, 'picture')} {agreed('have', unlabelled)} no labels, so nothing "
                f"can be trained or measured on them; to say which are good: {words}; "
                f"to find defects in them: stackclip inspect {dataset.root} --object NAME"
            )


def _check_training(shots: int | None, listed: Path | None) -> None:
    """Raise UsageError for training pictures that cannot be drawn, or are both drawn and listed."""
    if shots is not None and (shots < 2 or shots % 2):
        raise UsageError(f"{shots} training pictures a category; wanted 2, 4 ..., half of them normal")
    if shots is not None and listed is not None:
        raise UsageError("training pictures are drawn (--train-shots) or listed (--train-list), not both: say one")


def _check_names(train_on: Sequence[Dataset], test_on: Sequence[Dataset]) -> None:
    """Raise UsageError for two data sets of one name, which rows and the store could not tell apart."""
    alike = (*combinations(train_on, 2), *combinations(test_on, 2))
    apart = ((trained, tested) for trained, tested in product(train_on, test_on) if trained.root != tested.root)
    for first, second in (*alike, *apart):
        if first.name == second.name:
            raise UsageError(
                f"two data sets are named {first.name}, {first.root} and {second.root}, and rows could not tell them "
                f"apart: give one a name, other={second.root}"
            )


def _normal(dataset: Dataset, split: Split, category: str) -> tuple[Sample, ...]:
    chosen = dataset.select(split=split, categories=(category,)).samples
    return tuple(sample for sample in chosen if sample.label == NORMAL)


def _check_enough(pool: Sequence[Sample], wanted: int, place: str, label: int) -> None:
    """Raise DataError for a training category with fewer pictures of one side than are drawn."""
    if len(pool) < wanted:
        found = counted(len(pool), f"{'normal' if label == NORMAL else 'anomalous'} picture")
        raise DataError(f"{place} has {found} to train on; wanted {wanted}, half of --train-shots {2 * wanted}")


def _plain(category: str) -> str:
    return category.casefold().replace("_", " ").replace("-", " ")
