"""From words and folders to a deployed detector, and to its graph."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from stackclip.benchmarks.entrant import Entrant, entrants_of, errands_of
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.habits import habits_of
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.runner import Bench
from stackclip.data import Dataset, read_picture
from stackclip.data.own import own_pictures
from stackclip.defaults import INSPECTION_METHODS
from stackclip.errors import StackclipError
from stackclip.export import Deployed, Exported, GraphOptions, check_inspector, check_tower, check_words, export_onnx
from stackclip.inspection.bundle import Bundle
from stackclip.inspection.crews import Bundled
from stackclip.inspection.predictions import cell_of_all
from stackclip.inspection.verdicts import threshold_of
from stackclip.ops.spread import evenly
from stackclip.ops.words import counted
from stackclip.registry import stay_with
from stackclip.session.conditions import InspectionWords, checked
from stackclip.session.making import Making
from stackclip.session.own import Asked, plan_of, with_detector
from stackclip.session.pictures import deployed_set, object_words
from stackclip.session.site import Site
from stackclip.session.wanted import wanted_of
from stackclip.types import MASK

__all__ = ["CHECKED_ON", "Deployment", "checked_pictures", "write_graph"]

logger = logging.getLogger("stackclip")

CHECKED_ON = "synthetic[part=novel,categories=10,per_category=2,train_good=0]"  # 20 pictures of other categories
_MOST = 64  # pictures that a graph is checked on


@dataclass(frozen=True)
class Deployment(Making):
    """A plan of one method and one category of own pictures; its detector may be a `bundle` that learned elsewhere."""

    bundle: Bundle | None = None

    def deployed(self) -> Deployed:
        """Train the method, show it its shots, and give what it is for the category.

        Only what it learns from is encoded. Raises what goes wrong with the method, and PictureError for a picture that
        it would have learned from and that cannot be read.
        """
        [entrant] = entrants = entrants_of(self.plan, self.workbench.tower.spec)
        if self.bundle is not None:
            with self.bench(entrants) as bench:
                return self._bundled(bench, entrant, self.bundle)
        with self.bench(entrants) as bench:
            run = bench.of_seed(self.plan.seeds[0])
            check_inspector(entrant.method.begin(run.lessons.task(entrant)), entrant.spec)  # before it learns in vain
            [habits] = habits_of(run).values()
        self._encode_learned_from(entrants, habits.trains)
        with self.bench(entrants) as bench:
            return self._of(bench, entrant)

    def write(self, output: Path, pictures: Sequence[Image.Image], options: GraphOptions) -> Exported:
        """Write its graph, checked on pictures. Raises as `deployed` and `export_onnx` do."""
        deployed = self.deployed()
        if self.bundle is not None and options.threshold is None and deployed.is_settled():
            options = replace(
                options, threshold=threshold_of(self.bundle.calibration.values, self.bundle.calibration.rate)
            )
        return export_onnx(deployed, output, pictures, options)

    def _bundled(self, bench: Bench, entrant: Entrant, bundle: Bundle) -> Deployed:
        """A detector that learned elsewhere."""
        run, spec, said = bench.of_seed(self.plan.seeds[0]), entrant.spec, Evaluation(pixels=None)
        found = Bundled(run, bundle).inspectors(cell_of_all(run), {spec: said})
        if said.error:
            raise StackclipError(f"{spec}: {said.error}")
        return Deployed(
            tower=bench.tower,
            inspector=found[spec],
            parts=entrant.reads("test") - {MASK},
            method=spec,
            words=bundle.object,
            facts={"learned": dict(bundle.record), "pixel_threshold": bundle.calibration.pixel_threshold},
        )

    def _encode_learned_from(self, entrants: tuple[Entrant, ...], trains: bool) -> None:
        """Encode the shots and, for a method that trains, the training pictures; the tested ones are not looked at."""
        training = self.plan if trains else replace(self.plan, train_on=())
        [own] = self.plan.test_on
        untested = replace(own, samples=own.select(split="train").samples)
        plan = replace(training, test_on=(untested,) if len(untested) else ())
        self.workbench.say_note()
        for failure in self.encode(errands_of(plan, entrants)):
            raise failure

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


def write_graph(site: Site, output: Path, asked: Asked, check: Path | None, options: GraphOptions | None) -> Exported:
    """Write a detector as a graph. Raises as `Session.export_onnx` does."""
    stay_with(site.workspace.registry)
    check_words(output)
    given = checked(asked.words, InspectionWords)
    wanted = wanted_of(given, asked.good)
    [tested] = site.opened(CHECKED_ON if check is None else str(check)).values()
    own_device = {"device": "cpu"} if site.backbone.device == "auto" else {}
    if wanted.bundle is not None:
        own = own_pictures(replace(tested, name="own", published=""), wanted.bundle.object)
        plan, _, workbench = with_detector(site, own, asked, wanted, own_device)
    else:
        methods, words = asked.methods or INSPECTION_METHODS, object_words(asked.object)
        own = deployed_set(site.workspace, tested, words, asked.good)
        plan, workbench = plan_of(site, asked, methods, own, {**given, "fail_fast": True}), site.workbench(own_device)
    pictures = checked_pictures(tested, workbench.tower.picture_range)
    check_tower(workbench.tower)
    deployment = Deployment(workbench, workbench.store(), plan, asked.progress, wanted.bundle)
    return deployment.write(output, pictures, options or GraphOptions())
