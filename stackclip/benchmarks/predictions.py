"""What methods say of single pictures, in the bench's own way, and the files a person looks at.

Every map is made twice, once for the scores and the scale and once to be drawn, so that none is kept.
"""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stackclip.benchmarks.contender import Contender
from stackclip.benchmarks.runner import Bench, OneSeed
from stackclip.benchmarks.sheet import Scale, ScaleSample, heat_map, sheet
from stackclip.benchmarks.tally import Tally
from stackclip.data import read_picture
from stackclip.errors import PictureError, StackclipError
from stackclip.ops.files import write_atomically
from stackclip.ops.outputs import folder_name, is_output, is_unique_name, mark_output, unique_name
from stackclip.ops.regions import paint_mask
from stackclip.ops.spreadsheet import csv_text
from stackclip.ops.words import agreed, counted
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["Written", "check_folders", "draw_sheet", "predict"]

logger = logging.getLogger(__name__)

SCORES = "scores.csv"
TRAINED = "training pictures"  # as a scale says of which pictures it is
UNTRAINED = "these, as it does not train: the brightest may be normal"
SHOWN = "these, as it was shown normal ones: the brightest may be normal"
ON_SCALE = 48  # training pictures that a scale is taken from

Watch = Callable[[Sample, np.ndarray, np.ndarray], None]


@dataclass
class Written:
    """What was kept of a method in `place`: its scores, and which heat maps are missing; `error` says why none were."""

    method: str
    place: Path
    samples: Sequence[Sample] = ()
    scores: Tensor | None = None
    peaks: Tensor | None = None
    scale: Scale | None = None
    missing: set[str] = field(default_factory=set)
    error: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is missing."""
        return not self.error and not self.missing

    def __str__(self) -> str:
        if not self.samples:
            return f"{self.method}: {self.error}"
        given = " and ".join(["scores"] * (self.scores is not None) + ["heat maps"] * (self.peaks is not None))
        scaled = f", on the scale of {self.scale.of}" if self.scale else ""
        lost = f"; {counted(len(self.missing), 'heat map')} {agreed('are', len(self.missing))} missing"
        return (
            f"{self.method}: {given} of {counted(len(self.samples), 'picture')} in {self.place}{scaled}"
            + (lost if self.missing else "")
            + (f"; {self.error}" if self.error else "")
        )


def check_folders(methods: Sequence[str], output: Path) -> None:
    """Raise StackclipError where a method's folder in `output` holds what stackclip did not write."""
    for method in methods:
        place = output / folder_name(method)
        if place.exists() and not (place.is_dir() and (is_output(place) or not any(place.iterdir()))):
            raise StackclipError(
                f"{place}: is there and was not written by stackclip, so {method} would mix its files with those in it;"
                " name another folder with -o, or move it away"
            )


def predict(benches: Sequence[Bench], output: Path, *, seed: int = 0) -> list[Written]:
    """Score the pictures of the one category that the benches test, and write what each method says into `output`.

    Each method has a folder: `scores.csv` with the most anomalous first, and a file for each picture with its heat map
    beside it, all on one scale. The scores of all methods are there before the first heat map. What an earlier run
    wrote there is replaced. A method, a file or a picture that fails is named, and the others go on.
    """
    passes = [_Pass(bench.of_seed(seed), output) for bench in benches]
    broken: set[str] = set()
    for one in passes:
        one.score()
    for one in passes:
        one.draw(broken)
    written = [each for one in passes for each in one.written.values()]
    _name_earlier(output, {each.place for each in written if each.samples})
    return written


class _Pass:
    """The methods of one bench over the pictures: once for the scores, once for the heat maps."""

    def __init__(self, run: OneSeed, output: Path) -> None:
        self.run, self.side = run, run.bench.tower.spec.image_size
        [self.cell] = run.cells
        self.contenders = run.trained()
        self.written = {c.spec: Written(c.spec, output / folder_name(c.spec)) for c in self.contenders}

    def score(self) -> None:
        """Predict all pictures as a bench does, fix the scales, and write the scores."""
        samples = {c.spec: ScaleSample(len(self.cell.samples) * self.side**2) for c in self.contenders}
        tallies = {c.spec: self._tally(c.error, self._sampler(samples[c.spec])) for c in self.contenders}
        self.run.show(self.cell, self.contenders, tallies)
        self._scan(self.contenders, tallies, "predict")
        self.run.settle(self.contenders, tallies)
        of_training = self._training_scales()
        for contender in self.contenders:
            tally, written = tallies[contender.spec], self.written[contender.spec]
            written.error = tally.error
            if written.error:
                continue
            written.samples, written.scores = self.cell.samples, tally.settled
            if tally.peaks:
                written.peaks = torch.cat(tally.peaks)
                written.scale = of_training.get(contender.spec) or self._own_scale(contender, samples[contender.spec])
            self._keep(written)

    def draw(self, broken: set[str]) -> None:
        """Predict once more and write each heat map; those that cannot be drawn are left out of the scores' table.

        `broken` are pictures that were named as unreadable before.
        """
        drawn = [c for c in self.contenders if self.written[c.spec].scale]
        tallies = {c.spec: self._tally("", _Drawing(self.written[c.spec], broken)) for c in drawn}
        if drawn:
            self._scan(drawn, tallies, "draw")
        for spec, tally in tallies.items():
            written = self.written[spec]
            if tally.error:
                written.error = f"not all heat maps were drawn: {tally.error}"
            if written.missing:
                self._keep(written, again=True)

    def _keep(self, written: Written, *, again: bool = False) -> None:
        """Write the scores, in place of all that an earlier run left."""
        try:
            if not _holds_anything(written.place.parent):
                mark_output(written.place.parent)  # an empty folder is all ours; one of others is not hidden
            mark_output(written.place)
            if not again:
                _clear(written.place)
            write_atomically(written.place / SCORES, _table(written).encode())
        except OSError as error:
            written.error = f"not kept: {error}"
            written.samples, written.scale = (), None

    def _tally(self, error: str, watch: Watch) -> Tally:
        return Tally(side=self.side, pixels=None, watch=watch, error=error)

    def _scan(self, contenders: Sequence[Contender], tallies: Mapping[str, Tally], stage: str) -> None:
        self.run.scan(self.cell.samples, contenders, tallies, partial(self.run.bench.progress, stage))

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
            self.run.scan(chosen, trained, tallies, partial(self.run.bench.progress, "scale"))
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
        return self.run.plan.shots_for(contender.method).count

    def _sampler(self, sample: ScaleSample) -> Watch:
        side = (self.side,) * 2
        return lambda _, scores, runs: sample.add(scores, paint_mask(runs, side))


@dataclass
class _Drawing:
    """Writes the heat maps of one method as they come; a picture that can no longer be read is named once for all."""

    written: Written
    broken: set[str]
    refused: set[int | None] = field(default_factory=set)

    def __call__(self, sample: Sample, scores: np.ndarray, runs: np.ndarray) -> None:
        """Draw a picture beside its heat map."""
        assert self.written.scale is not None
        try:
            content = _png(_beside(read_picture(sample.image), heat_map(scores, self.written.scale)))
            write_atomically(self.written.place / _heat_map_name(sample), content)
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
    chosen = _varied([sample for cell in run.cells for sample in cell.samples], rows)
    contenders = run.trained()
    maps: dict[str, list[np.ndarray]] = {c.spec: [] for c in contenders}
    tallies = {c.spec: Tally(side=side, pixels=None, error=c.error) for c in contenders}
    for spec, tally in tallies.items():
        tally.watch = partial(lambda found, _, scores, runs: found.append(scores), maps[spec])
    run.scan(chosen, contenders, tallies, partial(bench.progress, "predict"))
    image = sheet(
        [read_picture(sample.image) for sample in chosen],
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


def _table(written: Written) -> str:
    """Pictures by score, or by the maximum of the map where a method gives no scores; the highest first."""

    def rows() -> Iterator[tuple[str, float | None, float | None, str]]:
        for row, sample in enumerate(written.samples):
            drawn = written.peaks is not None and sample.id not in written.missing
            yield sample.id, _of(written.scores, row), _of(written.peaks, row), _heat_map_name(sample) if drawn else ""

    ranked = sorted(rows(), key=lambda row: -next((number for number in row[1:3] if number is not None), 0.0))
    return csv_text(["picture", "score", "map_maximum", "heat_map"], ranked)


def _of(numbers: Tensor | None, row: int) -> float | None:
    return None if numbers is None else float(numbers[row])


def _heat_map_name(sample: Sample) -> str:
    return f"{unique_name(sample.id)}.png"


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _clear(place: Path) -> None:
    """Remove what an earlier run wrote into a method's folder, and nothing else. Raises OSError."""
    for path in place.iterdir():
        if path.name == SCORES or (path.suffix == ".png" and is_unique_name(path.stem)):
            path.unlink()


def _name_earlier(output: Path, written: set[Path]) -> None:
    """Say which results of earlier runs lie beside those of this one."""
    there = sorted(output.iterdir()) if output.is_dir() else []
    if left := [place.name for place in there if place not in written and is_output(place)]:
        logger.info("%s: %s %s of an earlier run", output, ", ".join(left), agreed("are", len(left)))


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
