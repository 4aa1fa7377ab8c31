"""From pictures of one's own to what methods say of them: encoded, trained elsewhere, scored and drawn."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from stackclip.benchmarks.entrant import Entrant, Errand, entrants_of, errands_of
from stackclip.benchmarks.habits import habits_of
from stackclip.benchmarks.overlap import trained_on
from stackclip.benchmarks.plan import Plan
from stackclip.cache import Store
from stackclip.errors import PictureError, StackclipError
from stackclip.inspection.predictions import predict
from stackclip.inspection.written import Written
from stackclip.ops.progress import Listener
from stackclip.session.pictures import Inspection, scores_of
from stackclip.session.workbench import Workbench

__all__ = ["Examination"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Examination:
    """A plan that tests one category of own pictures in `folder`, at a workbench."""

    workbench: Workbench
    store: Store
    plan: Plan
    folder: Path
    progress: Listener

    def run(self, output: Path, *, kept: bool) -> Inspection:
        """Score the pictures and draw heat maps into `output`, which goes away afterwards unless it is `kept`.

        Only methods that train have the training pictures encoded. What fails is logged. Raises StackclipError where
        none of the pictures can be read, or nothing is scored.
        """
        entrants = entrants_of(self.plan, self.workbench.tower.spec)
        own = errands_of(replace(self.plan, train_on=()), entrants)  # weights that do not fit are said first
        trained, untrained = self._by_training(entrants)
        unencoded = self._encode(own)
        self._check_left(unencoded, own)
        if trained:
            unencoded += self._encode(errands_of(replace(self._part(trained), test_on=()), trained))
        written, unkept = self._predict(trained, untrained, output)
        failures = tuple(str(each) for each in written if each.error)
        for failure in failures:
            logger.error("%s", failure)
        self.workbench.say_note()
        if not any(each.samples for each in written):
            raise StackclipError(f"{output}: nothing could be written, for the reasons above")
        return Inspection(
            scores=tuple(score for each in written for score in scores_of(each, drawn=kept)),
            summaries=tuple(str(each) for each in written if not each.error),
            failures=failures,
            missing=frozenset[str]().union(*(each.missing for each in written)),
            unencoded=unencoded,
            unkept=unkept,
        )

    def _check_left(self, unencoded: tuple[PictureError, ...], errands: Sequence[Errand]) -> None:
        """Raise StackclipError where no picture is left to score."""
        [dataset] = self.plan.test_on
        tested = dataset.select(split="test").samples
        if unencoded and len(self.store.lacking(tested, errands[0].parts)) == len(tested):
            raise StackclipError(f"{self.folder}: none of its pictures can be read, so there is nothing to score")

    def _encode(self, errands: Sequence[Errand]) -> tuple[PictureError, ...]:
        return self.workbench.encode(self.store, errands, progress=self.progress).failed if errands else ()

    def _part(self, entrants: Sequence[Entrant]) -> Plan:
        """The plan with some of its methods."""
        return replace(self.plan, methods=tuple(each.spec for each in entrants))

    def _predict(
        self, trained: tuple[Entrant, ...], untrained: tuple[Entrant, ...], output: Path
    ) -> tuple[list[Written], int]:
        """What each method says, in the order of the plan; and how many heads could not be kept."""
        with ExitStack() as stack:
            benches = [
                stack.enter_context(self.workbench.bench(self._part(group), group, self.store, progress=self.progress))
                for group in (trained, untrained)
                if group
            ]
            if trained and (overlap := trained_on(benches[0].plan, benches[0].store)):
                logger.warning("%s", overlap)
            written = predict(benches, output, seed=self.plan.seeds[0])
            unkept = sum(bench.keeper.unkept.total() for bench in benches)
        return sorted(written, key=lambda each: list(self.plan.resolved).index(each.method)), unkept

    def _by_training(self, entrants: tuple[Entrant, ...]) -> tuple[tuple[Entrant, ...], tuple[Entrant, ...]]:
        """The methods that read training pictures and those that do not; say which do not heed the object's name."""
        with self.workbench.bench(self.plan, entrants, self.store, progress=self.progress) as bench:
            found = habits_of(bench.of_seed(self.plan.seeds[0]))
        deaf = [spec for spec, habits in found.items() if not habits.reads_name]
        if deaf:
            _say_deaf(deaf, self.plan.test_on[0].categories[0])
        trained = tuple(each for each in entrants if found[each.spec].trains)
        return trained, tuple(each for each in entrants if not found[each.spec].trains)


def _say_deaf(methods: Sequence[str], words: str) -> None:
    one = len(methods) == 1
    logger.info(
        "note: %s %s not use the words %r: %s every object alike",
        ", ".join(methods),
        "does" if one else "do",
        words,
        "it treats" if one else "they treat",
    )
