"""Pictures that show what methods see: some of many, as varied as there is room for, on one sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.runner import Bench
from stackclip.data import read_picture
from stackclip.data.images import png_of
from stackclip.inspection.sheet import sheet
from stackclip.ops.files import write_atomically
from stackclip.ops.regions import paint_mask
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["draw_sheet", "varied"]


def draw_sheet(bench: Bench, path: Path, *, rows: int = 8, seed: int = 0) -> None:
    """Save a sheet: pictures of as many categories and kinds of defects as there is room for, a good one among them."""
    run, side = bench.of_seed(seed), bench.tower.spec.image_size
    cells = next(iter(run.cells.values()))
    chosen = varied([sample for cell in cells for sample in cell.samples if sample not in cell.without_mask], rows)
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
    write_atomically(path, png_of(image))


def varied(samples: Sequence[Sample], count: int) -> list[Sample]:
    """One normal sample in eight, then anomalous ones: new categories and new defects first."""
    normal = [sample for sample in samples if sample.label == NORMAL][: max(1, count // 8)]
    rest = [sample for sample in samples if sample.label == ANOMALOUS]
    chosen: list[Sample] = []
    while rest and len(chosen) < count - len(normal):
        seen = Counter(word for sample in chosen for word in (sample.category, sample.defect))
        chosen.append(min(rest, key=lambda sample: seen[sample.category] + seen[sample.defect]))
        rest.remove(chosen[-1])
    return normal + chosen
