"""What a method looks at beside the pictures: found out by trying it on noise, before anything is encoded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.seeds import OneSeed
from stackclip.errors import StackclipError
from stackclip.methods import Detector
from stackclip.ops.draws import same_draws_after
from stackclip.ops.files import content_hash
from stackclip.ops.given import least_shots_of, stages_of
from stackclip.prompts import Encode
from stackclip.registry import guarded
from stackclip.types import MASK, Features, Prediction, Sample

__all__ = ["Habits", "habits_of"]

logger = logging.getLogger(__name__)

OTHER = "something else"  # than any object


@dataclass(frozen=True, slots=True)
class Habits:
    """Whether a method reads the pictures of the training data sets, and whether an object's name changes its say."""

    trains: bool
    reads_name: bool


def habits_of(run: OneSeed) -> Mapping[str, Habits]:
    """The habits of each method of a plan that tests one category."""
    with same_draws_after(run.bench.tower.device):
        return {entrant.spec: _habits(run, entrant.untiled) for entrant in run.entrants.values()}


def _habits(run: OneSeed, entrant: Entrant) -> Habits:
    task = run.lessons.task(entrant)
    encode, trains, reads_name = _TriedEncode(task.encode, task.tower.joint), False, True
    try:  # what is wrong with it is told when it is run in earnest
        with guarded(entrant.spec):
            detector = entrant.method.begin(replace(task, encode=encode))
            trains, encode.pretending = bool(stages_of(detector.stages)), True
            sample = run.plan.test_on[0].samples[0]
            if least_shots_of(detector):  # it would learn twice from noise, as long as from shots
                detector = entrant.method.begin(replace(task, encode=encode, epochs=1))
            says = [_say(run, detector, entrant, replace(sample, category=name)) for name in (sample.category, OTHER)]
            reads_name = not _same(*says)
    except StackclipError as error:
        logger.debug("%s could not be tried", entrant.spec, exc_info=error)
    return Habits(trains or encode.asked_means, reads_name)


def _say(run: OneSeed, detector: Detector, entrant: Entrant, sample: Sample) -> Prediction:
    """What a detector says of noise as pictures of a category, shown other noise where it wants shots.

    It is one picture, or two for a method that scores tested pictures by each other.
    """
    draws = torch.Generator().manual_seed(0)
    samples = (sample, replace(sample, id=f"{sample.id} {OTHER}"))[: 2 if entrant.reads("survey") else 1]

    def noise() -> Features:
        tower = run.bench.tower
        parts = {
            part: torch.randn(len(samples), *tower.spec.shape(part), generator=draws).to(tower.device)
            for part in sorted(entrant.parts - {MASK})
        }
        return Features(samples, parts)

    tested, shown = noise(), noise()
    shots = iter([shown] if entrant.shots.count else [])
    inspector = detector.on(sample.category, shots, iter([tested]))
    if entrant.reads("survey"):
        inspector.survey(lambda: iter((tested,)))
    return inspector.predict(tested)


def _same(one: Prediction, other: Prediction) -> bool:
    pairs = ((one.scores, other.scores), (one.maps, other.maps))
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


class _TriedEncode:
    """The tower's text side; while `pretending`, each phrase has features of its own that need no tower."""

    def __init__(self, encode: Encode, width: int) -> None:
        self.encode, self.width = encode, width
        self.pretending = self.asked_means = False

    @property
    def context_length(self) -> int:
        return self.encode.context_length

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return torch.stack([self._pretended(phrase) for phrase in phrases]) if self.pretending else self.encode(phrases)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        self.asked_means = True
        return torch.stack([self._pretended(category) for category in categories])

    def count_tokens(self, phrase: str) -> int:
        return self.encode.count_tokens(phrase)

    def _pretended(self, phrase: str) -> Tensor:
        """One direction for all phrases and a little of each one's own, so that no softmax is at its end."""
        own = torch.Generator().manual_seed(int(content_hash(phrase.encode())[:12], 16))
        return 1 + 0.1 * torch.randn(self.width, generator=own)  # (D,)
