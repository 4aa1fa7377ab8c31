"""What a method leaves out is its own affair: other methods use all that they can, in the same order as alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from stackclip.benchmarks.entrant import entrants_of, needed
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench, Outcome
from stackclip.cache import Store, extract
from stackclip.methods import Detector, Moment, Stage, Task
from stackclip.registry import methods
from stackclip.types import CLS, MASK, PICTURE, Features, Part, Prediction, patch

DEEP = patch(3)


class Tokens(Detector):
    """Learns a direction of the tokens of one part."""

    part = CLS

    def __init__(self, task: Task | None = None) -> None:
        super().__init__()
        self.stages = (Stage("all", 2, 3),)
        self.direction = torch.nn.Parameter(torch.zeros(4))
        self.optimiser = torch.optim.SGD([self.direction], lr=0.1)
        self.facts = {"pictures": task.pictures} if task else {}

    def needs(self, tower: object, phase: str) -> frozenset[Part]:
        return frozenset({self.part})

    def check(self, tower: object) -> None: ...

    def begin(self, task: Task) -> Tokens:
        return type(self)(task)

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        loss = (self._tokens(features).mean(0) - self.direction).square().sum()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return {"loss": loss.item()}

    def predict(self, features: Features) -> Prediction:
        with torch.no_grad():
            return Prediction(self._tokens(features) @ self.direction, None, why_no_maps="none")

    def _tokens(self, features: Features) -> torch.Tensor:
        tokens = features[self.part].flatten(1)[:, :4]
        return tokens / tokens.norm(dim=1, keepdim=True)


@pytest.fixture(autouse=True)
def kinds() -> None:
    for name, part in (("shallow", CLS), ("deep", DEEP), ("looking", PICTURE), ("odd-layers", patch(7))):
        methods.register(name)(type(name, (Tokens,), {"__doc__": "Learns.", "part": part}))


def figures(outcome: Outcome, name: str) -> list[object]:
    return [(row.metrics, row.error, {**row.facts, "train_seconds": 0}) for row in outcome.rows if row.method == name]


@pytest.fixture
def holed(small: Any, tmp_path: Any) -> Store:
    """A store in which one training picture and one tested picture lack a deep part."""
    store = Store.create(tmp_path / "holed", small.tower.fingerprint, spec=small.tower.spec, recorded={})
    samples = [*small.training, *small.tested]
    extract(store, small.tower, samples, {CLS, MASK})
    lacking = {small.training.select("test").samples[2], small.tested.select("test").samples[1]}
    extract(store, small.tower, [sample for sample in samples if sample not in lacking], {DEEP})
    return store


def test_what_a_plan_leaves_out_does_not_depend_on_which_methods_run_together(small, holed, tmp_path) -> None:
    def run(*names: str) -> Outcome:
        place = tmp_path / "-".join(names)
        plan = small.plan(*names, epochs=None, batch_size=None)
        return Bench(plan, small.tower, small.encode, holed, RowFolder(place / "rows"), place / "heads").run()

    together, whole, some = run("shallow", "deep"), run("shallow"), run("deep")
    assert figures(together, "shallow") == figures(whole, "shallow")
    assert figures(together, "deep") == figures(some, "deep")
    shallow, deep = together.rows[0].facts, together.rows[2].facts
    training, tested = small.training.select("test").samples, small.tested.select("test").samples
    assert (shallow["trained_left_out"], shallow["tested_left_out"]) == ([], [])
    assert (deep["trained_left_out"], deep["tested_left_out"]) == ([training[2].id], [tested[1].id])
    assert (shallow["pictures"], deep["pictures"]) == (len(training), len(training) - 1)
    assert (shallow["tested_pictures"], deep["tested_pictures"]) == (4, 3)


def test_a_picture_itself_is_read_live_and_no_store_is_asked_for_it(small, bench) -> None:
    plan = small.plan("looking", "shallow", epochs=None, batch_size=None)
    _, parts = needed(plan, entrants_of(plan, small.tower.spec))
    assert parts == {CLS, MASK}  # that it could be encoded
    outcome = bench(plan).run()
    assert not [row.error for row in outcome.rows if row.error]
    assert figures(outcome, "looking") != figures(outcome, "shallow")
    [row] = [row for row in outcome.rows if row.method == "looking"][:1]
    assert row.facts["losses"][1]["loss"] < row.facts["losses"][0]["loss"]


def test_a_head_that_is_trained_live_equals_the_cached_one(small, bench) -> None:
    plan = small.plan("precise", "stacked", epochs=4)
    cached, live = bench(plan, "cached").run(), bench(plan, "live", source="live").run()
    for one, other in zip(cached.rows, live.rows, strict=True):
        losses = [[epoch["loss"] for epoch in row.facts["losses"]] for row in (one, other)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
        assert one.metrics == pytest.approx(other.metrics, abs=0.02)
    heads = [{p.name for p in (bench(plan, name).heads).iterdir()} for name in ("cached", "live")]
    assert not heads[0] & heads[1]  # neither is taken for the other


def test_a_live_tower_gives_parts_that_the_store_lacks(small, bench) -> None:
    plan = small.plan("odd-layers", epochs=None, batch_size=None)
    for source, error in (("stored", "there is no picture to train on"), ("live", "")):
        rows = bench(plan, source, source=source).run().rows
        assert {row.error for row in rows} == {error}
