"""What a report says first can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.reports.brief import briefs
from stackclip.reports.exhibits import Exhibit
from stackclip.reports.table import summarise
from stackclip.types import Row

SCORES = [0.1, 0.2, 0.3, 0.85, 0.15, 0.16, 0.17, 0.18, 0.05, 0.5, 0.6, 0.06, 0.7]
KINDS = [*["good"] * 8, "dent", "scratch", "scratch", "dent", "scratch"]


def exhibit(method: str = "bad", **words: object) -> Exhibit:
    count = len(SCORES)
    shown = CellPictures(
        ids=tuple(f"x/{number}.png" for number in range(count)),
        images=("",) * count,
        labels=np.array([kind != "good" for kind in KINDS], np.uint8),
        defects=tuple(KINDS),
        masks=np.zeros((count, 64, 64), bool),
        localised=np.ones(count, bool),
        scores=np.array(SCORES),
    )
    return Exhibit(method, "c", shown, Path(), **words)  # type: ignore[arg-type]


def rows(**figures: float) -> list[Row]:
    return [Row(name, ("a",), "b", "c", 0, 0, {"image_AUROC": value}) for name, value in figures.items()]


def test_the_worst_method_its_misses_and_its_false_alarms_are_told() -> None:
    tables = summarise(rows(good=0.9, bad=0.4, fair=0.5))
    [brief] = briefs(tables, [exhibit(seed=0), exhibit("good")])
    assert brief.worst == "bad"
    # The best F1, 2/3, is at 0.5: three scratches found, both dents missed, and one good picture above it.
    assert brief.sentences == (
        "Worst of 3 methods is bad with image AUROC 40.0; best is good with image AUROC 90.0.",
        "At the threshold of the best F1 (seed 0) it misses 2 of 5 defective pictures and raises 1 false alarm on "
        "8 good pictures.",
        "Of the kinds of defects it misses dent most often, 2 of 2.",
        "Its worst miss is x/8.png (dent): 100 % of the good pictures score as high or higher.",
        "Its worst false alarm is x/3.png: 100 % of the defective ones score as low or lower.",
    )


def test_of_those_that_are_alike_the_worst_by_the_other_metrics_is_told_and_that_they_are() -> None:
    figures = {"a": (0.4, 0.3), "b": (0.4004, 0.2), "c": (0.4, 0.5), "d": (0.9, 0.1)}
    made = [Row(n, ("a",), "b", "c", 0, 0, {"image_AUROC": x, "pixel_AUROC": y}) for n, (x, y) in figures.items()]
    [brief] = briefs(summarise(made), [])
    assert brief.worst == "b"
    assert brief.sentences[0].startswith("Worst of 4 methods is b with image AUROC 40.0, the same as c, a; best is d")


def test_without_pictures_the_figures_alone_are_told_and_of_failures_nothing() -> None:
    [brief] = briefs(summarise(rows(only=0.75)), [])
    assert brief.sentences == ("The only method is only with image AUROC 75.0.",)
    failed = [replace(row, metrics={}, error="broke") for row in rows(one=0.1)]
    assert not list(briefs(summarise(failed), []))


def test_methods_are_compared_by_a_metric_that_most_of_them_have() -> None:
    told = [*rows(one=0.9, two=0.8), Row("three", ("a",), "b", "c", 0, 0, {"image_AUROC": 0.1, "pixel_AP": 0.99})]
    [brief] = briefs(summarise(told), [])
    assert brief.worst == "three"
    told = [replace(row, metrics={"pixel_AP": row.metrics["image_AUROC"]}) for row in rows(one=0.9, two=0.8)]
    [brief] = briefs(summarise([*told, *rows(three=0.1)]), [])
    assert brief.worst == "two"
    assert "pixel AP" in brief.sentences[0]
