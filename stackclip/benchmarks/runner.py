"""The runner of a bench: every batch is read once and handed to every method that wants it.

Training: all methods of a seed see the same batches in the same order, each with its own optimiser. Test: all methods
predict from the same batch, and the metrics accumulate as it streams. Batches do not depend on which methods or cells
take part, so a method benched alone, together with others or in a resumed bench gives the same rows. (A picture that
lacks a part that any of the methods needs is left out for all of them, and named in the rows.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from torch import Tensor

from stackclip import __version__
from stackclip.benchmarks.contender import Contender, TaskEncode
from stackclip.benchmarks.curves import Schedule, has_curve, point, stability
from stackclip.benchmarks.entrant import Entrant, entrants_of, needed
from stackclip.benchmarks.features import FeatureReader
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.intervals import draw_facts, has_draws
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.overlap import check_content, contents, overlap_facts
from stackclip.benchmarks.plan import Cell, Plan, check_plan
from stackclip.benchmarks.residency import Kept, Resident
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.tally import Tally
from stackclip.cache import Store
from stackclip.clip import TextEncoder, Tower
from stackclip.data.masks import is_black
from stackclip.errors import BrokenPlugin, NotApplicable, StackclipError
from stackclip.heads import TrainedHead
from stackclip.methods import Detector, Task
from stackclip.metrics import TOLERANCE, Form, Measured, pixel_metrics
from stackclip.metrics.counts import PixelCounter
from stackclip.ops.draws import same_draws_after
from stackclip.ops.files import canonical_json, content_hash
from stackclip.ops.given import epochs_of
from stackclip.registry import Spec, executors, guarded, reason
from stackclip.types import ANOMALOUS, MASK, Features, Part, Row, Sample

__all__ = ["Bench", "OneSeed", "Outcome", "Overwrite", "Progress"]

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
UNUSABLE = "mask cannot be used"
Overwrite = Literal["only-missing", "always", "never"]


class Progress(Protocol):
    """Told how far a stage of the bench is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody is watching."""


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
    says where features that are read more than once stay; no figure depends on it.
    """

    plan: Plan
    tower: Tower
    encode: TextEncoder
    store: Store
    rows: RowFolder
    heads: Path
    progress: Progress = _silent
    overwrite: Overwrite = "only-missing"
    resident: Resident = "auto"
    entrants: tuple[Entrant, ...] = ()

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
        jobs: list[Callable[[], Outcome]] = [partial(OneSeed(self, seed, self.reader).run) for seed in self.plan.seeds]
        executor = executors.create(self.plan.executor)
        with executors.find(Spec.parse(self.plan.executor).name).guard_foreign("cannot run the seeds"):
            outcomes = list(executor.run(jobs))
        self.keeper.say_unkept()
        rows, computed = [row for each in outcomes for row in each.rows], sum(each.computed for each in outcomes)
        return Outcome(rows, computed, self.keeper.unkept.total())

    @cached_property
    def reader(self) -> FeatureReader:
        """What reads for all seeds; it keeps the training pictures, and those that are tested where that is repeated.

        They are tested more than once with several seeds, and with training curves.

        Raises UsageError where `resident` names a place that does not exist or is too small.
        """
        every, parts = needed(self.plan, self.entrants)
        again = every if len(self.plan.seeds) > 1 or self.plan.eval_every else self.plan.training
        kept = Kept(self.store, again, parts, device=self.tower.device, resident=self.resident)
        return FeatureReader(self.store, self.tower.device, kept)

    def of_seed(self, seed: int) -> OneSeed:
        """The methods and cells of one seed, for who looks at single pictures."""
        return OneSeed(self, seed, self.reader)


class OneSeed:
    """The methods and cells of one seed."""

    def __init__(self, bench: Bench, seed: int, reader: FeatureReader) -> None:
        self.bench, self.plan, self.seed, self.reader = bench, bench.plan, seed, reader
        self.device = bench.tower.device
        self.entrants = bench.entrants
        self.parts = {entrant.spec: entrant.parts for entrant in self.entrants}
        self.every_part = frozenset[Part]().union(*self.parts.values())
        self.training, self.training_left_out, _ = self._usable(self.plan.training, localised=True)
        self.identities = Identities(self.plan, bench.tower, bench.store, seed, self.training, self.entrants)
        self.cells = [
            Cell(dataset, category, *self._usable(dataset.select(split="test", categories=(category,)).samples))
            for dataset in self.plan.test_on
            for category in dataset.categories
        ]
        self.tested = {
            dataset.name: self.identities.tested(cell for cell in self.cells if cell.dataset is dataset)
            for dataset in self.plan.test_on
        }
        self.finished: dict[tuple[str, str, str], Row] = {}
        self.earlier: dict[tuple[str, str, str], Row] = {}
        self._emptied: dict[tuple[str, str], dict[str, Any]] = {}

    def run(self) -> Outcome:
        """Train what has to be trained, test what was not tested yet, return all rows in the order of the plan."""
        contenders = [
            Contender(entrant, self._lacking(entrant.spec), error=str(entrant.why_not or ""))
            for entrant in self.entrants
        ]
        at_work = [contender for contender in contenders if contender.lacking]
        if self.bench.overwrite == "never":
            for contender in at_work:
                contender.error = "not computed yet"
        for contender in at_work:
            self._attempt(contender, self._begin, contender)
        self._train([contender for contender in at_work if contender.detector])
        for cell in self.cells:
            wanted = [contender for contender in at_work if cell in contender.lacking]
            if wanted:
                self._test(cell, wanted)
        rows = [self.finished[spec, cell.dataset.name, cell.category] for spec in self.parts for cell in self.cells]
        return Outcome(rows, sum(len(contender.lacking) for contender in at_work))

    def trained(self) -> list[Contender]:
        """All methods, trained before or now; one that could not be has an error."""
        contenders = [Contender(entrant, [], error=str(entrant.why_not or "")) for entrant in self.entrants]
        for contender in contenders:
            self._attempt(contender, self._begin, contender)
        self._train(contenders)
        return contenders

    def _usable(
        self, samples: Sequence[Sample], *, localised: bool = False
    ) -> tuple[tuple[Sample, ...], tuple[tuple[Sample, str], ...], tuple[Sample, ...]]:
        """The samples that the store holds, the others with the reason, and those of the first without a usable mask.

        `localised` leaves out those, and defective pictures without a mask: a map cannot learn from them.
        """
        usable, left_out, without_mask = [], [], []
        for sample, parts in zip(samples, self.bench.store.holdings(samples), strict=True):
            missing = self.every_part - parts
            if missing - {MASK}:
                left_out.append((sample, "not encoded"))
            elif missing and localised:
                left_out.append((sample, UNUSABLE))
            elif localised and sample.label == ANOMALOUS and sample.mask is None:
                left_out.append((sample, "no mask to learn from"))
            else:
                usable.append(sample)
                without_mask += [sample] if missing else []
        return tuple(usable), tuple(left_out), tuple(without_mask)

    def _lacking(self, spec: str) -> list[Cell]:
        """The cells of a method that no finished row is there for, or one without the curve or draws asked for."""
        lacking = []
        stored = self.bench.overwrite == "never"
        every, ci = None if stored else self.plan.eval_every, self.plan.ci and not stored
        for cell in self.cells:
            name, adopt = self.identities.row(spec, cell), self.bench.overwrite == "only-missing"
            row = self.bench.keeper.find_row(name, _place(cell), self.tested[cell.dataset.name], adopt=adopt)
            if row is None or self.bench.overwrite == "always":
                lacking.append(cell)
            elif not has_curve(row, every) or (ci and not has_draws(row)):
                lacking.append(cell)
                self.earlier[spec, cell.dataset.name, cell.category] = row
            else:
                self.finished[spec, cell.dataset.name, cell.category] = row
        return lacking

    def _begin(self, contender: Contender) -> None:
        """Make a method's detector, with what it learned before if that is on disk with the curves asked for."""
        detector = self._detector(contender)
        if epochs_of(detector.epochs) and not self.training:
            raise NotApplicable("there is no picture to train on")
        if self.bench.overwrite != "always" and not self._taught(contender, detector):
            detector = self._detector(contender)
        contender.detector = detector

    def _taught(self, contender: Contender, detector: Detector) -> bool:
        """Teach a detector what it learned before, if it is to know that; False where it must be made anew."""
        keeper, name = self.bench.keeper, self.identities.head(contender.spec)
        head = keeper.find_head(name, fingerprint=self.bench.store.digest) if detector.epochs else None
        if head is None:
            return True
        if head.facts.get("eval_every") == self.plan.eval_every:
            contender.curves = dict(head.facts.get("curves", {}))
        if self._without_curve(contender):
            return True
        if not keeper.teach(detector, name, head):
            return False
        contender.losses, contender.trained = list(head.facts["losses"]), True
        contender.seconds, contender.steps = head.facts["seconds"], dict(head.facts.get("steps", {}))
        return True

    def _detector(self, contender: Contender) -> Detector:
        """A method's detector that has learned nothing yet."""
        return contender.entrant.method.begin(self.task(contender.entrant))

    def task(self, entrant: Entrant) -> Task:
        """All that a method may know when it begins."""
        plan, bench = self.plan, self.bench
        return Task(
            tower=bench.tower.spec,
            encode=TaskEncode(bench.encode, self._class_mean),
            categories=tuple(category for dataset in plan.train_on for category in dataset.categories),
            train_on=tuple(dataset.family for dataset in plan.train_on),
            seed=self.seed,
            device=self.device,
            epochs=plan.epochs,
            class_names=plan.class_names,
            shots=entrant.shots.count,
            pictures=len(self.training),
            batch_size=plan.batch_size,
            text=bench.tower,
        )

    def _class_mean(self, category: str) -> Tensor:
        """The mean unit class token of a training category: (D,)."""
        return self.reader.class_mean([sample for sample in self.training if sample.category == category])

    def _train(self, contenders: Sequence[Contender]) -> None:
        """Train all together: one scan of the training pictures an epoch, whoever still learns takes a step."""
        learning = [c for c in contenders if not c.trained and c.detector and c.detector.epochs]
        epochs = max((c.detector.epochs for c in learning if c.detector), default=0)
        schedule, step = Schedule(self.plan.eval_every or "epoch", -(-len(self.training) // self.plan.batch_size)), 0
        for contender in learning:
            contender.drawn = self._without_curve(contender)
        for epoch in range(epochs):
            active = [c for c in learning if c.detector and not c.error and c.detector.epochs > epoch]
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.training))
            shuffled = [self.training[index] for index in order]
            if not active:
                break
            parts = frozenset[Part]().union(*(self.parts[c.spec] for c in active))
            totals: dict[str, dict[str, float]] = {c.spec: {} for c in active}
            done = 0
            for features in self._read(shuffled, parts, active):
                for contender in active:
                    terms = self._attempt(contender, contender.step, features)
                    for name, value in (terms or {}).items():
                        total = totals[contender.spec]
                        total[name] = total.get(name, 0.0) + value * len(features) / len(shuffled)
                done, step = done + len(features), step + 1
                self.bench.progress(f"train, seed {self.seed}", epoch * len(shuffled) + done, epochs * len(shuffled))
                self._add_points([c for c in active if c.drawn and not c.error], step, schedule)
            for contender in active:
                contender.losses.append(totals[contender.spec])
                if contender.working.epochs == epoch + 1:
                    self._attempt(contender, self._keep_head, contender, learning)

    def _without_curve(self, contender: Contender) -> list[Cell]:
        """The cells whose curve is asked for and not there."""
        if not self.plan.eval_every:
            return []
        return [cell for cell in contender.lacking if self.identities.row(contender.spec, cell) not in contender.curves]

    def _add_points(self, contenders: Sequence[Contender], step: int, schedule: Schedule) -> None:
        """Add to the curves what the methods that have a point now would be worth if they stopped here.

        Detectors of their own take what was learned so far and are tested like any, so training does not feel it.
        """
        due = {c.spec: c for c in contenders if schedule.due(step, c.working.epochs)}
        if not due:
            return
        with same_draws_after(self.device):
            stopped = {spec: self._stopped_here(contender) for spec, contender in due.items()}
            for cell in self.cells:
                wanted = [stopped[spec] for spec, contender in due.items() if cell in contender.drawn]
                for spec, (tally, measured, _) in self._evaluate(cell, wanted, aloud=False).items():
                    curve = due[spec].curves.setdefault(self.identities.row(spec, cell), [])
                    curve.append(point(step, schedule.per_epoch, measured, tally.error))
        last = max(contender.working.epochs for contender in contenders) * schedule.per_epoch
        self.bench.progress(f"curves, seed {self.seed}", step, last)

    def _stopped_here(self, contender: Contender) -> Contender:
        """A method as a later run would find it if its training ended now."""

        def learn() -> Detector:
            detector = self._detector(contender)
            learned = contender.working.state_dict()
            detector.load_state_dict({name: tensor.detach().clone() for name, tensor in learned.items()})
            return detector

        stopped = Contender(contender.entrant, [])
        stopped.detector = self._attempt(stopped, learn)
        return stopped

    def _keep_head(self, contender: Contender, learning: Sequence[Contender]) -> None:
        """Write what a method learned, so that an interrupted bench need not learn it again.

        The curves of all that learn the same stand in it.
        """
        name = self.identities.head(contender.spec)
        alike = [c for c in learning if self.identities.head(c.spec) == name]
        curves = {row: curve for c in alike for row, curve in c.curves.items()}
        facts = {
            "fingerprint": self.bench.store.digest,
            "tower": self.bench.tower.spec.name,
            "method": contender.spec,
            "losses": contender.losses,
            "steps": contender.steps,
            "seconds": round(contender.seconds, 3),
            "training": self.identities.of_training(contender.spec),
            **({"eval_every": self.plan.eval_every, "curves": curves} if self.plan.eval_every else {}),
        }
        self.bench.keeper.keep_head(name, TrainedHead(contender.working.state_dict(), facts))

    def _test(self, cell: Cell, contenders: Sequence[Contender]) -> None:
        """Predict one category with every method from the same batches, and write a row for each."""
        tested = self._evaluate(cell, contenders)
        for contender in contenders:
            self._write(contender, cell, *tested[contender.spec])

    def _evaluate(
        self, cell: Cell, contenders: Sequence[Contender], *, aloud: bool = True
    ) -> dict[str, tuple[Tally, Measured | None, Sequence[Sample]]]:
        """What each method is worth on one category, and the shots that it was shown."""
        progress = self.bench.progress if aloud else _silent
        form = self.plan.pixel_form(cell, self.bench.tower.spec)
        empty = partial(self._empty_tally, counting=self.plan.ci and aloud)
        tallies = {c.spec: empty(form, error=c.error) for c in contenders}
        shown = self.show(cell, contenders, tallies)
        measured = self._measure(cell, contenders, tallies, progress)
        unsure = [c for c in contenders if (found := measured[c.spec]) and found.bound > TOLERANCE]
        again = {c.spec: empty("exact", seconds=tallies[c.spec].seconds) for c in unsure}
        if unsure and aloud:
            logger.info(
                "%s %s: streamed pixel metrics of %s may be off by more than %.0e; predicting once more, exactly",
                cell.dataset.name,
                cell.category,
                ", ".join(again),
                TOLERANCE,
            )
        for spec, exact in self._measure(cell, unsure, again, progress).items():
            streamed = measured[spec]
            measured[spec] = replace(exact, refused=streamed.bound) if exact and streamed else exact
        return {spec: (tally, measured[spec], shown[spec]) for spec, tally in (tallies | again).items()}

    def _empty_tally(self, form: Form, *, counting: bool, error: str = "", seconds: float = 0.0) -> Tally:
        """A tally of maps of the tower's pictures; with `counting` it can tell its pictures apart."""
        counter = PixelCounter() if counting else None
        side = self.bench.tower.spec.image_size
        return Tally(side=side, pixels=pixel_metrics(form), counter=counter, error=error, seconds=seconds)

    def _measure(
        self, cell: Cell, contenders: Sequence[Contender], tallies: Mapping[str, Tally], progress: Progress
    ) -> dict[str, Measured | None]:
        """Predict one category with some methods from the same batches; the metrics of those that went well."""
        stage = f"test {cell.dataset.name} {cell.category}, seed {self.seed}"
        self.scan(cell.samples, contenders, tallies, partial(progress, stage), without_mask=cell.without_mask)
        return {c.spec: self._attempt(tallies[c.spec], c.measure, cell, tallies[c.spec]) for c in contenders}

    def scan(
        self,
        samples: Sequence[Sample],
        contenders: Sequence[Contender],
        tallies: Mapping[str, Tally],
        progress: Callable[[int, int], None],
        *,
        without_mask: Collection[Sample] = (),
    ) -> None:
        """Predict samples with some methods from the same batches, each method into its tally."""
        parts, done = frozenset[Part]().union(*(self.parts[c.spec] for c in contenders)) - {MASK}, 0
        usable = samples if any(not tally.error for tally in tallies.values()) else ()
        for features, runs in self._read_with_runs(usable, parts, tallies.values(), without_mask):
            for contender in contenders:
                tally = tallies[contender.spec]
                self._attempt(tally, contender.predict, features, runs, tally)
            done += len(features)
            progress(done, len(samples))

    def settle(self, contenders: Sequence[Contender], tallies: Mapping[str, Tally]) -> None:
        """Make the final scores of pictures that have all been predicted."""
        for contender in contenders:
            tally = tallies[contender.spec]
            if not tally.error:
                self._attempt(tally, tally.settle, contender.working)

    def show(
        self, cell: Cell, contenders: Sequence[Contender], tallies: Mapping[str, Tally]
    ) -> dict[str, Sequence[Sample]]:
        """Show the methods their shots of a category, those that are shown the same at one reading."""
        shown: dict[str, Sequence[Sample]] = {}
        for shots in dict.fromkeys(c.entrant.shots for c in contenders):
            alike = [c for c in contenders if c.entrant.shots == shots]
            owners = [tallies[c.spec] for c in alike]
            drawn: Sequence[Sample] = ()
            try:
                drawn = self.plan.shots_of(cell.dataset, cell.category, self.seed, shots=shots)
            except NotApplicable as error:
                self._blame(owners, error)
            parts = frozenset[Part]().union(*(self.parts[c.spec] for c in alike)) - {MASK}
            for features in self._read(drawn, parts, owners, size=len(drawn)):
                for contender in alike:
                    self._attempt(tallies[contender.spec], contender.remember, cell.category, features)
            shown |= {c.spec: drawn for c in alike}
        return shown

    def _write(
        self, contender: Contender, cell: Cell, tally: Tally, measured: Measured | None, shots: Sequence[Sample]
    ) -> None:
        """Make the row of a cell; keep it on disk unless it failed."""
        said = self._attempt(tally, contender.facts) or {}
        drawn = self._attempt(tally, self._draws, cell, tally) if self.plan.ci else None
        row = Row(
            method=contender.spec,
            train_on=tuple(dataset.name for dataset in self.plan.train_on),
            test_on=cell.dataset.name,
            category=cell.category,
            shots=contender.entrant.shots.count,
            seed=self.seed,
            metrics=dict(measured.values) if measured and not tally.error else {},
            undefined=dict(measured.undefined) if measured and not tally.error else {},
            seconds=round(tally.seconds, 3),
            error=tally.error,
            facts={
                **said,
                **self._facts(contender, cell, shots),
                **self._unasked(contender, cell),
                **self._curve(contender, cell),
                **(drawn or {}),
                "pixel_metrics": measured.how if measured else {},
            },
        )
        self.finished[contender.spec, cell.dataset.name, cell.category] = row
        if row.error and self.bench.overwrite == "never":
            return
        if row.error:
            logger.warning("%s on %s %s: %s", row.method, row.test_on, row.category, row.error)
        else:
            seen = {_place(cell): self.tested[cell.dataset.name]}
            self.bench.keeper.keep_row(self.identities.row(contender.spec, cell), row, seen)

    def _attempt(self, owner: Contender | Tally, function: Callable[..., Result], *arguments: Any) -> Result | None:
        """Run a method's own code: what it raises becomes the owner's error, and the others go on.

        The owner is the method itself at training, when all its cells are lost, and one cell's tally at test.
        """
        if owner.error:
            return None
        try:
            with guarded():
                return function(*arguments)
        except StackclipError as error:
            self._blame([owner], error)
            return None

    def _read(
        self, samples: Sequence[Sample], parts: Iterable[Part], owners: Iterable[Contender | Tally], size: int = 0
    ) -> Iterator[Features]:
        """The batches of a scan; where the store fails, that is the error of all who take part in it."""
        try:
            if samples:
                yield from self.reader.batches(samples, parts, size=size or self.plan.batch_size)
        except StackclipError as error:
            self._blame(owners, error)

    def _read_with_runs(
        self,
        samples: Sequence[Sample],
        parts: Iterable[Part],
        owners: Collection[Tally],
        without_mask: Collection[Sample],
    ) -> Iterator[tuple[Features, list[np.ndarray | None]]]:
        """The batches of a scan with the runs of each mask; None for one that cannot be used."""
        without = frozenset(without_mask)
        for features in self._read(samples, parts, owners):
            try:
                runs = [None if sample in without else self.bench.store.runs(sample) for sample in features.samples]
            except StackclipError as error:
                self._blame(owners, error)
                return
            yield features, runs

    def _blame(self, owners: Iterable[Contender | Tally], error: BaseException) -> None:
        """Make an error, in one line, that of its owners."""
        said = reason(error)
        if self.plan.fail_fast:
            named = [owner.spec for owner in owners if isinstance(owner, Contender)]
            if named and isinstance(error, BrokenPlugin):
                raise BrokenPlugin(f"{', '.join(named)}: {said}") from error
            raise error if isinstance(error, StackclipError) else StackclipError(said) from error
        logger.debug("what went wrong", exc_info=error)
        for owner in owners:
            owner.error = owner.error or said

    def _facts(self, contender: Contender, cell: Cell, shots: Sequence[Sample]) -> dict[str, Any]:
        """What a reader of a row needs to trust it."""
        tower, text = self.bench.tower, self.bench.tower.text_fingerprint
        return {
            "tower": tower.spec.name,
            "note": tower.spec.note,
            "layers": list(tower.spec.layers),
            "features": self.bench.store.digest,
            "feature_dtype": self.bench.store.feature_dtype,
            "protocol": self.identities.protocol,
            "image_size": tower.spec.image_size,
            "asked_epochs": self.plan.epochs,
            "asked_class_names": self.plan.class_names,
            "fingerprint": dict(tower.fingerprint),
            "text": content_hash(canonical_json(text)),
            "recorded": dict(tower.recorded),
            "stackclip": __version__,
            "mask_rule": "bilinear > 0.5",
            "aupro": "exact: 8-connected regions, FPR limit 0.3; cflow200 beside it",
            "batch_size": self.plan.batch_size,
            "options": self.identities.options(contender.spec),
            "trained_layouts": [dataset.layout for dataset in self.plan.train_on],
            "tested_layout": cell.dataset.layout,
            "trained": self.identities.trained,
            "tested": {"place": _place(cell), "content": self.tested[cell.dataset.name][cell.category]},
            "trained_pictures": len(self.training),
            "trained_left_out": [sample.id for sample, _ in self.training_left_out],
            "tested_pictures": len(cell.samples),
            **self._empty_masks(cell),
            "tested_left_out": [sample.id for sample, _ in cell.left_out],
            "why_left_out": _by_dataset((*self.training_left_out, *cell.left_out)),
            "overlap": overlap_facts(self.bench.store, cell.samples, self._trained_contents, shots),
            "tested_family": cell.dataset.family,
            "trained_families": [dataset.family for dataset in self.plan.train_on],
            "tested_without_mask": [sample.id for sample in cell.without_mask],
            "why_without_mask": _by_dataset((sample, UNUSABLE) for sample in cell.without_mask),
            "shots_drawn": [sample.id for sample in shots],
            "losses": contender.losses,
            "steps": contender.steps,
            "train_seconds": round(contender.seconds, 3),
        }

    def _empty_masks(self, cell: Cell) -> dict[str, Any]:
        """How many masks of a cell's defects are black, and how many more lost their last pixel to scaling, if any."""
        place = cell.dataset.name, cell.category
        if place not in self._emptied:
            unusable = {sample.id for sample in cell.without_mask}
            masked = [s for s in cell.samples if s.label == ANOMALOUS and s.mask and s.id not in unusable]
            try:
                empty = [sample for sample in masked if not len(self.bench.store.runs(sample))]
                black = sum(is_black(sample) for sample in empty)
            except StackclipError:  # whoever needs the mask names it
                empty, black = [], 0
            counts = {"masks": len(masked), "black": black, "lost": len(empty) - black}
            self._emptied[place] = {"empty_masks": counts} if empty else {}
        return self._emptied[place]

    @cached_property
    def _trained_contents(self) -> frozenset[str]:
        """What is in the training pictures, whatever they are called."""
        return contents(self.training, self.bench.store)

    def _curve(self, contender: Contender, cell: Cell) -> dict[str, Any]:
        """How the method came to its figures, and how steady they were at the end; nothing unless that was asked."""
        if not self.plan.eval_every:
            return {}
        curve = contender.curves.get(self.identities.row(contender.spec, cell), [])
        return {"eval_every": self.plan.eval_every, "curve": curve, "stability": stability(curve)}

    def _draws(self, cell: Cell, tally: Tally) -> dict[str, Any]:
        """The metrics of a cell in draws of its pictures."""
        return draw_facts(tally.said(cell.samples), self.identities.pictures(cell))

    def _unasked(self, contender: Contender, cell: Cell) -> dict[str, Any]:
        """The curve and the draws of an earlier row of the same cell, which hold whatever is asked for now."""
        earlier = self.earlier.get((contender.spec, cell.dataset.name, cell.category))
        facts: Mapping[str, Any] = earlier.facts if earlier else {}
        return {
            name: facts[name] for name in ("eval_every", "curve", "stability", "draws", "intervals") if name in facts
        }


def _place(cell: Cell) -> str:
    """Where the data set of a cell lies."""
    return str(cell.dataset.root.absolute())


def _by_dataset(left_out: Iterable[tuple[Sample, str]]) -> dict[str, dict[str, str]]:
    """Data set -> id -> why that picture is left out."""
    reasons: dict[str, dict[str, str]] = {}
    for sample, why in left_out:
        reasons.setdefault(sample.dataset, {})[sample.id] = why
    return reasons
