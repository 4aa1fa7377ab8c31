"""How the methods of one seed learn: each begins with what it may know, and all are trained in one scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from stackclip.benchmarks.entrant import Entrant, check_stages
from stackclip.benchmarks.followers import Followers, left_alone, tie_pieces
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.points import CurveWatch
from stackclip.benchmarks.resume import Resume
from stackclip.benchmarks.testing import Testing
from stackclip.benchmarks.usability import Usable
from stackclip.benchmarks.words import names_in
from stackclip.errors import NotApplicable
from stackclip.methods import Detector, Task, refuse_shots, require_shots
from stackclip.ops.given import check_detector, least_shots_of, stages_of
from stackclip.prompts.jitter import Wording
from stackclip.training.failures import Failures
from stackclip.training.rewording import RewordedText, Rewording
from stackclip.training.scan import Training
from stackclip.training.sources import FeatureReader
from stackclip.training.text import TaskEncode
from stackclip.training.trainee import Trainee

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Bench

__all__ = ["Lessons"]


@dataclass(frozen=True)
class Lessons:
    """What methods begin with and learn from for one seed; `training` is, by its spec, what each method can use."""

    bench: Bench
    seed: int
    reader: FeatureReader
    failures: Failures
    entrants: Mapping[str, Entrant]
    training: Mapping[str, Usable]
    rewordings: dict[str, Rewording] = field(default_factory=dict)

    def task(self, entrant: Entrant) -> Task:
        """All that a method may know when it begins."""
        plan, tower, training = self.bench.plan, self.bench.tower, self.training[entrant.spec].samples
        reword = self._rewording(entrant.spec) if plan.words else None
        return Task(
            tower=tower.spec,
            encode=TaskEncode(self.bench.encode, self.mean_of(entrant.spec), reword),
            categories=tuple(category for dataset in plan.train_on for category in dataset.categories),
            train_on=tuple(dataset.family for dataset in plan.train_on),
            seed=self.seed,
            device=tower.device,
            epochs=plan.epochs,
            class_names=plan.class_names,
            shots=entrant.shots.count,
            pictures=len(training),
            batch_size=plan.batch_size,
            text=RewordedText.of(tower.text, reword),
            image=tower.image.running(self.bench.live),
            micro_batch=self.bench.live.micro_batch,
            precision=self.bench.live.precision,
        )

    def _rewording(self, spec: str) -> Rewording:
        """What says the phrases of a method in the words of the plan's draw."""
        if spec not in self.rewordings:
            encode, names = self.bench.encode, names_in(self.bench.plan, spec)
            self.rewordings[spec] = Rewording(Wording(self.bench.plan.words, names), encode)
        return self.rewordings[spec]

    def mean_of(self, spec: str) -> Callable[[str], Tensor]:
        """What gives the mean unit class token (D,) of a training category, of the pictures that a method can use."""
        training = self.training[spec].samples
        return lambda category: self.reader.class_mean([each for each in training if each.category == category])

    def trainee(self, entrant: Entrant) -> Trainee:
        """A method that has not begun; one that cannot run here has an error."""
        samples = self.training[entrant.spec].samples
        error = str(entrant.why_not or "")
        stop_after = self.bench.plan.stop_after
        return Trainee(entrant.spec, samples=samples, parts=entrant.reads("train"), error=error, stop_after=stop_after)

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

    def teach(
        self, trainees: Sequence[Trainee], lacking: Mapping[str, Sequence[Cell]], resume: Resume, testing: Testing
    ) -> None:
        """Begin all methods and train them together; what each has learned is kept after every epoch.

        Curves of `lacking` cells are drawn by `testing`, where they are asked for.
        Raises WeightsError where the tower is not to be had any more.
        """
        if not all(trainee.error for trainee in trainees):
            self.bench.tower.build()
        for trainee in trainees:
            cells = lacking.get(trainee.spec, [])
            self.failures.attempt(trainee, resume.teach, trainee, cells, partial(self._begun, trainee))
        learning = [trainee for trainee in trainees if trainee.detector and not trainee.error and not trainee.finished]
        followers = Followers.of(learning, resume.identities.head)
        wanted = {t.spec: resume.without_curve(t, lacking.get(t.spec, [])) for t in learning}
        for alike in followers.classes:
            alike[0].draw([row for each in alike for row in wanted[each.spec].values()])
        if not self.bench.plan.eval_every:  # a point wants every method as it is at each step
            self.bench.savings.parts += tie_pieces(followers.learners)
        watch = CurveWatch(
            every=self.bench.plan.eval_every,
            wanted=wanted,
            followers=followers,
            begin=self._begun,
            evaluate=partial(testing.evaluate, aloud=False),
            keep=lambda trainee: self.failures.attempt(trainee, resume.keep, trainee, learning),
            failures=self.failures,
            progress=partial(self.bench.progress, f"curves, seed {self.seed}"),
            device=self.bench.tower.device,
        )

        def tell(stage: str, done: int, total: int) -> None:
            self.bench.progress(f"train{' ' * bool(stage)}{stage}, seed {self.seed}", done, total)

        scanned = self.bench.plan.training_of(self.seed)
        training = Training(self.reader, scanned, self.seed, self.failures, tell)
        training.teach(followers.learners, watch)
        training.teach(self._anew(left_alone(followers.learners)), watch)
        followers.take(self.failures)
        self.bench.savings.learned += len(followers.learners)
        self.bench.savings.taken += followers.taken

    def _anew(self, trainees: Sequence[Trainee]) -> list[Trainee]:
        """Methods at their beginning again."""
        for trainee in trainees:
            begun = self.failures.attempt(trainee, self._begun, trainee)
            if begun is not None:
                trainee.restart(begun)
        return [each for each in trainees if not each.error]
