"""One seed of a bench: its methods learn together, and are tested on one category after another."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.lessons import Lessons
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.record import Recorder
from stackclip.benchmarks.resume import MethodRows, Resume
from stackclip.benchmarks.sidecars import CellPictures
from stackclip.benchmarks.testing import Testing
from stackclip.benchmarks.usability import cells_by, usable_by
from stackclip.benchmarks.words import say_words, with_words
from stackclip.training.failures import Failures
from stackclip.training.sources import FeatureReader
from stackclip.training.trainee import Trainee
from stackclip.types import MASK, PICTURE, Part, Row

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Bench

__all__ = ["ALL", "CellName", "OneSeed", "Share"]

logger = logging.getLogger(__name__)
CellName = tuple[str, str, str, int]
"""A cell of a method in a plan: the method's spec, the tested data set and category, and the seed."""


@dataclass(frozen=True)
class Share:
    """Some of the work on one seed: of these methods, on these categories (data set, category); None is all.

    With `learn_only` nothing is tested, and the only rows are those of methods that could not learn. What is `taught`
    was trained before by somebody else, however old it is.
    """

    methods: frozenset[str] | None = None
    categories: frozenset[tuple[str, str]] | None = None
    learn_only: bool = False
    taught: bool = False


ALL = Share()


class OneSeed:
    """What a bench does for one seed; `training` and `cells` are, by its spec, what each method can use."""

    def __init__(self, bench: Bench, seed: int, reader: FeatureReader) -> None:
        self.bench, self.plan, self.seed, self.reader = bench, bench.plan, seed, reader
        self.entrants = {entrant.spec: entrant for entrant in bench.entrants}
        self.failures = Failures(self.plan.fail_fast)
        needs = {spec: _must_hold(bench, entrant.reads("train")) for spec, entrant in self.entrants.items()}
        tested = {spec: _must_hold(bench, entrant.of_tested) for spec, entrant in self.entrants.items()}
        with bench.store.one_look():
            usable = usable_by(needs.values(), self.plan.training_of(seed), bench.store, localised=True)
            self.training = {spec: usable[parts] for spec, parts in needs.items()}
            pictures = {spec: usable.samples for spec, usable in self.training.items()}
            how = bench.source, bench.live.precision
            self.identities = Identities(self.plan, bench.tower, bench.store, seed, pictures, self.entrants, *how)
            self.cells = cells_by(tested, self.plan, bench.store)
            self.tested = {dataset.name: self.identities.tested(dataset) for dataset in self.plan.test_on}
        self.lessons = Lessons(bench, seed, reader, self.failures, self.entrants, self.training)
        self._taught = dict[str, Trainee]()

    def run(self, share: Share = ALL) -> tuple[list[Row], int]:
        """Train what has to be trained, test what was not tested yet; the rows in order, and how many are new.

        Cells are tested one after another, and what a method was for a cell is dropped with it.
        """
        chosen = [spec for spec in self.entrants if share.methods is None or spec in share.methods]
        rows = {spec: self._rows_of(spec, share) for spec in chosen}
        for finished in (row for of_method in rows.values() for row in of_method.finished.values()):
            self.bench.told(finished)
        trainees = self._ready([spec for spec in chosen if rows[spec].lacking], rows, share)
        tested = [trainee for trainee in trainees if trainee.error or not share.learn_only]
        for cell in dict.fromkeys(cell for each in tested for cell in rows[each.spec].lacking):
            self._test(cell, [trainee for trainee in tested if cell in rows[trainee.spec].lacking], rows)
        say_words(self.plan, self.lessons.rewordings, [trainee.spec for trainee in tested if not trainee.error])
        found = [rows[spec].finished.get(cell) for spec in chosen for cell in self.cells[spec]]
        return [row for row in found if row is not None], sum(len(rows[trainee.spec].lacking) for trainee in tested)

    def lacking(self, specs: Sequence[str]) -> Iterator[CellName]:
        """The cells of methods that lack a row, or something in it that is asked for."""
        for spec in specs:
            for cell in self._rows_of(spec, ALL).lacking:
                yield spec, cell.dataset.name, cell.category, self.seed

    def _ready(self, specs: Sequence[str], rows: dict[str, MethodRows], share: Share) -> list[Trainee]:
        """Methods with lacking rows that have learned, now or for a share before; one that could not has an error."""
        lacking = {spec: rows[spec].lacking for spec in specs}
        known = [self._taught[spec] for spec in specs if spec in self._taught]
        known = [each for each in known if not self._resume.without_curve(each, lacking[each.spec])]
        there = {trainee.spec for trainee in known}
        trainees = [self.lessons.trainee(self.entrants[spec]) for spec in specs if spec not in there]
        if self.bench.overwrite == "never":
            for trainee in trainees:
                trainee.error = "not computed yet"
        resume = replace(self._resume, anew=False) if share.taught else self._resume
        self.lessons.teach(trainees, lacking, resume, self.testing)
        self._taught |= {trainee.spec: trainee for trainee in trainees}
        every = {trainee.spec: trainee for trainee in (*known, *trainees)}
        return [every[spec] for spec in specs]

    def trained(self) -> list[Trainee]:
        """All methods, trained before or now; one that could not be has an error."""
        trainees = [self.lessons.trainee(entrant) for entrant in self.entrants.values()]
        self.lessons.teach(trainees, {}, self._resume, self.testing)
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
            bench.savings,
        )

    def _rows_of(self, spec: str, share: Share) -> MethodRows:
        """What there is of a method's share of cells; those that failed elsewhere have a row with the error."""
        wanted = share.categories
        cells = [cell for cell in self.cells[spec] if wanted is None or (cell.dataset.name, cell.category) in wanted]
        rows = self._resume.rows_of(spec, cells, lambda cell: self.tested[cell.dataset.name])
        for cell in tuple(rows.lacking):
            if known := self.bench.failed.get((spec, cell.dataset.name, cell.category, self.seed)):
                self._fail(spec, cell, known, rows)
        return rows

    def _fail(self, spec: str, cell: Cell, known: Row | str, rows: MethodRows) -> None:
        rows.lacking.remove(cell)
        if isinstance(known, Row):
            rows.finished[cell] = known
            self._resume.say_failed(known)
        else:
            self._test(cell, [replace(self.lessons.trainee(self.entrants[spec]), error=known)], {spec: rows})

    def _test(self, cell: Cell, trainees: Sequence[Trainee], rows: dict[str, MethodRows]) -> None:
        """Predict one category with every method from the same batches, and write a row for each."""
        tested, store = self.testing.evaluate(cell, trainees), self.bench.store
        store.look_again()  # that took its time
        with store.one_look():
            for trainee in trainees:
                of_method = rows[trainee.spec]
                row = self._recorder.row(trainee, cell, tested[trainee.spec], of_method.earlier.get(cell))
                row = with_words(row, self.plan, self.lessons.rewordings)
                of_method.finished[cell] = row
                pictures = None if row.error else CellPictures.of(cell, tested[trainee.spec].evaluation)
                self._resume.keep_row(trainee, cell, row, self.tested[cell.dataset.name], pictures)
                self.bench.told(row)

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
