"""What methods say of single pictures, in the bench's own way, and the files a person looks at.

Every map is made twice, once for the scores and the scale and once to be drawn, so that none is kept.
"""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stackclip.benchmarks.contender import Contender
from stackclip.benchmarks.runner import Bench, OneSeed
from stackclip.benchmarks.tally import Tally
from stackclip.data import read_picture
from stackclip.errors import PictureError
from stackclip.inspection.sheet import Scale, ScaleSample, heat_map, sheet
from stackclip.inspection.written import Written, keep_scores, name_earlier
from stackclip.ops.files import write_atomically
from stackclip.ops.outputs import folder_name, unique_names
from stackclip.ops.regions import paint_mask
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["draw_sheet", "predict"]

logger = logging.getLogger(__name__)

TRAINED = "training pictures"  # as a scale says of which pictures it is
UNTRAINED = "these, as it does not train: the brightest may be normal"
SHOWN = "these, as it was shown normal ones: the brightest may be normal"
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
        self.run, self.side = run, run.bench.tower.spec.image_size
        [self.cell] = run.cells
        self.contenders = run.trained()
        names = unique_names(sample.id for sample in self.cell.samples)
        self.written = {c.spec: Written(c.spec, output / folder_name(c.spec), names) for c in self.contenders}

    def score(self, broken: set[str]) -> None:
        """Predict all pictures as a bench does, fix the scales, and write the scores.

        Without a picture that vanished meanwhile all is done once more, as a bench without it would.
        """
        while True:
            samples = {c.spec: ScaleSample(len(self.cell.samples) * self.side**2) for c in self.contenders}
            tallies = {c.spec: self._tally(c.error, self._sampler(samples[c.spec])) for c in self.contenders}
            self.run.show(self.cell, self.contenders, tallies)
            self._scan(self.cell.samples, self.contenders, tallies, "predict")
            gone = self._gone(self.cell.samples, tallies, broken)
            if not gone:
                break
            self.cell = replace(self.cell, samples=tuple(each for each in self.cell.samples if each not in gone))
        self.run.settle(self.contenders, tallies)
        of_training = self._training_scales()
        for contender in self.contenders:
            tally, written = tallies[contender.spec], self.written[contender.spec]
            written.error = tally.error
            if written.error:
                continue
            written.samples, written.scores = self.cell.samples, tally.settled
            written.missing |= broken
            if tally.peaks:
                written.peaks = torch.cat(tally.peaks)
                written.scale = of_training.get(contender.spec) or self._own_scale(contender, samples[contender.spec])
            keep_scores(written)

    def draw(self, broken: set[str]) -> None:
        """Predict once more and write each heat map; those that cannot be drawn are left out of the scores' table.

        `broken` are pictures that were named as unreadable before.
        """
        contenders = [c for c in self.contenders if self.written[c.spec].scale]
        picture_range = self.run.bench.tower.picture_range
        drawings = {c.spec: _Drawing(self.written[c.spec], broken, picture_range) for c in contenders}
        left = self.cell.samples
        while contenders:
            tallies = {spec: self._tally("", drawing) for spec, drawing in drawings.items()}
            self._scan(left, contenders, tallies, "draw")
            gone = self._gone(left, tallies, broken)
            if not gone:
                break
            for written in (drawing.written for drawing in drawings.values()):
                written.missing |= {sample.id for sample in gone}
            done = set.intersection(*(drawing.done for drawing in drawings.values()))
            left = tuple(sample for sample in left if sample not in gone and sample.id not in done)
        for spec, tally in tallies.items() if contenders else ():
            written = self.written[spec]
            if tally.error:
                written.error = f"not all heat maps were drawn: {tally.error}"
            if written.missing:
                keep_scores(written, again=True)

    def _gone(self, samples: Sequence[Sample], tallies: Mapping[str, Tally], broken: set[str]) -> list[Sample]:
        """The samples for which a scan failed, as they are no longer what was encoded; each is named once for all."""
        if not any(tally.error for tally in tallies.values()):
            return []
        held = self.run.bench.store.holdings(samples)
        gone = [sample for sample, parts in zip(samples, held, strict=True) if not self.run.every_part <= parts]
        for sample in gone:
            if sample.id not in broken:
                logger.error("failed: %s: vanished or changed after it was encoded", sample.image)
        broken.update(sample.id for sample in gone)
        return gone

    def _tally(self, error: str, watch: Watch) -> Tally:
        return Tally(side=self.side, pixels=None, watch=watch, error=error)

    def _scan(
        self, samples: Sequence[Sample], contenders: Sequence[Contender], tallies: Mapping[str, Tally], stage: str
    ) -> None:
        self.run.scan(samples, contenders, tallies, partial(self.run.bench.progress, stage))

    def _training_scales(self) -> dict[str, Scale]:
        """The scales of methods that trained: of training pictures, so that no predicted picture moves them.

        A method that was shown normal pictures knows the tested category alone, and has none.
        """
        trained = [
            c for c in self.contenders if c.detector and c.detector.epochs and not c.error and not self._shots(c)
        ]
        chosen = _varied(self.run.training, ON_SCALE)
        samples = {c.spec: ScaleSample(len(chosen) * self.side**2) for c in trained}
        tallies = {c.spec: self._tally("", self._sampler(samples[c.spec])) for c in trained}
        if trained:
            self._scan(chosen, trained, tallies, "scale")
        found = {spec: sample.scale() for spec, sample in samples.items() if not tallies[spec].error}
        return {spec: replace(scale, of=TRAINED) for spec, scale in found.items() if scale}

    def _own_scale(self, contender: Contender, sample: ScaleSample) -> Scale | None:
        """The scale of the predicted pictures.

        A method that did not train has no more to do with training pictures than with any: from category to category
        its maps as a whole lie higher or lower (SDP's by more than a defect stands out).
        """
        scale = sample.scale()
        return scale and replace(scale, of=SHOWN if self._shots(contender) else UNTRAINED)

    def _shots(self, contender: Contender) -> int:
        return contender.entrant.shots.count

    def _sampler(self, sample: ScaleSample) -> Watch:
        side = (self.side,) * 2
        return lambda _, scores, runs: sample.add(scores, paint_mask(runs, side))


@dataclass
class _Drawing:
    """Writes the heat maps of one method as they come; a picture that can no longer be read is named once for all."""

    written: Written
    broken: set[str]
    picture_range: str
    refused: set[int | None] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def __call__(self, sample: Sample, scores: np.ndarray, runs: np.ndarray) -> None:
        """Draw a picture beside its heat map."""
        assert self.written.scale is not None
        self.done.add(sample.id)
        try:
            content = _png(
                _beside(read_picture(sample.image, self.picture_range), heat_map(scores, self.written.scale))
            )
            write_atomically(self.written.place / self.written.heat_map_of(sample), content)
        except PictureError as error:
            self.written.missing.add(sample.id)
            if sample.id not in self.broken:
                logger.error("failed: %s (its scores are from before)", error)
            self.broken.add(sample.id)
        except OSError as error:
            self.written.missing.add(sample.id)
            if error.errno not in self.refused:  # a full disk refuses all that follow
                logger.error("%s: a heat map cannot be written: %s", self.written.method, error)
            self.refused.add(error.errno)


def draw_sheet(bench: Bench, path: Path, *, rows: int = 8, seed: int = 0) -> None:
    """Save a sheet: pictures of as many categories and kinds of defects as there is room for, a good one among them."""
    run, side = bench.of_seed(seed), bench.tower.spec.image_size
    chosen = _varied([sample for cell in run.cells for sample in cell.samples if sample not in cell.without_mask], rows)
    contenders = run.trained()
    maps: dict[str, list[np.ndarray]] = {c.spec: [] for c in contenders}
    tallies = {c.spec: Tally(side=side, pixels=None, error=c.error) for c in contenders}
    for spec, tally in tallies.items():
        tally.watch = partial(lambda found, _, scores, runs: found.append(scores), maps[spec])
    run.scan(chosen, contenders, tallies, partial(bench.progress, "predict"))
    image = sheet(
        [read_picture(sample.image, bench.tower.picture_range) for sample in chosen],
        [paint_mask(bench.store.runs(sample), (side, side)) for sample in chosen],
        {spec: found for spec, found in maps.items() if len(found) == len(chosen)},
        names=[f"{sample.category}, {sample.defect}" for sample in chosen],
        note=bench.tower.spec.note,
    )
    write_atomically(path, _png(image))


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


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _beside(picture: Image.Image, heat: Image.Image) -> Image.Image:
    """A picture and its heat map, at the picture's size."""
    canvas = Image.new("RGB", (2 * picture.width, picture.height))
    canvas.paste(picture, (0, 0))
    canvas.paste(heat.resize(picture.size, Image.Resampling.BILINEAR), (picture.width, 0))
    return canvas
