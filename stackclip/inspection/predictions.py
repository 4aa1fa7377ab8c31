"""What methods say of single pictures, in the bench's own way, and the files a person looks at.

Every map is made twice, once for the scores and the scale and once to be drawn, so that none is kept.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stackclip.benchmarks.entrant import stored
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.runner import Bench, OneSeed
from stackclip.data import read_picture
from stackclip.inspection.drawing import Drawing, png
from stackclip.inspection.part_masks import part_masks_of
from stackclip.inspection.sheet import Scale, ScaleSample, sheet
from stackclip.inspection.written import Written, keep_scores, name_earlier
from stackclip.methods import Inspector
from stackclip.ops.files import write_atomically
from stackclip.ops.outputs import folder_name, unique_names
from stackclip.ops.regions import paint_mask
from stackclip.training.trainee import Trainee
from stackclip.types import ANOMALOUS, NORMAL, Part, Sample

__all__ = ["draw_sheet", "predict"]

logger = logging.getLogger(__name__)

TRAINED = "training pictures"  # as a scale says of which pictures it is
UNTRAINED = "these, as it does not train: the brightest may be normal"
SHOWN = "these, as it was shown normal ones: the brightest may be normal"
IN_TILES = "these, as it was not trained on tiles: the brightest may be normal"
ON_SCALE = 48  # training pictures that a scale is taken from

Watch = Callable[[Sample, np.ndarray, np.ndarray], None]


def predict(benches: Sequence[Bench], output: Path, *, seed: int = 0) -> list[Written]:
    """Score the pictures of the one category that the benches test, and write what each method says into `output`.

    Each method has a folder: `scores.csv` with the most anomalous first, and a file for each picture with its heat map
    beside it, all on one scale. The scores of all methods are there before the first heat map. What an earlier run
    wrote there is replaced. A method, a file or a picture that fails is named, and the others go on.
    """
    passes = [_Pass(bench.of_seed(seed), output) for bench in benches]
    broken: set[str] = set()
    for one in passes:
        one.score(broken)
    for one in passes:
        one.draw(broken)
    written = [each for one in passes for each in one.written.values()]
    name_earlier(output, {each.place for each in written if each.samples})
    return written


class _Pass:
    """The methods of one bench over the pictures: once for the scores, once for the heat maps."""

    def __init__(self, run: OneSeed, output: Path) -> None:
        self.run, self.side, self.failures = run, run.plan.map_side(run.bench.tower.spec), run.failures
        self.cell = _cell_of_all(run)
        self.trainees = run.trained()
        self.inspectors: Mapping[str, Inspector] = {}
        names = unique_names(sample.id for sample in self.cell.samples)
        self.written = {t.spec: Written(t.spec, output / folder_name(t.spec), names) for t in self.trainees}

    def score(self, broken: set[str]) -> None:
        """Predict all pictures as a bench does, fix the scales, and write the scores.

        Without a picture that vanished meanwhile all is done once more, as a bench without it would.
        """
        showing = self.run.testing.showing
        while True:
            samples = {t.spec: ScaleSample(len(self.cell.samples) * self.side**2) for t in self.trainees}
            evaluations = {t.spec: self._empty(t.error, self._sampler(samples[t.spec])) for t in self.trainees}
            shots = showing.shots(self.cell, evaluations)
            self.inspectors = showing.inspectors(self.cell, self.trainees, evaluations, shots)
            self._scan(self.cell.samples, self.inspectors, evaluations, "predict")
            gone = self._gone(self.cell.samples, evaluations, broken)
            if not gone:
                break
            left = tuple(each for each in self.cell.samples if each not in gone)
            self.cell = Cell(self.cell.dataset, self.cell.category, left, ())
        for spec, inspector in self.inspectors.items():
            self.failures.attempt(evaluations[spec], evaluations[spec].settle, inspector)
        of_training = self._training_scales()
        for spec, written in self.written.items():
            evaluation = evaluations[spec]
            written.error = evaluation.error
            if written.error:
                continue
            written.samples, written.scores = self.cell.samples, evaluation.settled
            written.components = evaluation.breakdown.components
            written.has_parts = part_masks_of(self.inspectors[spec]) is not None
            written.missing |= broken
            if evaluation.peaks:
                written.peaks = torch.cat(evaluation.peaks)
                written.scale = of_training.get(spec) or self._own_scale(spec, samples[spec])
            keep_scores(written)

    def draw(self, broken: set[str]) -> None:
        """Predict once more and write each heat map; those that cannot be drawn are left out of the scores' table.

        `broken` are pictures that were named as unreadable before.
        """
        picture_range = self.run.bench.tower.picture_range
        drawings = {
            spec: Drawing(written, broken, picture_range)
            for spec, written in self.written.items()
            if written.scale or written.has_parts
        }
        inspectors = {spec: drawing.watching(self.inspectors[spec]) for spec, drawing in drawings.items()}
        left, evaluations = self.cell.samples, dict[str, Evaluation]()
        while drawings:
            evaluations = {spec: self._empty("", drawing) for spec, drawing in drawings.items()}
            self._scan(left, inspectors, evaluations, "draw")
            gone = self._gone(left, evaluations, broken)
            if not gone:
                break
            for drawing in drawings.values():
                drawing.written.missing |= {sample.id for sample in gone}
            done = set.intersection(*(drawing.done for drawing in drawings.values()))
            left = tuple(sample for sample in left if sample not in gone and sample.id not in done)
        for spec, evaluation in evaluations.items():
            written = self.written[spec]
            if evaluation.error:
                written.error = f"not all heat maps were drawn: {evaluation.error}"
            if written.missing:
                keep_scores(written, again=True)

    def _gone(self, samples: Sequence[Sample], evaluations: Mapping[str, Evaluation], broken: set[str]) -> list[Sample]:
        """The samples for which a scan failed, as they are no longer what was encoded; each is named once for all."""
        if not any(evaluation.error for evaluation in evaluations.values()):
            return []
        held = self.run.bench.store.holdings(samples)
        parts = _parts_of_all(self.run)
        gone = [sample for sample, there in zip(samples, held, strict=True) if not parts <= there]
        for sample in gone:
            if sample.id not in broken:
                logger.error("failed: %s: vanished or changed after it was encoded", sample.image)
        broken.update(sample.id for sample in gone)
        return gone

    def _empty(self, error: str, watch: Watch) -> Evaluation:
        return Evaluation(side=self.side, pixels=None, watch=watch, error=error)

    def _scan(
        self,
        samples: Sequence[Sample],
        inspectors: Mapping[str, Inspector],
        evaluations: Mapping[str, Evaluation],
        stage: str,
    ) -> None:
        self.run.testing.scan(samples, inspectors, evaluations, partial(self.run.bench.progress, stage))

    def _training_scales(self) -> dict[str, Scale]:
        """The scales of methods that trained: of training pictures, so that no predicted picture moves them.

        A method that was shown normal pictures knows the tested category alone, and has none; nor has one that sees
        tiles, as training pictures are not cut.
        """
        if self.run.plan.tiling is not None:
            return {}
        trained = [t for t in self.trainees if t.epochs and not t.error and not self._shots(t.spec)]
        usable = [set(self.run.training[t.spec].samples) for t in trained]
        chosen = _varied([s for s in self.run.plan.training if all(s in each for each in usable)], ON_SCALE)
        samples = {t.spec: ScaleSample(len(chosen) * self.side**2) for t in trained}
        evaluations = {t.spec: self._empty("", self._sampler(samples[t.spec])) for t in trained}
        for category in dict.fromkeys(sample.category for sample in chosen) if trained else ():
            inspectors = {t.spec: self._zero_shot(t, category, evaluations[t.spec]) for t in trained}
            working = {spec: inspector for spec, inspector in inspectors.items() if inspector}
            self._scan([s for s in chosen if s.category == category], working, evaluations, "scale")
        found = {spec: sample.scale() for spec, sample in samples.items() if not evaluations[spec].error}
        return {spec: replace(scale, of=TRAINED) for spec, scale in found.items() if scale}

    def _zero_shot(self, trainee: Trainee, category: str, evaluation: Evaluation) -> Inspector | None:
        return self.failures.attempt(evaluation, trainee.working.on, category, iter(()), iter(()))

    def _own_scale(self, spec: str, sample: ScaleSample) -> Scale | None:
        """The scale of the predicted pictures.

        A method that did not train has no more to do with training pictures than with any: from category to category
        its maps as a whole lie higher or lower (SDP's by more than a defect stands out).
        """
        scale = sample.scale()
        trained = next(t.epochs for t in self.trainees if t.spec == spec)
        return scale and replace(scale, of=SHOWN if self._shots(spec) else IN_TILES if trained else UNTRAINED)

    def _shots(self, spec: str) -> int | str:
        return self.run.entrants[spec].shots.count

    def _sampler(self, sample: ScaleSample) -> Watch:
        side = (self.side,) * 2
        return lambda _, scores, runs: sample.add(scores, paint_mask(runs, side))


def _parts_of_all(run: OneSeed) -> frozenset[Part]:
    """What a store must hold of a picture that all methods can predict."""
    return stored(frozenset[Part]().union(*(entrant.of_tested for entrant in run.entrants.values())))


def _cell_of_all(run: OneSeed) -> Cell:
    """The one category that is tested, with the pictures that all methods can use."""
    cells = [cell for [cell] in run.cells.values()]
    common = set.intersection(*(set(cell.samples) for cell in cells))
    return Cell(cells[0].dataset, cells[0].category, tuple(s for s in cells[0].samples if s in common), ())


def draw_sheet(bench: Bench, path: Path, *, rows: int = 8, seed: int = 0) -> None:
    """Save a sheet: pictures of as many categories and kinds of defects as there is room for, a good one among them."""
    run, side = bench.of_seed(seed), bench.tower.spec.image_size
    cells = next(iter(run.cells.values()))
    chosen = _varied([sample for cell in cells for sample in cell.samples if sample not in cell.without_mask], rows)
    trainees = run.trained()
    maps: dict[str, dict[Sample, np.ndarray]] = {t.spec: {} for t in trainees}
    map_side = run.plan.map_side(bench.tower.spec)
    evaluations = {t.spec: Evaluation(side=map_side, pixels=None, error=t.error) for t in trainees}
    for spec, evaluation in evaluations.items():
        evaluation.watch = partial(lambda found, sample, scores, runs: found.update({sample: scores}), maps[spec])
    of_place = {(cell.dataset.name, cell.category): cell for cell in cells}
    for place in dict.fromkeys((sample.dataset, sample.category) for sample in chosen):
        showing, cell = run.testing.showing, of_place[place]
        inspectors = showing.inspectors(cell, trainees, evaluations, showing.shots(cell, evaluations))
        of_cell = [sample for sample in chosen if (sample.dataset, sample.category) == place]
        run.testing.scan(of_cell, inspectors, evaluations, partial(bench.progress, "predict"))
    image = sheet(
        [read_picture(sample.image, bench.tower.picture_range) for sample in chosen],
        [paint_mask(bench.store.runs(sample), (side, side)) for sample in chosen],
        {spec: [found[sample] for sample in chosen] for spec, found in maps.items() if len(found) == len(chosen)},
        names=[f"{sample.category}, {sample.defect}" for sample in chosen],
        note=bench.tower.spec.note,
    )
    write_atomically(path, png(image))


def _varied(samples: Sequence[Sample], count: int) -> list[Sample]:
    """One normal sample in eight, then anomalous ones: new categories and new defects first."""
    normal = [sample for sample in samples if sample.label == NORMAL][: max(1, count // 8)]
    rest = [sample for sample in samples if sample.label == ANOMALOUS]
    chosen: list[Sample] = []
    while rest and len(chosen) < count - len(normal):
        seen = Counter(word for sample in chosen for word in (sample.category, sample.defect))
        chosen.append(min(rest, key=lambda sample: seen[sample.category] + seen[sample.defect]))
        rest.remove(chosen[-1])
    return normal + chosen
