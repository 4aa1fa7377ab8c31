"""From words and folders to a deployed detector, and to its graph."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from stackclip.benchmarks.entrant import Entrant, entrants_of, needed
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.habits import habits_of
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.runner import Bench
from stackclip.data import Dataset, read_picture
from stackclip.errors import PictureError, StackclipError
from stackclip.export import Deployed, Exported, GraphOptions, check_inspector, check_tower, export_onnx
from stackclip.ops.progress import Listener, silent
from stackclip.ops.spread import evenly
from stackclip.ops.words import counted
from stackclip.session.workbench import Workbench
from stackclip.types import MASK

__all__ = ["CHECKED_ON", "Deployment", "checked_pictures"]

logger = logging.getLogger("stackclip")

CHECKED_ON = "synthetic[part=novel,categories=10,per_category=2,train_good=0]"  # 20 pictures of other categories
_MOST = 64  # pictures that a graph is checked on


@dataclass(frozen=True)
class Deployment:
    """A plan of one method and one category of own pictures, at a workbench."""

    workbench: Workbench
    plan: Plan
    progress: Listener = silent

    def deployed(self) -> Deployed:
        """Train the method, show it its shots, and give what it is for the category.

        Only what it learns from is encoded. Raises what goes wrong with the method, and PictureError for a picture that
        it would have learned from and that cannot be read.
        """
        workbench = self.workbench
        check_tower(workbench.tower)
        store = workbench.store()
        [entrant] = entrants_of(self.plan, workbench.tower.spec)
        with workbench.bench(self.plan, (entrant,), store, progress=self.progress) as bench:
            run = bench.of_seed(self.plan.seeds[0])
            check_inspector(entrant.method.begin(run.task(entrant)), entrant.spec)  # before it learns in vain
            [habits] = habits_of(run).values()
        self._encode(bench, habits.trains)
        with workbench.bench(self.plan, (entrant,), store, progress=self.progress) as bench:
            return self._of(bench, entrant)

    def write(self, output: Path, pictures: Sequence[Image.Image], options: GraphOptions) -> Exported:
        """Write its graph, checked on pictures. Raises as `deployed` and `export_onnx` do."""
        return export_onnx(self.deployed(), output, pictures, options)

    def _encode(self, bench: Bench, trains: bool) -> None:
        """Encode the shots and, for a method that trains, the training pictures; the tested ones are not looked at."""
        training = self.plan if trains else replace(self.plan, train_on=())
        [own] = self.plan.test_on
        untested = replace(own, samples=own.select(split="train").samples)
        plan = replace(training, test_on=(untested,) if len(untested) else ())
        samples, parts = needed(plan, bench.entrants)
        if not samples:
            self.workbench.say_note()
        elif failed := self.workbench.encode(bench.store, samples, parts, progress=self.progress).failed:
            raise PictureError(failed[0].path, failed[0].reason)

    def _of(self, bench: Bench, entrant: Entrant) -> Deployed:
        run, [own] = bench.of_seed(self.plan.seeds[0]), self.plan.test_on
        [trainee] = run.trained()
        [words] = own.categories
        cell, spec, evaluations = Cell(own, words, (), ()), entrant.spec, {entrant.spec: Evaluation(pixels=None)}
        shots = run.testing.showing.shots(cell, evaluations)
        [inspector] = run.testing.showing.inspectors(cell, [trainee], evaluations, shots).values()
        return Deployed(
            tower=bench.tower,
            inspector=inspector,
            parts=entrant.reads("test") - {MASK},
            method=spec,
            words=words,
            facts=self._facts(len(shots[spec]), trainee.epochs, inspector.calibrated),
        )

    def _facts(self, shots: int, epochs: int, calibrated: Any) -> dict[str, Any]:
        """What is known of how it learned."""
        trained_on = [dataset.name for dataset in self.plan.train_on] if epochs else []
        facts = {"train_on": trained_on, "epochs": epochs, "shots": shots, "seed": self.plan.seeds[0]}
        return {"learned": {**facts, "calibrated": dict(calibrated)}}


def checked_pictures(dataset: Dataset, picture_range: str) -> list[Image.Image]:
    """The pictures that a graph is checked on, RGB: all of a data set, of many some that are spread over it.

    Raises PictureError for one that cannot be read, StackclipError where there is none.
    """
    if not len(dataset):
        raise StackclipError(f"{dataset.root}: there is no picture to check the graph on")
    chosen = evenly(dataset.samples, _MOST)
    if len(chosen) < len(dataset):
        logger.info("the graph is checked on %d of %s", len(chosen), counted(len(dataset), "picture"))
    return [read_picture(sample.image, picture_range) for sample in chosen]
