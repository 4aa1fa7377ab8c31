"""Training curves: each point is what a shorter training gives, and no figure knows that somebody looked."""

from __future__ import annotations

import logging
import random
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stackclip.benchmarks.curves import charts, has_curve, interval, point, spread_notes, stability
from stackclip.benchmarks.runner import Outcome
from stackclip.cache import Store
from stackclip.errors import UsageError
from stackclip.heads import load_head
from stackclip.methods import Detector, Moment, PromptedDetector, Stage
from stackclip.metrics import Measured
from stackclip.registry import methods
from stackclip.registry.guard import Stopped
from stackclip.training.trainee import Trainee
from stackclip.types import CLS, Features, Prediction, Row

METHODS = ("precise", "stackclip", "april-gan[shots=1]", "clip")
STEPS = 3  # of an epoch: 8 pictures by threes


class Restless(Detector):
    """A method and detector in one that draws from every global generator, and counts what it was asked."""

    stages = (Stage("all", 2, 3),)
    fails_at = -1

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.asked = 0

    def needs(self, tower: object, phase: str) -> frozenset[object]:
        return frozenset({CLS})

    def check(self, tower: object) -> None: ...

    def begin(self, task: object) -> Restless:
        return type(self)()

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        with torch.no_grad():
            self.shift += torch.rand(()) + random.random() + float(np.random.random())
        self.asked += 1
        return {"loss": self.shift.item()}

    def predict(self, features: Features) -> Prediction:
        torch.rand(5), random.random(), np.random.random()
        self.asked += 1
        if round(self.shift.item()) == self.fails_at:
            raise RuntimeError("not now")
        waves = torch.sin(features[CLS] * self.shift.item())  # (B, D)
        return Prediction(waves[:, 0], waves[:, :56, None] * waves[:, None, :56])


@pytest.fixture
def restless() -> str:
    methods.register("restless")(type("R", (Restless,), {"__doc__": "Draws."}))
    return "restless"


def seeded() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)


def figures(outcome: Outcome) -> dict[tuple[str, str, int], tuple[object, object]]:
    """Everything in rows that does not depend on circumstances."""
    return {
        (row.method, row.category, row.seed): (row.metrics, {**row.facts, "train_seconds": 0}) for row in outcome.rows
    }


def without_curves(outcome: Outcome) -> object:
    asked = {"eval_every", "curve", "stability"}
    return {
        name: (metrics, {fact: value for fact, value in facts.items() if fact not in asked})
        for name, (metrics, facts) in figures(outcome).items()
    }


def test_a_bench_with_curves_gives_the_rows_of_one_without(small, bench, restless) -> None:
    bench(small.plan("stackclip"), "first").run()  # what it imports draws random numbers, once
    names = (restless, *METHODS)
    seeded()
    without = bench(small.plan(*names, seeds=(0, 1)), "without").run()
    seeded()
    drawn = bench(small.plan(*names, seeds=(0, 1), eval_every=1), "drawn").run()
    assert not any(row.error for row in drawn.rows)
    assert figures(without) == without_curves(without) == without_curves(drawn)
    for row in drawn.rows:
        epochs = {restless: 2, "clip": 0}.get(row.method, 1)
        assert [each["step"] for each in row.facts["curve"]] == list(range(1, epochs * STEPS + 1))


def test_the_last_point_is_the_row_and_each_other_one_that_of_a_shorter_training(small, bench) -> None:
    names = tuple(name for name in METHODS if name != "clip")
    drawn = bench(small.plan(*names, epochs=3, eval_every="epoch"), "drawn").run()
    for epochs in (1, 2, 3):
        shorter = bench(small.plan(*names, epochs=epochs), f"{epochs}").run()
        for row, short in zip(drawn.rows, shorter.rows, strict=True):
            at = row.facts["curve"][epochs - 1]
            assert at == {"step": epochs * STEPS, "epoch": epochs, "metrics": short.metrics}
    for row in drawn.rows:
        for name, spread in row.facts["stability"].items():
            assert spread == statistics.pstdev(each["metrics"][name] for each in row.facts["curve"][1:])
        assert set(row.facts["stability"]) == set(row.metrics)


def test_points_are_due_every_so_many_steps_and_at_the_end(small, bench) -> None:
    (row, *_) = bench(small.plan("precise", epochs=2, eval_every=4)).run().rows
    assert [(each["step"], each["epoch"]) for each in row.facts["curve"]] == [(4, 1.333333), (6, 2.0)]
    assert row.facts["eval_every"] == 4
    assert row.facts["stability"] == {}  # of one point there is none


def test_what_does_not_train_has_no_curve(small, bench) -> None:
    plan = small.plan("clip", eval_every="epoch")
    (row, *_) = bench(plan).run().rows
    assert (row.facts["curve"], row.facts["stability"]) == ([], {})
    assert bench(plan).run().computed == 0


def test_features_are_read_once_where_they_stay(small, bench, monkeypatch) -> None:
    read: list[tuple[str, Any]] = []
    batch = Store.batch

    def recorded(self, samples, parts, **words):
        read.extend((sample.key, part) for sample in samples for part in parts)
        return batch(self, samples, parts, **words)

    monkeypatch.setattr(Store, "batch", recorded)
    plan = small.plan("precise", "april-gan[shots=2]", epochs=2, eval_every=1)
    bench(plan, resident="ram").run()
    assert len(read) == len(set(read))


def test_curves_are_on_disk_with_the_head(small, bench, monkeypatch) -> None:
    names = ("precise", "stackclip", "april-gan[shots=1]", "april-gan[shots=2]", "april-gan")
    plan = small.plan(*names, eval_every=2)
    run = bench(plan)
    first = run.run()
    for path in run.rows.folder.iterdir():
        path.unlink()
    monkeypatch.setattr(PromptedDetector, "step", None)
    again = bench(plan).run()
    assert again.computed == len(again.rows)
    assert figures(again) == figures(first)


def test_an_interrupted_bench_gets_the_same_curves(small, bench, monkeypatch) -> None:
    plan = small.plan("precise", "fuzzy", epochs=2, eval_every=2, seeds=(0, 1))
    whole = bench(plan, "whole").run()
    predict = PromptedDetector.predict
    for stop_at in (3, 15, 40):
        asked = 0

        def stopping(self, features, stop_at=stop_at):
            nonlocal asked
            asked += 1
            if asked == stop_at:
                raise Stopped(130)
            return predict(self, features)

        monkeypatch.setattr(PromptedDetector, "predict", stopping)
        with pytest.raises(Stopped):
            bench(plan).run()
    monkeypatch.setattr(PromptedDetector, "predict", predict)
    assert figures(bench(plan).run()) == figures(whole)


def test_rows_without_a_curve_are_completed_and_serve_everybody_after(small, bench) -> None:
    plan = small.plan("precise", "clip")
    run = bench(plan)
    before = run.run()
    files = sorted(path.name for path in run.rows.folder.iterdir())
    asked = replace(plan, eval_every=1)
    assert bench(asked, overwrite="never").run().rows == before.rows
    drawn = bench(asked).run()
    assert drawn.computed == 4
    assert without_curves(drawn) == figures(before)
    assert sorted(path.name for path in run.rows.folder.iterdir()) == files
    assert bench(asked).run().computed == 0
    after = bench(plan).run()
    assert (after.computed, after.rows) == (0, drawn.rows)
    assert bench(replace(plan, eval_every="epoch")).run().computed == 4


def test_a_category_that_is_tested_later_gets_its_curve_and_the_others_keep_theirs(small, bench) -> None:
    every = small.plan("precise", eval_every=1)
    first = replace(every, test_on=(small.tested.select(categories=small.tested.categories[:1]),))
    run = bench(first)
    run.run()
    outcome = bench(every).run()
    assert outcome.computed == 1
    assert figures(outcome) == figures(bench(every, "whole").run())
    [head] = run.heads.iterdir()
    assert len(load_head(head, fingerprint=small.store.digest).facts["curves"]) == 2


def test_a_point_that_fails_says_so_and_nothing_else_does(small, bench, caplog) -> None:
    logging.getLogger("stackclip").propagate = True
    seeded()
    shifts = [sum((float(torch.rand(())), random.random(), float(np.random.random()))) for _ in range(2 * STEPS)]
    fails_at = round(sum(shifts[:4]))
    assert fails_at not in {round(sum(shifts[:steps])) for steps in (1, 2, 3, 5, 6)}
    methods.register("moody")(type("M", (Restless,), {"__doc__": "Fails once.", "fails_at": fails_at}))
    seeded()
    (row, *_) = bench(small.plan("moody", "clip", eval_every=1)).run().rows
    assert row.error == ""
    assert [each.get("error") for each in row.facts["curve"]] == [None] * 3 + ["RuntimeError: not now"] + [None] * 2
    assert row.facts["curve"][3]["metrics"] == {}
    assert caplog.text == ""


def test_progress_tells_how_far_the_curves_are(small, bench) -> None:
    told: list[tuple[str, int, int]] = []
    bench(small.plan("precise", eval_every=2), progress=lambda *words: told.append(words)).run()
    assert [words for words in told if words[0] == "curves, seed 0"] == [
        ("curves, seed 0", 2, 3),
        ("curves, seed 0", 3, 3),
    ]


# The schedule and the numbers


@pytest.mark.parametrize("typed", ["0", "-1", "1.5", "", "epochs", 0, True, 1.0, None])
def test_a_distance_that_is_none_is_refused(typed: object) -> None:
    with pytest.raises(UsageError, match=r"wanted a number of optimiser steps, 1 or more, or epoch"):
        interval(typed)


def test_a_plan_refuses_it_too(small) -> None:
    with pytest.raises(UsageError, match="eval_every is 0"):
        small.plan("clip", eval_every=0)
    assert (interval("12"), interval(3), interval("epoch")) == (12, 3, "epoch")


def test_stability_is_the_spread_of_the_last_half() -> None:
    points = [point(step, 2, Measured({"a": value}, {}), "") for step, value in enumerate((9.0, 0.0, 1.0, 2.0, 3.0), 1)]
    assert stability(points) == {"a": pytest.approx(np.std([1.0, 2.0, 3.0]))}
    assert stability(points[:4]) == {"a": 0.5}
    assert stability(points[:2]) == stability(points[:1]) == stability([]) == {}
    failed = point(6, 2, None, "no")
    assert stability([*points, failed, failed]) == {"a": 0.5}


# Many rows as one picture


def row(method: str = "m", category: str = "c", seed: int = 0, every: object = 1, **values: tuple[float, ...]) -> Row:
    """A row with a curve of some pixel metrics, a value a step."""
    steps = range(max(map(len, values.values())))
    curve = [
        {"step": 10 * step, "epoch": step, "metrics": {f"pixel_{name}": each[step] for name, each in values.items()}}
        for step in steps
    ]
    facts = {"eval_every": every, "curve": curve, "protocol": "p", "tower": "toy", "note": ""}
    last = {f"pixel_{name}": each[-1] for name, each in values.items()}
    return Row(method, ("here",), "there", category, 0, seed, metrics=last, facts=facts)


def test_a_line_is_the_mean_over_categories_for_each_seed() -> None:
    rows = [
        row(category="a", AP=(0.0, 0.2, 0.4)),
        row(category="b", AP=(0.2, 0.4, 0.8)),
        row(category="a", seed=1, AP=(0.1, 0.1, 0.1)),
        row(category="b", seed=1, AP=(0.3, 0.5, 0.1)),
    ]
    [chart] = charts(rows)
    [line] = chart.lines
    assert (chart.seeds, chart.categories, line.categories, line.steps) == (2, 2, 2, (0, 10, 20))
    np.testing.assert_allclose(line.values["pixel_AP"], [[0.1, 0.3, 0.6], [0.2, 0.3, 0.1]])
    assert line.spread("pixel_AP") == pytest.approx((0.15 + 0.1) / 2)
    assert line.spread("pixel_AUPRO") is None
    assert list(spread_notes(charts(rows))) == [
        "spread over the last half of training, trained on here, tested on there: m AP 12.50"
    ]


def test_curves_of_other_schedules_and_sets_stand_in_charts_of_their_own() -> None:
    here, there = row(AP=(0.1, 0.2)), replace(row(AP=(0.1, 0.2)), test_on="elsewhere")
    failed = replace(row(method="f", AP=(0.1, 0.2)), error="no")
    plain = Row("p", ("here",), "there", "c", 0, 0)
    assert [len(chart.rows) for chart in charts([here, row(every="epoch", AP=(0.3, 0.4)), there, failed, plain])] == [
        1
    ] * 3
    assert charts([failed, plain, replace(plain, facts={"eval_every": 1, "curve": []})]) == []


def test_a_line_has_the_steps_that_its_rows_share() -> None:
    short, long = row(category="a", AP=(0.1, 0.2)), row(category="b", AP=(0.3, 0.4, 0.5))
    [chart] = charts([short, long])
    assert chart.lines[0].steps == (0, 10)
    shifted = replace(
        long, facts={**long.facts, "curve": [{**each, "step": 1 + each["step"]} for each in long.facts["curve"]]}
    )
    assert charts([short, shifted]) == []


def test_a_method_without_any_of_the_metrics_has_no_line() -> None:
    blind = replace(row("blind", AP=(0.1,)), metrics={"image_AP": 0.1}, facts={**row(AP=(0.1,)).facts, "curve": []})
    [chart] = charts([row(AP=(0.1, 0.2)), blind])
    assert [line.method for line in chart.lines] == ["m"]


def test_methods_without_maps_are_drawn_by_their_picture_scores() -> None:
    of_pictures = row(AP=(0.1, 0.2))
    curve = [{**each, "metrics": {"image_AP": 0.5}} for each in of_pictures.facts["curve"]]
    scored = replace(of_pictures, metrics={"image_AP": 0.5}, facts={**of_pictures.facts, "curve": curve})
    [chart] = charts([scored])
    assert chart.metrics == ("image_AUROC", "image_AP", "image_F1max")
    assert chart.lines[0].values["image_AP"].tolist() == [[0.5, 0.5]]


def test_any_row_will_do_where_no_curve_is_asked_for() -> None:
    assert has_curve(row(AP=(1.0,)), None)
    assert has_curve(row(AP=(1.0,)), 1)
    assert not has_curve(row(AP=(1.0,)), "epoch")


def test_a_training_that_is_stopped_is_a_point_of_the_whole_one_and_is_not_taken_for_it(small, bench) -> None:
    names = tuple(name for name in METHODS if name != "clip")
    whole = bench(small.plan(*names, epochs=3, eval_every="epoch"), "drawn").run()
    for after in (1, 2):
        stopped = bench(small.plan(*names, epochs=3, stop_after=after), "stopped").run()
        for row, long in zip(stopped.rows, whole.rows, strict=True):
            assert row.metrics == long.facts["curve"][after - 1]["metrics"]
            assert row.facts["losses"] == long.facts["losses"][:after]
            assert (row.facts["stop_after"], row.facts["schedule"]) == (after, long.facts["schedule"])
            assert row.facts["protocol"] != long.facts["protocol"]
    later = bench(small.plan(*names, epochs=3), "stopped").run()
    assert [row.metrics for row in later.rows] == [row.metrics for row in whole.rows]
    assert later.computed == len(later.rows)
    assert bench(small.plan(*names, epochs=3, stop_after=2), "stopped").run().computed == 0


def test_a_training_shorter_than_where_it_is_stopped_is_whole(small, bench) -> None:
    [short, *_] = bench(small.plan("precise", epochs=1, stop_after=5)).run().rows
    [plain, *_] = bench(small.plan("precise", epochs=1), "plain").run().rows
    assert short.metrics == plain.metrics


def test_a_training_of_several_stages_is_stopped_in_the_one_that_it_is_in(small) -> None:
    detector = type("D", (Restless,), {"stages": (Stage("a", 2, 3), Stage("b", 3, 4))})()
    samples = small.training.select(split="test").samples[:8]
    of_epochs = {after: Trainee("r", detector, samples, stop_after=after) for after in (1, 2, 4, 5, 9, None)}
    assert {after: (t.epochs, t.total_steps) for after, t in of_epochs.items()} == {
        1: (1, 3),
        2: (2, 6),
        4: (4, 10),
        5: (5, 12),
        9: (5, 12),
        None: (5, 12),
    }
