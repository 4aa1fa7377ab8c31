"""Shots and further normal pictures come as streams, and what a method makes of them dies with its category."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar
from weakref import WeakSet

import pytest
import torch

from stackclip.benchmarks import showing
from stackclip.benchmarks.entrant import needs_of
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.runner import Bench
from stackclip.cache import extract
from stackclip.data import open_dataset
from stackclip.methods import Detector, Inspector, Task
from stackclip.methods.promptad import PromptAdDetector
from stackclip.ops.neighbours import Bank
from stackclip.registry import methods
from stackclip.registry.guard import Stopped
from stackclip.training.sources import FeatureReader
from stackclip.types import CLS, NORMAL, Features, Part, Prediction, Sample, patch


def test_all_shots_are_all_normal_training_pictures(small, bench) -> None:
    outcome = bench(small.plan("april-gan[shots=all]", "april-gan[shots=4]")).run()
    every, four = outcome.rows[:2], outcome.rows[2:]
    for one, other in zip(every, four, strict=True):
        assert (one.shots, other.shots, one.error, other.error) == ("all", 4, "", "")
        assert sorted(one.facts["shots_drawn"]) == sorted(other.facts["shots_drawn"])
        assert one.metrics == pytest.approx(other.metrics, abs=1e-5)
    assert bench(small.plan("april-gan", shots="all")).run().rows[0].metrics == every[0].metrics


def test_many_shots_are_streamed_and_give_the_same(small, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small.plan("april-gan[shots=3]")
    at_once = bench(plan, "at-once").run()
    monkeypatch.setattr(showing, "FEW", 2)
    streamed = bench(plan, "streamed").run()
    assert [row.metrics for row in streamed.rows] == [row.metrics for row in at_once.rows]


def peak_of(run: Bench, monkeypatch: pytest.MonkeyPatch) -> int:
    """The most bytes that banks of patches held at once while pictures were predicted."""
    banks: WeakSet[Bank] = WeakSet()
    peak, made, predict = 0, Bank.__post_init__, Evaluation.predict

    def noted(self: Bank) -> None:
        made(self)
        banks.add(self)

    def measured(self: Evaluation, *given: Any) -> None:
        nonlocal peak
        peak = max(peak, sum(bank.vectors.numel() * bank.vectors.element_size() for bank in banks))
        predict(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Bank, "__post_init__", noted)
        patched.setattr(Evaluation, "predict", measured)
        assert not [row.error for row in run.run().rows if row.error]
    return peak


def test_twelve_categories_need_no_more_memory_than_two(small, bench, tmp_path, monkeypatch) -> None:
    words = "part=combinations,per_category=2,train_good=3,size=56"
    peaks = []
    for count in (2, 12):
        tested = open_dataset(f"synthetic[categories={count},{words}]", generated=tmp_path)
        extract(small.store, small.tower, tested, {CLS, *small.tower.spec.taps})
        plan = small.plan("april-gan[shots=3]", test_on=(tested,))
        peaks.append(peak_of(bench(plan, str(count)), monkeypatch))
    assert peaks[0] > 0
    assert peaks[1] <= 1.2 * peaks[0]


class Calibrated(Detector):
    """A threshold from normal pictures that were not shown."""

    def needs(self, tower: object, phase: str) -> frozenset[Part]:
        return frozenset({"shots": {CLS}, "calibrate": {CLS, patch(2)}, "test": {CLS}}.get(phase, ()))

    def check(self, tower: object) -> None: ...

    def begin(self, task: Task) -> Calibrated:
        return type(self)()

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        return Threshold(list(_ids(shots)), [*_ids(normals)])


def _ids(stream: Iterator[Features]) -> Iterator[Sample]:
    return (sample for features in stream for sample in features.samples)


class Threshold(Inspector):
    def __init__(self, shots: list[Sample], normals: list[Sample]) -> None:
        self.calibrated = {"shots": [s.id for s in shots], "normals": [s.id for s in normals], "threshold": 0.5}

    def predict(self, features: Features) -> Prediction:
        return Prediction(features[CLS][:, 0], None, why_no_maps="none")


def test_who_calibrates_sees_the_normal_pictures_that_were_not_shown(small, bench, monkeypatch) -> None:
    methods.register("calibrated")(type("C", (Calibrated,), {"__doc__": "Calibrates."}))
    outcome = bench(small.plan("calibrated", "april-gan", shots=1, epochs=0)).run()
    for row in [row for row in outcome.rows if row.method == "calibrated"]:
        pool = small.tested.select("train", [row.category]).samples
        facts = row.facts["calibrated"]
        assert row.error == ""
        assert facts["threshold"] == 0.5
        assert facts["shots"] == row.facts["shots_drawn"]
        assert {*facts["normals"]} == {s.id for s in pool if s.label == NORMAL} - {*facts["shots"]}
    assert not [row for row in outcome.rows if row.method == "april-gan" and "calibrated" in row.facts]


def test_what_is_no_inspector_is_named(small, bench) -> None:
    wrong = type("W", (Calibrated,), {"__doc__": "Wrong.", "on": lambda *_: torch.zeros(3)})
    methods.register("wrong")(wrong)
    row = bench(small.plan("wrong")).run().rows[0]
    assert row.error == "its on() gave Tensor; wanted an Inspector"


def test_who_says_nothing_of_shots_is_refused_them_before_it_trains(small, bench) -> None:
    learned = type("L", (Calibrated,), {"__doc__": "Plain.", "on": Detector.on, "predict": Threshold.predict})
    methods.register("plain")(learned)
    row = bench(small.plan("plain", shots=2)).run().rows[0]
    assert row.error == "it is zero-shot and learns nothing from 2 shots; april-gan takes them"


def test_who_cannot_do_without_shots_is_refused_to_go_on_without_any(small, bench) -> None:
    for row in bench(small.plan("promptad[epochs=2]", "promptad[epochs=2,shots=0]")).run().rows:
        assert row.error == (
            "it learns from normal pictures of the tested category, and is shown none: add --shots 2, or [shots=2] to "
            "its name, with --good FOLDER in inspect"
        )


def test_what_is_learned_from_shots_is_the_same_where_a_bench_stopped(small, bench, monkeypatch) -> None:
    plan = small.plan("promptad[shots=2,epochs=2]", seeds=(0, 1))
    [method] = plan.resolved.values()
    extract(small.store, small.tower, small.tested, needs_of(method, small.tower.spec))
    whole = bench(plan, "whole").run().rows
    learned, on = list[str](), PromptAdDetector.on

    def stopping(self: PromptAdDetector, category: str, *streams: Iterator[Features]) -> Inspector:
        if len(learned) == 3:
            learned.clear()
            raise Stopped(130)
        learned.append(category)
        return on(self, category, *streams)

    with monkeypatch.context() as patched:
        patched.setattr(PromptAdDetector, "on", stopping)
        with pytest.raises(Stopped):
            bench(plan).run()
        again = bench(plan).run().rows
    assert len(learned) == len(whole) - 3
    assert [row.metrics for row in again] == [row.metrics for row in whole]
    assert [row.facts["calibrated"] for row in again] == [row.facts["calibrated"] for row in whole]
    assert not [row.error for row in whole if row.error]


class Looking(Detector):
    """It surveys what is tested, and says how often it saw each picture."""

    facts: ClassVar[dict[str, str]] = {"transductive": "scores"}

    def needs(self, tower: object, phase: str) -> frozenset[Part]:
        return frozenset({"survey": {patch(2)}, "test": {CLS}}.get(phase, ()))

    def check(self, tower: object) -> None: ...

    def begin(self, task: Task) -> Looking:
        return type(self)()

    def survey(self, tested: Callable[[], Iterator[Features]]) -> None:
        next(tested())  # left where it is
        seen = [features for _ in range(2) for features in tested()]
        assert all(set(features.parts) == {patch(2)} for features in seen)
        self.calibrated = {"seen": [sample.id for features in seen for sample in features.samples]}

    def predict(self, features: Features) -> Prediction:
        assert set(features.parts) == {CLS}
        return Prediction(features[CLS][:, 0], None, why_no_maps="none")


def test_who_surveys_sees_all_tested_pictures_of_the_category_as_often_as_it_asks(small, bench) -> None:
    methods.register("looking")(type("L", (Looking,), {"__doc__": "Looks."}))
    alone = bench(small.plan("april-gan", epochs=0), "alone").run().rows
    rows = bench(small.plan("looking", "april-gan", epochs=0)).run().rows
    for row in [row for row in rows if row.method == "looking"]:
        samples = small.tested.select("test", [row.category]).samples
        assert row.error == ""
        assert row.facts["calibrated"]["seen"] == 2 * [sample.id for sample in samples]
        assert row.facts["transductive"] == "scores"
    others = [row for row in rows if row.method == "april-gan"]
    assert [row.metrics for row in others] == [row.metrics for row in alone]
    assert not any("transductive" in row.facts for row in others)


def test_a_survey_that_fails_is_that_methods_row_alone(small, bench) -> None:
    rows = bench(small.plan("musc[k=100]", "april-gan", epochs=0)).run().rows
    assert {row.error.partition(";")[0] for row in rows if row.method.startswith("musc")} == {"k=100 of 4 pictures"}
    assert not [row.error for row in rows if row.method == "april-gan" and row.error]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_shot_with_features_that_are_no_numbers_is_named_and_never_remembered(
    small, bench, monkeypatch, value: float
) -> None:
    batches = FeatureReader.batches

    def spoiling(self: FeatureReader, samples: Sequence[Sample], *words: Any, **more: Any) -> Iterator[Features]:
        for features in batches(self, samples, *words, **more):
            rows = torch.tensor([index for index, each in enumerate(features.samples) if each.split == "train"][-1:])
            parts = {part: each.index_fill(0, rows.long(), value) for part, each in features.parts.items()}
            yield Features(features.samples, parts)

    monkeypatch.setattr(FeatureReader, "batches", spoiling)
    shown = ("patchcore-clip[shots=2]", "patchcore-clip[shots=all]", "april-gan[shots=2]")
    rows = bench(small.plan(*shown, "april-gan", epochs=0)).run().rows
    for row in rows:
        if row.method == "april-gan":
            assert not row.error
        else:
            assert re.match(
                r"patch/\d of synthetic-combinations/.*/train/good/.*, which it is shown, holds NaN", row.error
            )
