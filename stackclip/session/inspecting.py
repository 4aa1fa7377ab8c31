"""From pictures of one's own to what methods say of them: encoded, trained elsewhere, scored and drawn."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackclip.benchmarks.entrant import Entrant, Errand, entrants_of, errands_of
from stackclip.benchmarks.overlap import trained_on
from stackclip.errors import PictureError, StackclipError
from stackclip.inspection.calibrating import Policy
from stackclip.inspection.predictions import Wishes, predict
from stackclip.inspection.written import Written
from stackclip.ops.typed import typed_again
from stackclip.session.making import Making, content_of
from stackclip.session.own_page import write_page
from stackclip.session.pictures import Inspection, check_normal, scores_of
from stackclip.session.recipe import words_of
from stackclip.session.wanted import Wanted
from stackclip.types import Part
from stackclip.version import VERSION

__all__ = ["Examination"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Examination(Making):
    """A plan that tests one category of own pictures in `folder`, at a workbench."""

    folder: Path
    wanted: Wanted

    def run(self, output: Path, *, kept: bool) -> Inspection:
        """Score the pictures and draw heat maps into `output`, which goes away afterwards unless it is `kept`.

        Only methods that train have the training pictures encoded. What fails is logged. Raises StackclipError where
        none of the pictures can be read, or nothing is scored.
        """
        entrants = entrants_of(self.plan, self.workbench.tower.spec)
        own = errands_of(replace(self.plan, train_on=()), entrants)  # weights that do not fit are said first
        trained, untrained = ((), entrants) if self.wanted.bundle else self.by_training(entrants)
        parts = frozenset[Part]().union(*(errand.parts for errand in own))
        others = (*(self.plan.all_normals() if self.wanted.policy else ()), *self.wanted.bad)
        unencoded = self.encode((*own, Errand(others, parts)))
        self._check_left(unencoded, own)
        unencoded += self.encode_training(trained)
        readable = self._readable(parts) if unencoded else self
        written, unkept = readable._predict(trained, untrained, output)
        failures = tuple(str(each) for each in written if each.error)
        failures += write_page(written, self.wanted.html) if self.wanted.html else ()
        for failure in failures:
            logger.error("%s", failure)
        self.say_notes()
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

    def _readable(self, parts: frozenset[Part]) -> Examination:
        """The same without good and bad pictures that cannot be read. Raises UsageError where too few good ones are."""
        lacking = frozenset(
            sample for sample, _ in self.store.lacking((*self.plan.all_normals(), *self.wanted.bad), parts)
        )
        [own] = self.plan.test_on
        left = tuple(sample for sample in own.samples if sample.split == "test" or sample not in lacking)
        plan = replace(self.plan, test_on=(replace(own, samples=left),))
        if self.wanted.bundle is None:
            check_normal(plan, self.wanted.good)
        bad = tuple(sample for sample in self.wanted.bad if sample not in lacking)
        return replace(self, plan=plan, wanted=replace(self.wanted, bad=bad))

    def _predict(
        self, trained: tuple[Entrant, ...], untrained: tuple[Entrant, ...], output: Path
    ) -> tuple[list[Written], int]:
        """What each method says, in the order of the plan; and how many heads could not be kept."""
        with ExitStack() as stack:
            benches = [stack.enter_context(self.bench(group)) for group in (trained, untrained) if group]
            if trained and (overlap := trained_on(benches[0].plan, benches[0].store)):
                logger.warning("%s", overlap)
            wanted = self.wanted
            wishes = Wishes(
                wanted.policy, wanted.bundle, wanted.bad, wanted.maps, self._record(), wanted.html is not None
            )
            written = predict(benches, output, seed=self.plan.seeds[0], wishes=wishes)
            unkept = sum(bench.keeper.unkept.total() for bench in benches)
        return sorted(written, key=lambda each: list(self.plan.resolved).index(each.method)), unkept

    def _record(self) -> dict[str, Any]:
        """How scores are made, but for the method: as JSON, good pictures by their content."""
        [own], tower = self.plan.test_on, self.workbench.tower
        good = self.plan.all_normals()
        return {
            "stackclip": VERSION,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(self._command()),
            "object": own.categories[0],
            "pictures": len(own.select(split="test").samples),
            **({"detector": dict(self.wanted.bundle.record)} if self.wanted.bundle else {}),
            "good": {"pictures": len(good), "content": content_of(good)},
            "trained_on": list(self.wanted.train_on),
            "seed": self.plan.seeds[0],
            "tower": tower.fingerprint,
        }

    def _command(self) -> list[str]:
        """The words of a command line that does the same here."""
        wanted, plan = self.wanted, self.plan
        policy = wanted.policy or Policy()
        said = {
            "--detector": wanted.detector,
            "--object": None if wanted.detector else plan.test_on[0].categories[0],
            "--good": wanted.good,
            "--bad": wanted.bad_folder,
            "--false-alarms": policy.rate,
            "--calibrate": policy.calibrate if policy.calibrate != "auto" else None,
            "--maps": wanted.maps or None,
            "--html": wanted.html,
            "--methods": None if wanted.detector else ",".join(plan.resolved),
            "--train-on": typed_again(wanted.train_on) or None,
            "--seed": None if wanted.detector else plan.seeds[0] or None,
            "--epochs": None if wanted.detector else plan.epochs,
            "--tiles": None if wanted.detector else plan.tiles,
        }
        words = [*self.workbench.workspace.command("inspect"), str(self.folder)]
        words += [word for name, value in said.items() if value is not None for word in (name, str(value))]
        return [*words, *words_of(self.workbench.recipe)]
