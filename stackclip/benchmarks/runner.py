"""The runner of a bench: a plan, a store and a tower become rows, one seed at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from stackclip.benchmarks.entrant import Entrant, check_stages, entrants_of, needed, stored
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.overlap import check_content
from stackclip.benchmarks.plan import Cell, Plan, check_plan
from stackclip.benchmarks.points import CurveWatch
from stackclip.benchmarks.record import Recorder
from stackclip.benchmarks.resume import MethodRows, Resume
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.benchmarks.testing import Testing
from stackclip.benchmarks.usability import cells_by, usable_by
from stackclip.cache import Store
from stackclip.clip import TextEncoder, Tower
from stackclip.clip.recipe import PLAIN_TRAINING, LiveTraining
from stackclip.errors import NotApplicable
from stackclip.methods import Detector, Task, refuse_shots, require_shots
from stackclip.ops.given import check_detector, least_shots_of, stages_of
from stackclip.ops.progress import Listener, silent
from stackclip.registry import Spec, executors
from stackclip.training.failures import Failures
from stackclip.training.residency import Kept, Resident
from stackclip.training.scan import Training
from stackclip.training.sources import FeatureReader, LiveSource
from stackclip.training.text import TaskEncode
from stackclip.training.trainee import Trainee
from stackclip.types import CLS, MASK, PICTURE, Part, Row

__all__ = ["Bench", "OneSeed", "Outcome", "Overwrite"]

logger = logging.getLogger(__name__)
Overwrite = Literal["only-missing", "always", "never"]


@dataclass(frozen=True)
class Outcome:
    """The rows of a plan in its order, how many were computed now, and how many rows and heads could not be kept."""

    rows: list[Row]
    computed: int
    unkept: int = 0


@dataclass(frozen=True)
class Bench:
    """A plan, and where its features, rows and trained heads are.

    `entrants` are its methods on the tower, which are made from the plan where they are not given.
    `overwrite` says which cells are computed: `only-missing`, `always` all of them anew, or `never` any. `resident`
    says where features that are read more than once stay; no figure depends on it. With the `source` `live` the tower
    sees every picture anew, which gives the same figures up to the store's rounding, and takes as long as it takes.
    `live` says how what trains inside a tower runs there: figures depend on its precision alone.
    """

    plan: Plan
    tower: Tower
    encode: TextEncoder
    store: Store
    rows: RowFolder
    heads: Path
    progress: Listener = silent
    overwrite: Overwrite = "only-missing"
    resident: Resident = "auto"
    entrants: tuple[Entrant, ...] = ()
    source: Literal["stored", "live"] = "stored"
    live: LiveTraining = PLAIN_TRAINING

    def __post_init__(self) -> None:
        if not self.entrants:
            object.__setattr__(self, "entrants", entrants_of(self.plan, self.tower.spec))

    @cached_property
    def keeper(self) -> Keeper:
        """What keeps the rows and heads, and knows what could not be kept."""
        return Keeper(self.rows, self.heads)

    def run(self) -> Outcome:
        """All rows of the plan, those found finished among them; what is missing is computed and kept cell by cell.

        Failures are rows with an `error`; they are tried again by the next run. Raises CategoryOverlap, and with
        `fail_fast` whatever went wrong first.
        """
        check_plan(self.plan)
        if overlap := check_content(self.plan, self.store):
            logger.warning("%s", overlap)
        if self.plan.batch_size is not None and self.plan.training:
            logger.info("all methods train in batches of %d, instead of their own", self.plan.batch_size)
        jobs: list[Callable[[], tuple[list[Row], int]]] = [
            partial(OneSeed(self, seed, self.reader).run) for seed in self.plan.seeds
        ]
        executor = executors.create(self.plan.executor)
        with executors.find(Spec.parse(self.plan.executor).name).guard_foreign("cannot run the seeds"):
            outcomes = list(executor.run(jobs))
        self.keeper.say_unkept()
        rows, computed = [row for found, _ in outcomes for row in found], sum(new for _, new in outcomes)
        return Outcome(rows, computed, self.keeper.unkept.total())

    @cached_property
    def reader(self) -> FeatureReader:
        """What reads for all seeds; it keeps the training pictures, and those that are tested where that is repeated.

        They are tested more than once with several seeds, and with training curves.

        Raises UsageError where `resident` names a place that does not exist or is too small.
        """
        every, parts = needed(self.plan, self.entrants)
        repeated = len(self.plan.seeds) > 1 or self.plan.eval_every
        again = every if repeated else self.plan.training
        if self.plan.tiling is not None and not repeated:  # no tile of what is trained on is read
            parts = stored({CLS, *(part for entrant in self.entrants for part in entrant.reads("train"))})
        kept = Kept(self.store, again, parts, device=self.tower.device, resident=self.resident)
        live = LiveSource(self.tower)
        return FeatureReader(self.store, self.tower.device, kept, live, all_live=self.source == "live")

    def of_seed(self, seed: int) -> OneSeed:
        """The methods and cells of one seed, for who looks at single pictures."""
        return OneSeed(self, seed, self.reader)


class OneSeed:
    """What a bench does for one seed; `training` and `cells` are, by its spec, what each method can use."""

    def __init__(self, bench: Bench, seed: int, reader: FeatureReader) -> None:
        self.bench, self.plan, self.seed, self.reader = bench, bench.plan, seed, reader
        self.entrants = {entrant.spec: entrant for entrant in bench.entrants}
        self.failures = Failures(self.plan.fail_fast)
        needs = {spec: _must_hold(bench, entrant.reads("train")) for spec, entrant in self.entrants.items()}
        usable = usable_by(needs.values(), self.plan.training_of(seed), bench.store, localised=True)
        self.training = {spec: usable[parts] for spec, parts in needs.items()}
        pictures = {spec: usable.samples for spec, usable in self.training.items()}
        facts = (self.plan, bench.tower, bench.store, seed, pictures, self.entrants, bench.source, bench.live.precision)
        self.identities = Identities(*facts)
        tested = {spec: _must_hold(bench, entrant.of_tested) for spec, entrant in self.entrants.items()}
        self.cells = cells_by(tested, self.plan, bench.store)
        self.tested = {dataset.name: self.identities.tested(dataset) for dataset in self.plan.test_on}

    def run(self) -> tuple[list[Row], int]:
        """Train what has to be trained, test what was not tested yet; the rows in order, and how many are new.

        Cells are tested one after another, and what a method was for a cell is dropped with it.
        """
        rows = {spec: self._rows_of(spec) for spec in self.entrants}
        trainees = [self._trainee(entrant) for spec, entrant in self.entrants.items() if rows[spec].lacking]
        if self.bench.overwrite == "never":
            for trainee in trainees:
                trainee.error = "not computed yet"
        self._learn(trainees, {trainee.spec: rows[trainee.spec].lacking for trainee in trainees})
        for cell in dict.fromkeys(cell for each in rows.values() for cell in each.lacking):
            self._test(cell, [trainee for trainee in trainees if cell in rows[trainee.spec].lacking], rows)
        found = [rows[spec].finished[cell] for spec, cells in self.cells.items() for cell in cells]
        return found, sum(len(each.lacking) for each in rows.values())

    def trained(self) -> list[Trainee]:
        """All methods, trained before or now; one that could not be has an error."""
        trainees = [self._trainee(entrant) for entrant in self.entrants.values()]
        self._learn(trainees, {})
        return trainees

    @cached_property
    def testing(self) -> Testing:
        """What tests methods by the pictures of this bench."""
        bench = self.bench
        return Testing(
            self.plan,
            self.seed,
            bench.tower.spec,
            bench.store,
            self.reader,
            self.entrants,
            self.failures,
            bench.progress,
        )

    def task(self, entrant: Entrant) -> Task:
        """All that a method may know when it begins."""
        plan, tower, training = self.plan, self.bench.tower, self.training[entrant.spec].samples
        return Task(
            tower=tower.spec,
            encode=TaskEncode(self.bench.encode, self.mean_of(entrant.spec)),
            categories=tuple(category for dataset in plan.train_on for category in dataset.categories),
            train_on=tuple(dataset.family for dataset in plan.train_on),
            seed=self.seed,
            device=tower.device,
            epochs=plan.epochs,
            class_names=plan.class_names,
            shots=entrant.shots.count,
            pictures=len(training),
            batch_size=plan.batch_size,
            text=tower.text,
            image=tower.image.running(self.bench.live),
            micro_batch=self.bench.live.micro_batch,
        )

    def mean_of(self, spec: str) -> Callable[[str], Tensor]:
        """What gives the mean unit class token (D,) of a training category, of the pictures that a method can use."""
        training = self.training[spec].samples
        return lambda category: self.reader.class_mean([each for each in training if each.category == category])

    def _rows_of(self, spec: str) -> MethodRows:
        return self._resume.rows_of(spec, self.cells[spec], lambda cell: self.tested[cell.dataset.name])

    def _trainee(self, entrant: Entrant) -> Trainee:
        samples = self.training[entrant.spec].samples
        error = str(entrant.why_not or "")
        return Trainee(entrant.spec, samples=samples, parts=entrant.reads("train"), error=error)

    def _begun(self, trainee: Trainee) -> Detector:
        """A method's detector that has learned nothing yet. Raises NotApplicable for what this bench does not have."""
        entrant = self.entrants[trainee.spec]
        detector = entrant.method.begin(self.task(entrant))
        check_detector(detector)
        if stages_of(detector.stages) and not trainee.samples:
            raise NotApplicable("there is no picture to train on")
        check_stages(entrant, detector.stages)
        if not detector.takes_shots:
            refuse_shots(entrant.shots.count)
        require_shots(entrant.shots.count, least_shots_of(detector))
        return detector

    def _learn(self, trainees: Sequence[Trainee], lacking: dict[str, list[Cell]]) -> None:
        """Begin all methods and train them together; what each has learned is kept after every epoch.

        Raises WeightsError where the tower is not to be had any more.
        """
        if not all(trainee.error for trainee in trainees):
            self.bench.tower.build()
        for trainee in trainees:
            cells = lacking.get(trainee.spec, [])
            self.failures.attempt(trainee, self._resume.teach, trainee, cells, partial(self._begun, trainee))
        learning = [trainee for trainee in trainees if trainee.detector and not trainee.error and not trainee.finished]
        wanted = {t.spec: self._resume.without_curve(t, lacking.get(t.spec, [])) for t in learning}
        for trainee in learning:
            trainee.draw(wanted[trainee.spec].values())
        watch = CurveWatch(
            every=self.plan.eval_every,
            wanted=wanted,
            begin=self._begun,
            evaluate=partial(self.testing.evaluate, aloud=False),
            keep=lambda trainee: self.failures.attempt(trainee, self._resume.keep, trainee, learning),
            failures=self.failures,
            progress=partial(self.bench.progress, f"curves, seed {self.seed}"),
            device=self.bench.tower.device,
        )

        def tell(stage: str, done: int, total: int) -> None:
            self.bench.progress(f"train{' ' * bool(stage)}{stage}, seed {self.seed}", done, total)

        Training(self.reader, self.plan.training_of(self.seed), self.seed, self.failures, tell).teach(learning, watch)

    def _test(self, cell: Cell, trainees: Sequence[Trainee], rows: dict[str, MethodRows]) -> None:
        """Predict one category with every method from the same batches, and write a row for each."""
        tested = self.testing.evaluate(cell, trainees)
        for trainee in trainees:
            of_method = rows[trainee.spec]
            row = self._recorder.row(trainee, cell, tested[trainee.spec], of_method.earlier.get(cell))
            of_method.finished[cell] = row
            pictures = None if row.error else CellPictures.of(cell, tested[trainee.spec].evaluation)
            self._resume.keep_row(trainee, cell, row, self.tested[cell.dataset.name], pictures)

    @cached_property
    def _resume(self) -> Resume:
        facts = {"fingerprint": self.bench.store.digest, "tower": self.bench.tower.spec.name}
        anew, stored = self.bench.overwrite == "always", self.bench.overwrite == "never"
        return Resume(self.plan, self.bench.keeper, self.identities, facts, anew=anew, only_stored=stored)

    @cached_property
    def _recorder(self) -> Recorder:
        bench, of_seed = self.bench, (self.identities, self.entrants, self.training, self.tested, self.failures)
        return Recorder(self.plan, self.seed, bench.tower, bench.store, *of_seed)


def _must_hold(bench: Bench, parts: frozenset[Part]) -> frozenset[Part]:
    """What a store must hold of a picture: what is read of it, or where the tower is live, that it was encoded."""
    return parts if bench.source == "stored" else frozenset({PICTURE, MASK})
