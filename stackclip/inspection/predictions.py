"""What methods say of single pictures, in the bench's own way, and the files a person looks at.

Every map is made twice, once for the scores and the scale and once to be drawn, so that none is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stackclip.benchmarks.entrant import stored
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.runner import Bench
from stackclip.benchmarks.seeds import OneSeed
from stackclip.errors import StackclipError, UsageError
from stackclip.inspection.bundle import Bundle
from stackclip.inspection.calibrating import Calibration, Calibrator, Policy
from stackclip.inspection.crews import Bundled, Crew, Learning
from stackclip.inspection.drawing import Drawing
from stackclip.inspection.known_bad import tell_bad
from stackclip.inspection.part_masks import part_masks_of
from stackclip.inspection.sheet import ScaleSample
from stackclip.inspection.written import MapFormat, Written, keep_scores, name_earlier
from stackclip.methods import Inspector
from stackclip.ops.outputs import folder_name, unique_names
from stackclip.ops.regions import paint_mask
from stackclip.ops.small_maps import Looked
from stackclip.sizes import size_of
from stackclip.types import Part, Sample

__all__ = ["Wishes", "cell_of_all", "crew_of", "predict"]

logger = logging.getLogger(__name__)

THESE = "these pictures: the brightest may be good"  # as a scale says of which pictures it is
WITHOUT_GOOD = (
    "no verdicts: without good pictures scores only rank these, and have no scale of their own (--good FOLDER)"
)

Watch = Callable[[Sample, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Wishes:
    """What is wanted beside scores and heat maps.

    With a `policy` good pictures calibrate verdicts; a `bundle` brings a detector in place of those that learn here.
    `bad` are pictures that are known to be bad, which verdicts are tried on. `maps` keeps maps as they are, `record`
    says how all was made, and with `looked` it is kept where methods looked.
    """

    policy: Policy | None = None
    bundle: Bundle | None = None
    bad: tuple[Sample, ...] = ()
    maps: MapFormat = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    looked: bool = False


def crew_of(run: OneSeed, cell: Cell, wishes: Wishes) -> Crew:
    """Who looks at the pictures. Raises UsageError where verdicts are wanted and there are too few good pictures."""
    if wishes.bundle is not None:
        return Bundled(run, wishes.bundle)
    return Learning(run, Calibrator(run, cell, wishes.policy or Policy()), judging=wishes.policy is not None)


def predict(benches: Sequence[Bench], output: Path, *, seed: int = 0, wishes: Wishes | None = None) -> list[Written]:
    """Score the pictures of the one category that the benches test, and write what each method says into `output`.

    Each method has a folder: `scores.csv` with the most anomalous first, and a file for each picture with its heat map
    beside it, all on one scale. The scores of all methods are there before the first heat map. What an earlier run
    wrote there is replaced. A method, a file or a picture that fails is named, and the others go on.
    """
    passes = [_Pass(bench.of_seed(seed), output, wishes or Wishes()) for bench in benches]
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

    def __init__(self, run: OneSeed, output: Path, wishes: Wishes) -> None:
        self.run, self.side, self.wishes = run, run.plan.map_side(run.bench.tower.spec), wishes
        self.cell = cell_of_all(run)
        self.crew: Crew = crew_of(run, self.cell, wishes)
        self.inspectors: Mapping[str, Inspector] = {}
        names = unique_names(sample.id for sample in self.cell.samples)
        self.written = {
            spec: Written(spec, output / folder_name(spec), names, maps=wishes.maps, error=error)
            for spec, error in self.crew.errors.items()
        }

    def score(self, broken: set[str]) -> None:
        """Predict all pictures as a bench does, ask what good ones score, fix the scales, and write the scores.

        Without a picture that vanished meanwhile all is done once more, as a bench without it would.
        """
        while True:
            samples = {spec: ScaleSample(len(self.cell.samples) * size_of(self.side).area) for spec in self.written}
            evaluations = {
                spec: self._empty(written.error, self._sampler(samples[spec]), looked=self.wishes.looked)
                for spec, written in self.written.items()
            }
            self.inspectors = self.crew.inspectors(self.cell, evaluations)
            self._scan(self.cell.samples, self.inspectors, evaluations, "predict")
            gone = self._gone(self.cell.samples, evaluations, broken)
            if not gone:
                break
            left = tuple(each for each in self.cell.samples if each not in gone)
            self.cell = Cell(self.cell.dataset, self.cell.category, left, ())
        for spec, inspector in self.inspectors.items():
            self.run.failures.attempt(evaluations[spec], evaluations[spec].settle, inspector)
        judged = dict(self.crew.calibrations(self.inspectors))
        for spec, written in self.written.items():
            written.error = evaluations[spec].error
            if not written.error:
                written.missing |= broken
                self._fill(written, evaluations[spec], samples[spec])
                if spec in judged:
                    self._judge(written, evaluations[spec], judged[spec])
                written.record = self._record(written)
                keep_scores(written)

    def _fill(self, written: Written, evaluation: Evaluation, sample: ScaleSample) -> None:
        """Put down what a method predicted."""
        written.samples, written.scores, written.looked = self.cell.samples, evaluation.settled, evaluation.looked
        written.components = evaluation.breakdown.components
        written.has_parts = part_masks_of(self.inspectors[written.method]) is not None
        written.why_no_verdict = WITHOUT_GOOD
        if evaluation.peaks:
            written.peaks, scale = torch.cat(evaluation.peaks), sample.scale()
            written.scale = scale and replace(scale, of=THESE)

    def _judge(self, written: Written, evaluation: Evaluation, found: Calibration | StackclipError) -> None:
        """Add what the good pictures say, or why they say nothing. Raises UsageError for a rate that cannot be kept."""
        if isinstance(found, UsageError):
            raise found
        if isinstance(found, StackclipError):
            written.why_no_verdict = f"no verdicts: {found}"
            return
        inspector, peaks = self.inspectors[written.method], written.peaks
        scores = torch.cat(evaluation.scores) if written.scores is not None else None
        written.judgement = found.judge(inspector, scores, peaks)
        written.scale = found.scale or written.scale
        if (drift := written.judgement.drift) is not None:
            logger.warning("%s: %s", written.method, drift)
        if self.wishes.bad:
            said = self._empty("", lambda *_: None)
            self._scan(self.wishes.bad, {written.method: inspector}, {written.method: said}, "predict bad")
            written.bad = tell_bad(found, inspector, said, self.wishes.bad)

    def _record(self, written: Written) -> dict[str, Any]:
        """How the scores were made, as JSON."""
        judged, scale = written.judgement, written.scale
        return {
            "method": written.method,
            **self.wishes.record,
            "facts": dict(self.crew.facts(written.method)),
            "shots": self.crew.shown(written.method),
            "false_alarm_rate": judged and judged.rate,
            "threshold": judged and judged.threshold,
            "pixel_threshold": scale and scale.threshold,
            "calibrated_by": judged and {"pictures": judged.good, "how": judged.how},
            "why_no_verdict": "" if judged else written.why_no_verdict,
        }

    def draw(self, broken: set[str]) -> None:
        """Predict once more and write each heat map; those that cannot be drawn are left out of the scores' table.

        `broken` are pictures that were named as unreadable before.
        """
        picture_range = self.run.bench.tower.picture_range
        drawings = {
            spec: Drawing(written, broken, picture_range, self.run.bench.tower.spec.note)
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
            if written.scale:
                drawings[spec].contact_sheet()
            if written.missing or written.regions:
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

    def _empty(self, error: str, watch: Watch, *, looked: bool = False) -> Evaluation:
        kept = Looked(self.side) if looked else None
        return Evaluation(side=self.side, pixels=None, watch=watch, looked=kept, error=error)

    def _scan(
        self,
        samples: Sequence[Sample],
        inspectors: Mapping[str, Inspector],
        evaluations: Mapping[str, Evaluation],
        stage: str,
    ) -> None:
        self.run.testing.scan(samples, inspectors, evaluations, partial(self.run.bench.progress, stage))

    def _sampler(self, sample: ScaleSample) -> Watch:
        return lambda _, scores, runs: sample.add(scores, paint_mask(runs, scores.shape))


def _parts_of_all(run: OneSeed) -> frozenset[Part]:
    """What a store must hold of a picture that all methods can predict."""
    return stored(frozenset[Part]().union(*(entrant.of_tested for entrant in run.entrants.values())))


def cell_of_all(run: OneSeed) -> Cell:
    """The one category that is tested, with the pictures that all methods can use."""
    cells = [cell for [cell] in run.cells.values()]
    common = set.intersection(*(set(cell.samples) for cell in cells))
    return Cell(cells[0].dataset, cells[0].category, tuple(s for s in cells[0].samples if s in common), ())
