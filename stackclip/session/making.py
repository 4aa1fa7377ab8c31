"""A workbench where methods are made ready for pictures of one's own: what is encoded, and who has to train."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import ClassVar

from stackclip.benchmarks.entrant import Entrant, Errand, errands_of
from stackclip.benchmarks.habits import habits_of
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store
from stackclip.data import largest_size
from stackclip.errors import PictureError
from stackclip.ops.files import canonical_json, content_hash, file_hash
from stackclip.ops.progress import Listener
from stackclip.ops.spread import evenly
from stackclip.session.workbench import Workbench
from stackclip.types import Sample

__all__ = ["Making", "content_of"]

logger = logging.getLogger("stackclip")

_LOOKED_AT = 64  # pictures whose size is asked
_COARSE = 4  # pixels of a picture in one that the tower sees, on a side; more is said


@dataclass(frozen=True)
class Making:
    """A plan that tests one category of own pictures, at a workbench with a store of features."""

    workbench: Workbench
    store: Store
    plan: Plan
    progress: Listener
    patience: ClassVar[float] = 0.0  # seconds that one who repairs the store is waited for

    def encode(self, errands: Sequence[Errand]) -> tuple[PictureError, ...]:
        """Encode what the store lacks; the pictures that could not be. Its note the tower has elsewhere."""
        wanted = [errand for errand in errands if errand.samples]
        if not wanted:
            return ()
        done = self.workbench.extracted(self.store, wanted, patience=self.patience, progress=self.progress)
        return self.workbench.said(self.store, done, noted=False).failed

    def encode_training(self, trained: Sequence[Entrant]) -> tuple[PictureError, ...]:
        """Encode the training pictures for those methods that train."""
        return self.encode(errands_of(replace(self.part(trained), test_on=()), trained)) if trained else ()

    def part(self, entrants: Sequence[Entrant]) -> Plan:
        """The plan with some of its methods."""
        return replace(self.plan, methods=tuple(each.spec for each in entrants))

    def bench(self, entrants: tuple[Entrant, ...]) -> AbstractContextManager[Bench]:
        """A bench of some methods."""
        return self.workbench.bench(self.part(entrants), entrants, self.store, progress=self.progress)

    def by_training(self, entrants: tuple[Entrant, ...]) -> tuple[tuple[Entrant, ...], tuple[Entrant, ...]]:
        """The methods that read training pictures and those that do not; say which do not heed the object's name."""
        with self.bench(entrants) as bench:
            found = habits_of(bench.of_seed(self.plan.seeds[0]))
        deaf = [spec for spec, habits in found.items() if not habits.reads_name]
        if deaf:
            _say_deaf(deaf, self.plan.test_on[0].categories[0])
        trained = tuple(each for each in entrants if found[each.spec].trains)
        return trained, tuple(each for each in entrants if not found[each.spec].trains)

    def say_notes(self) -> None:
        """Say what the tower has to have said of it, and where pictures are much larger than it sees them."""
        self.workbench.say_note()
        seen = self.workbench.tower.spec.frame.size
        pictures = [sample.image for sample in self.plan.test_on[0].samples]
        height, width = largest_size(evenly(pictures, _LOOKED_AT))
        shrunk = max(height / seen.height, width / seen.width)
        if self.plan.tiles is None and shrunk > _COARSE:
            logger.info(
                "note: pictures of up to %d x %d are seen at %d x %d: what is thinner than %d pixels may be lost; "
                "--tiles %d looks closer and takes longer (a detector: when it is fitted)",
                *(width, height, seen.width, seen.height, int(shrunk), _COARSE * min(seen)),
            )


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
