"""From pictures of one's own to what methods say of them: encoded, trained elsewhere, scored and drawn."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from stackclip.benchmarks.entrant import Entrant, entrants_of, needed
from stackclip.benchmarks.habits import habits_of
from stackclip.benchmarks.overlap import trained_on
from stackclip.benchmarks.plan import Plan
from stackclip.cache import Store
from stackclip.errors import PictureError, StackclipError, UsageError
from stackclip.inspection.calibrating import Policy
from stackclip.inspection.good import Calibrate
from stackclip.inspection.predictions import Wishes, predict
from stackclip.inspection.written import MapFormat, Written
from stackclip.ops.files import canonical_json, content_hash, file_hash
from stackclip.ops.progress import Listener
from stackclip.ops.typed import typed_again
from stackclip.session.conditions import one_of
from stackclip.session.pictures import Inspection, check_normal, scores_of
from stackclip.session.recipe import words_of
from stackclip.session.site import path_of
from stackclip.session.workbench import Workbench
from stackclip.types import Part, Sample
from stackclip.version import VERSION

__all__ = ["Examination", "Wanted", "wanted_of"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True)
class Wanted:
    """What is wanted beside scores.

    In the folder `good`, if there is one, are the pictures by which verdicts are made, as `policy` says. `bad` are
    pictures of `bad_folder`, which are known to be bad, and `maps` says how maps are kept.
    """

    good: Path | None = None
    bad_folder: Path | None = None
    policy: Policy | None = None
    maps: MapFormat = ""
    bad: tuple[Sample, ...] = ()


def wanted_of(given: dict[str, Any], good: Path | None) -> Wanted:
    """Take what an inspection alone may be told out of the words `given`. Raises UsageError for what makes no sense."""
    bad, rate = path_of(given.pop("bad", None)), given.pop("false_alarms", None)
    calibrate, maps = given.pop("calibrate", "auto"), given.pop("maps", "")
    one_of("calibrate", calibrate, get_args(Calibrate))
    one_of("maps", maps, get_args(MapFormat))
    if rate is not None and not (isinstance(rate, float | int) and 0 < rate < 1):
        raise UsageError(f"a false-alarm rate of {rate}; wanted a share between 0 and 1, as .05")
    if good is None and (bad is not None or rate is not None):
        raise UsageError("a threshold is made by good pictures, and none were given: name a folder of them with --good")
    return Wanted(good, bad, None if good is None else Policy(rate, calibrate), maps)


@dataclass(frozen=True)
class Examination:
    """A plan that tests one category of own pictures in `folder`, at a workbench."""

    workbench: Workbench
    store: Store
    plan: Plan
    folder: Path
    wanted: Wanted
    progress: Listener

    def run(self, output: Path, *, kept: bool) -> Inspection:
        """Score the pictures and draw heat maps into `output`, which goes away afterwards unless it is `kept`.

        Only methods that train have the training pictures encoded. What fails is logged. Raises StackclipError where
        none of the pictures can be read, or nothing is scored.
        """
        entrants = entrants_of(self.plan, self.workbench.tower.spec)
        samples, parts = needed(replace(self.plan, train_on=()), entrants)  # weights that do not fit are said first
        trained, untrained = self._by_training(entrants)
        own = self.plan.all_normals() if self.wanted.policy else ()
        unencoded = self._encode(tuple(dict.fromkeys((*samples, *own, *self.wanted.bad))), parts)
        self._check_left(unencoded, parts)
        if trained:
            unencoded += self._encode(*needed(replace(self._part(trained), test_on=()), trained))
        readable = self._readable(parts) if unencoded else self
        written, unkept = readable._predict(trained, untrained, output)
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

    def _check_left(self, unencoded: tuple[PictureError, ...], parts: frozenset[Part]) -> None:
        """Raise StackclipError where no picture is left to score."""
        [dataset] = self.plan.test_on
        tested = dataset.select(split="test").samples
        if unencoded and len(self.store.lacking(tested, parts)) == len(tested):
            raise StackclipError(f"{self.folder}: none of its pictures can be read, so there is nothing to score")

    def _readable(self, parts: frozenset[Part]) -> Examination:
        """The same without good and bad pictures that cannot be read. Raises UsageError where too few good ones are."""
        lacking = frozenset(
            sample for sample, _ in self.store.lacking((*self.plan.all_normals(), *self.wanted.bad), parts)
        )
        [own] = self.plan.test_on
        left = tuple(sample for sample in own.samples if sample.split == "test" or sample not in lacking)
        plan = replace(self.plan, test_on=(replace(own, samples=left),))
        check_normal(plan, self.wanted.good)
        bad = tuple(sample for sample in self.wanted.bad if sample not in lacking)
        return replace(self, plan=plan, wanted=replace(self.wanted, bad=bad))

    def _encode(self, samples: Sequence[Sample], parts: frozenset[Part]) -> tuple[PictureError, ...]:
        return self.workbench.encode(self.store, samples, parts, progress=self.progress).failed

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
            wishes = Wishes(self.wanted.policy, self.wanted.bad, self.wanted.maps, self._record())
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
            "good": {"pictures": len(good), "content": content_of(good)},
            "trained_on": [dataset.name for dataset in self.plan.train_on],
            "seed": self.plan.seeds[0],
            "tower": tower.fingerprint,
        }

    def _command(self) -> list[str]:
        """The words of a command line that does the same here."""
        wanted, plan = self.wanted, self.plan
        policy = wanted.policy or Policy()
        said = {
            "--object": plan.test_on[0].categories[0],
            "--good": wanted.good,
            "--bad": wanted.bad_folder,
            "--false-alarms": policy.rate,
            "--calibrate": policy.calibrate if policy.calibrate != "auto" else None,
            "--maps": wanted.maps or None,
            "--methods": ",".join(plan.resolved),
            "--train-on": typed_again([dataset.name for dataset in plan.train_on]) or None,
            "--seed": plan.seeds[0] or None,
            "--epochs": plan.epochs,
        }
        words = [*self.workbench.workspace.command("inspect"), str(self.folder)]
        words += [word for name, value in said.items() if value is not None for word in (name, str(value))]
        return [*words, *words_of(self.workbench.recipe)]

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


def content_of(samples: Sequence[Sample]) -> str:
    """A hash of the files of pictures, whatever they are called."""
    return content_hash(canonical_json({"pictures": sorted(file_hash(sample.image) for sample in samples)}))
