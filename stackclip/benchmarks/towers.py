"""`python -m stackclip.benchmarks.towers`: what a tower sees and reads, beside a random tower and no learning at all.

Everything is measured on generated products that the training of stackclip-tiny never shows, and, where a folder is
given, on real pictures. No method's rows come from here: it is the towers that are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stackclip.benchmarks.picture_sets import PictureSet, draw_set, read_photographs, read_set, wear_set
from stackclip.clip import TextEncoder, Tower, flush_denormals, load_tower, random_tower
from stackclip.errors import NotApplicable, StackclipError
from stackclip.methods import PromptedDetector, PromptedMethod, Task, resolve
from stackclip.metrics import PixelMetrics, image_metrics
from stackclip.ops.maps import anomaly_logits, unit
from stackclip.ops.regions import label_regions
from stackclip.synthetic import PartName
from stackclip.training.failures import Failures
from stackclip.training.scan import Training
from stackclip.training.text import TaskEncode
from stackclip.training.trainee import Trainee
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Features, Part, Sample

__all__ = ["blur_figures", "held_out_figures", "main", "sets_to_try", "tower_figures"]

Figures = dict[str, float]
"""Figures by name, as fractions but for the rate; in the order of the table."""

_HELD: tuple[PartName, ...] = ("combinations", "shapes", "defects")
_REAL = {
    "mvtec-mini": ("hazelnut", "transistor"),
    "deeppcb-mini": ("pcb",),
    "ksdd-mini": ("electrical-commutators",),
}
_BATCH = 8
_HEAD = "precise[lr=0.001]"  # 15 epochs, on a generated training set
_BLURS = 1.0, 6.0  # standard deviations in pixels at 112: finer than a defect, and wider


def tower_figures(tower: Tower, held_out: Sequence[PictureSet], *, training_pairs: int = 300, seed: int = 0) -> Figures:
    """All figures of a tower: each set without a head and with one trained on the training set, then the rate.

    The head learns from `training_pairs`.
    """
    side = _side_of(tower)
    training = draw_set("training", training_pairs, side=side, seed=seed + 1, categories=min(48, training_pairs))
    detector = _begin(tower, training, seed=seed)
    _fit(detector, tower, training, seed=seed)
    figures: Figures = {}
    for held in held_out:
        figures |= held_out_figures(tower, held, detector)
    return {**figures, "pictures a second": _rate(tower, training)}


def sets_to_try(
    side: int, *, pairs: int = 150, seed: int = 0, data_root: Path | None = None, photographs: Path | None = None
) -> tuple[PictureSet, ...]:
    """What towers are compared on: generated sets of `pairs` each, and what the folders hold.

    Products wear the pictures of `photographs`; of the small real sets below `data_root` those that are there count.
    """
    sets = [draw_set(part, pairs, side=side, seed=seed) for part in _HELD]
    if photographs is not None:
        sets.append(wear_set(read_photographs(photographs), pairs, side=side, seed=seed))
    return *sets, *_real_sets(data_root, side)


def held_out_figures(tower: Tower, held: PictureSet, detector: PromptedDetector | None = None) -> Figures:
    """What a tower makes of one set; the map of a head only with a `detector` that has learned one.

    Headless: the last block's patches through ln_post and the projection, 100 cos with the anchors of the prompt
    ensemble. Pixel metrics are those of all pictures together. The image score is the class token's cosine with the
    anomalous anchor less that with the normal one: the softmax of the methods without its saturation.
    """
    learned = detector
    if detector is None:
        detector = _begin(tower, held, seed=0)
    bare, headed = PixelMetrics(), PixelMetrics()
    scores: list[Tensor] = []
    right = []
    every = torch.stack([detector.anchors(name)[0] for name in held.categories])  # (N, 2, D)
    for features in _encoded(tower, held, (*tower.spec.taps, CLS, _last(tower))):
        anchors = torch.stack([detector.anchors(category)[0] for category in features.categories])  # (B, 2, D)
        visual: Any = tower.model.visual
        joint = visual.ln_post(features[_last(tower)]) @ visual.proj  # (B, P, D)
        runs = [label_regions(mask) for mask in features[MASK].numpy()]
        for score_map, regions in zip(anomaly_logits(joint, anchors, tower.spec.frame), runs, strict=True):
            bare.add(score_map.numpy(force=True), regions)
        if learned is not None:
            maps = learned.predict(features).maps
            assert maps is not None
            for score_map, regions in zip(maps, runs, strict=True):
                headed.add(score_map.numpy(force=True), regions)
        cls = unit(features[CLS])
        scores.append((cls * (anchors[:, ANOMALOUS] - anchors[:, NORMAL])).sum(-1))
        found = (cls @ every.sum(1).mT).argmax(1).tolist()
        right += [held.categories[at] == name for at, name in zip(found, features.categories, strict=True)]
    figures = _pixel_figures(held, "headless", bare)
    if learned is not None:
        figures |= _pixel_figures(held, "linear head", headed)
    figures |= _image_figures(held, torch.cat(scores).numpy(force=True))
    if len(held.categories) > 1:
        figures[f"{held.name}: category of {len(held.categories)}, top-1"] = float(np.mean(right))
    return figures


def blur_figures(held_out: Sequence[PictureSet], *, side: int) -> Figures:
    """The same figures of a map that nothing was learned for: how far a fine blur is from a wide one, in levels."""
    from scipy.ndimage import gaussian_filter

    figures: Figures = {}
    for held in held_out:
        metrics, scores = PixelMetrics(), []
        for picture, mask in zip(held.pictures, held.masks, strict=True):
            pixels = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)
            fine, wide = (gaussian_filter(pixels, (sigma * side / 112, sigma * side / 112, 0)) for sigma in _BLURS)
            score_map = np.abs(fine - wide).max(axis=2)
            metrics.add(score_map, label_regions(mask))
            scores.append(float(score_map.max()))
        figures |= _pixel_figures(held, "headless", metrics) | _image_figures(held, np.array(scores))
    return figures


def _pixel_figures(held: PictureSet, what: str, metrics: PixelMetrics) -> Figures:
    values = metrics.compute().values
    names = {"pixel_AUROC": "pixel AUROC", "pixel_AUPRO": "AUPRO", "pixel_AP": "pixel AP"}
    return {f"{held.name}: {what}, {name}": values[key] for key, name in names.items()}


def _image_figures(held: PictureSet, scores: NDArray[Any]) -> Figures:
    """AUROC of picture scores (N,), and how often the defective twin is above the good one."""
    figures = {f"{held.name}: image AUROC": image_metrics(scores, held.labels).values["image_AUROC"]}
    if held.paired:
        good, defective = scores[0::2], scores[1::2]
        figures[f"{held.name}: defective above its good twin"] = float(
            np.mean((defective > good) + 0.5 * (defective == good))
        )
    return figures


def _begin(tower: Tower, training: PictureSet, *, seed: int) -> PromptedDetector:
    method = resolve(_HEAD)
    assert isinstance(method, PromptedMethod)
    return method.begin(
        Task(
            tower=tower.spec,
            encode=TaskEncode(TextEncoder(tower)),
            categories=training.categories,
            train_on=(training.name,),
            seed=seed,
            device=tower.device,
            pictures=len(training.samples),
            batch_size=_BATCH,
            text=tower.text,
        )
    )


def _fit(detector: PromptedDetector, tower: Tower, training: PictureSet, *, seed: int) -> None:
    """Train the head, pictures in a new order each epoch."""
    parts = frozenset({*tower.spec.taps, CLS, MASK})
    trainee = Trainee(_HEAD, detector, training.samples, parts)
    source = _Encoded(list(_encoded(tower, training, parts - {MASK})))
    Training(source, training.samples, seed, Failures(fail_fast=True)).teach([trainee])


class _Encoded:
    """A source of pictures that have all been encoded."""

    def __init__(self, batches: Sequence[Features]) -> None:
        self._rows = {sample: row for row, sample in enumerate(s for each in batches for s in each.samples)}
        self._parts = {part: torch.cat([each[part] for each in batches]) for part in batches[0].parts}

    def batches(self, samples: Sequence[Sample], parts: Iterable[Part], *, size: int) -> Generator[Features]:
        """The features of samples in order."""
        for start in range(0, len(samples), size):
            batch = tuple(samples[start : start + size])
            rows = [self._rows[sample] for sample in batch]
            yield Features(batch, {part: self._parts[part][rows] for part in parts})


def _encoded(tower: Tower, held: PictureSet, parts: Iterable[Part]) -> Iterator[Features]:
    """The parts of a set in batches, with masks (B, S, S) of 0 and 1."""
    wanted = tuple(dict.fromkeys(parts))
    for start in range(0, len(held.samples), _BATCH):
        rows = slice(start, start + _BATCH)
        pictures = torch.from_numpy(np.stack([tower.prepare(picture) for picture in held.pictures[rows]]))
        masks = torch.from_numpy(np.stack(held.masks[rows]).astype(np.uint8))
        yield Features(held.samples[rows], {**tower.encode(pictures, wanted), MASK: masks})


def _last(tower: Tower) -> Part:
    return Part("patch", tower.spec.depth)


def _rate(tower: Tower, held: PictureSet) -> float:
    """Pictures a second in batches of 8, all taps and the class token: the median of nine."""
    pictures = torch.from_numpy(np.stack([tower.prepare(picture) for picture in held.pictures[:_BATCH]]))
    parts = (*tower.spec.taps, CLS)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        tower.encode(pictures, parts)[CLS].cpu()
        seconds.append(time.perf_counter() - started)
    return _BATCH / statistics.median(seconds[1:])


def _side_of(tower: Tower) -> int:
    """The side of a tower's pictures. Raises NotApplicable where they are no squares, as the drawn ones are."""
    side = tower.spec.image_size
    if not isinstance(side, int):
        raise NotApplicable(f"these figures are of squares, and {tower.spec.name} sees {side} pixels: give one side")
    return side


def _real_sets(data_root: Path | None, side: int) -> list[PictureSet]:
    if data_root is None:
        return []
    found = [(data_root / folder, category) for folder, names in _REAL.items() for category in names]
    return [read_set(root, category, side=side) for root, category in found if root.is_dir()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m stackclip.benchmarks.towers", description=__doc__)
    parser.add_argument("--backbone", default="stackclip-tiny", help="any that `stackclip list backbones` shows")
    parser.add_argument("--pretrained", help="a tag of open_clip")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--pairs", type=int, default=150, help="of pictures in each held-out set (default: 150)")
    parser.add_argument("--training-pairs", type=int, default=300, help="to train the head with (default: 300)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", type=Path, metavar="DIR", help=f"real pictures: {', '.join(_REAL)} below it")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="pictures that products are to wear")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args(arguments)
    flush_denormals()
    try:
        _compare(given)
    except (StackclipError, OSError) as error:
        parser.error(str(error))


def _compare(given: argparse.Namespace) -> None:
    """Measure what is asked for, and print the table of it."""
    tower = load_tower(given.backbone, pretrained=given.pretrained, weights=given.weights, image_size=given.image_size)
    side = _side_of(tower)
    held_out = sets_to_try(
        side, pairs=given.pairs, seed=given.seed, data_root=given.data_root, photographs=given.photographs
    )
    towers = {tower.spec.name: tower, "random tower": random_tower(given.seed, image_size=side)}
    columns = {
        name: tower_figures(each, held_out, training_pairs=given.training_pairs, seed=given.seed)
        for name, each in towers.items()
    }
    columns["blurs"] = blur_figures(held_out, side=side)
    print(_table(columns))
    if tower.spec.note:
        print(f"\n{tower.spec.note}")
    if given.json is not None:
        given.json.write_text(json.dumps(columns, indent=1) + "\n", encoding="utf-8")


def _table(columns: Mapping[str, Figures]) -> str:
    """Markdown: a row for each figure, a column for each tower."""
    rows = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    width = max(map(len, rows))
    lines = [f"| {'figure':<{width}} | {' | '.join(columns)} |", f"|{'-' * (width + 2)}|{'---|' * len(columns)}"]
    for name in rows:
        digits = 0 if name == "pictures a second" else 3
        cells = (f"{figures[name]:.{digits}f}" if name in figures else "" for figures in columns.values())
        lines.append(f"| {name:<{width}} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
