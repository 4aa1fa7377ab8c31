"""What trained detectors say of single pictures, and the files a person looks at."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from stackclip.benchmarks.plan import needs_of
from stackclip.benchmarks.runner import Bench
from stackclip.benchmarks.sheet import Scale, heat_map, scale_of, sheet
from stackclip.data import read_picture
from stackclip.methods import Detector
from stackclip.ops.files import write_atomically
from stackclip.ops.regions import paint_mask
from stackclip.ops.words import counted
from stackclip.registry import guarded
from stackclip.types import ANOMALOUS, MASK, NORMAL, Part, Prediction, Sample

__all__ = ["Predicted", "draw_sheet", "heat_scales", "predict_all", "write_predictions"]

TRAINED = "training pictures"  # as a scale says of which pictures it is
UNTRAINED = "these, as it does not train: the brightest may be normal"


@dataclass(frozen=True, slots=True)
class Predicted:
    """What each method says of one picture: its score, and its map (H, W) if it has maps."""

    sample: Sample
    scores: Mapping[str, float]
    maps: Mapping[str, np.ndarray]


def predict_all(bench: Bench, detectors: Mapping[str, Detector], samples: Sequence[Sample]) -> list[Predicted]:
    """Predict the samples that the bench's store holds with every detector that `bench.detectors` gave."""
    methods = bench.plan.resolved
    parts = frozenset[Part]().union(*(needs_of(methods[spec], bench.tower.spec, name=spec) for spec in detectors)) - {
        MASK
    }
    held = bench.store.holdings(samples)
    usable = [sample for sample, there in zip(samples, held, strict=True) if parts <= there]
    predicted = []
    for features in bench.reader.batches(usable, parts, size=bench.plan.batch_size):
        said: dict[str, Prediction] = {}
        for method, detector in detectors.items():
            with guarded(f"{method} cannot predict"):
                said[method] = detector.predict(features)
        for row, sample in enumerate(features.samples):
            scores = {method: float(p.scores[row]) for method, p in said.items() if p.scores is not None}
            maps = {method: p.maps[row].float().cpu().numpy() for method, p in said.items() if p.maps is not None}
            predicted.append(Predicted(sample, scores, maps))
        bench.progress("predict", len(predicted), len(usable))
    return predicted


def heat_scales(
    bench: Bench, detectors: Mapping[str, Detector], predictions: Sequence[Predicted], *, pictures: int = 48
) -> dict[str, Scale]:
    """The scale of each method's heat maps, one for all pictures that were predicted.

    That of a method that trained is from training pictures, and no predicted picture moves it. A method that did not
    train has no more to do with those than with any: from category to category its maps as a whole lie higher or lower
    (SDP's by more than a defect stands out), so its scale is from the predicted pictures.
    """
    side = (bench.tower.spec.image_size,) * 2
    trained = {method: detector for method, detector in detectors.items() if detector.epochs}
    training = predict_all(bench, trained, _varied(bench.plan.training, pictures)) if trained else []
    masks = [paint_mask(bench.store.runs(each.sample), side) for each in training]
    unmasked = [np.zeros(side, bool)] * len(predictions)
    scales = {}
    for method in detectors:
        shown, regions, of = (training, masks, TRAINED) if method in trained else (predictions, unmasked, UNTRAINED)
        if shown and all(method in each.maps for each in shown):
            scales[method] = replace(scale_of([each.maps[method] for each in shown], regions), of=of)
    return scales


def write_predictions(predictions: Sequence[Predicted], scales: Mapping[str, Scale], folder: Path) -> Iterator[str]:
    """Write `METHOD/scores.csv`, most anomalous first, and each picture with its heat map; yield a line on each method.

    All heat maps of a method share one scale.
    """
    for method in predictions[0].scores if predictions else ():
        place = folder / _file_name(method)
        ranked = sorted(predictions, key=lambda each: -each.scores[method])
        rows = [(each.sample.id, each.scores[method], _peak(each, method)) for each in ranked]
        write_atomically(place / "scores.csv", _csv(rows))
        with_maps = [each for each in predictions if method in each.maps]
        if with_maps:
            maps = [each.maps[method] for each in with_maps]
            stems = Counter(_stem(each.sample) for each in with_maps)
            for each, scores in zip(with_maps, maps, strict=True):
                name = _stem(each.sample) if stems[_stem(each.sample)] == 1 else each.sample.id
                picture = read_picture(each.sample.image)
                write_atomically(
                    place / f"{_file_name(name)}.png", _png(_beside(picture, heat_map(scores, scales[method])))
                )
        given = "scores and heat maps" if with_maps else "scores"
        scaled = f", on the scale of {scales[method].of}" if with_maps else ""
        yield f"{method}: {given} of {counted(len(ranked), 'picture')} in {place}{scaled}"


def draw_sheet(bench: Bench, path: Path, *, rows: int = 8, seed: int = 0) -> None:
    """Save a sheet: pictures of as many categories and kinds of defects as there is room for, a good one among them."""
    tested = [sample for dataset in bench.plan.test_on for sample in dataset.select(split="test").samples]
    predicted = predict_all(bench, bench.detectors(seed), _varied(tested, rows))
    side = (bench.tower.spec.image_size,) * 2
    methods = [method for method in bench.plan.resolved if all(method in each.maps for each in predicted)]
    image = sheet(
        [read_picture(each.sample.image, bench.tower.picture_range) for each in predicted],
        [paint_mask(bench.store.runs(each.sample), side) for each in predicted],
        {method: [each.maps[method] for each in predicted] for method in methods},
        names=[f"{each.sample.category}, {each.sample.defect}" for each in predicted],
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


def _stem(sample: Sample) -> str:
    return sample.id.rpartition(".")[0]


def _peak(predicted: Predicted, method: str) -> float | str:
    return float(predicted.maps[method].max()) if method in predicted.maps else ""


def _csv(rows: Sequence[tuple[str, float, float | str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["picture", "score", "map_maximum"])
    writer.writerows((f"'{name}" if name[:1] in "=+-@" else name, score, peak) for name, score, peak in rows)
    return out.getvalue().encode()


def _beside(picture: Image.Image, heat: Image.Image) -> Image.Image:
    """A picture and its heat map, at the picture's size."""
    canvas = Image.new("RGB", (2 * picture.width, picture.height))
    canvas.paste(picture, (0, 0))
    canvas.paste(heat.resize(picture.size, Image.Resampling.BILINEAR), (picture.width, 0))
    return canvas


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)
