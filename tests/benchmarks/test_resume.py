"""A training that is stopped goes on at its last whole epoch, and nobody can tell from the rows."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau

from stackclip.benchmarks.runner import Bench, Outcome
from stackclip.errors import MissingParts
from stackclip.methods import Detector, Moment, Stage
from stackclip.registry import methods
from stackclip.registry.guard import Stopped
from stackclip.training.trainee import Trainee
from stackclip.types import CLS, Features, Prediction

METHODS = ("precise", "stacked", "stackclip[learner=rpl[epochs=3]]", "fuzzy[head=none,learner=rpl]", "cocoop")
STEPS = 3  # of an epoch: 8 pictures by threes
ENDS = (0, 3, 6, 8)  # of the epochs of `halting`: two by threes, then by fours


class Halting(Detector):
    """Two stages, an optimiser with a schedule, and noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = (Stage("first", 2, 3), Stage("second", 2, 4))
        self.shift = torch.nn.Parameter(torch.zeros(4))
        self.optimiser = torch.optim.Adam([self.shift], lr=0.1)
        self.rates = MultiStepLR(self.optimiser, [4, 7], 0.5)
        self.noise = torch.Generator().manual_seed(3)

    def needs(self, tower: object, phase: str) -> frozenset[object]:
        return frozenset({CLS})

    def check(self, tower: object) -> None: ...

    def begin(self, task: object) -> Halting:
        return Halting()

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        wanted = features[CLS][:, :4].mean(0) + torch.randn(4, generator=self.noise) + at.epoch
        loss = (self.shift - wanted).square().sum()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.rates.step()
        return {"loss": loss.item()}

    def predict(self, features: Features) -> Prediction:
        with torch.no_grad():
            return Prediction(features[CLS][:, :4] @ self.shift, None, why_no_maps="none")


@pytest.fixture
def halting() -> str:
    methods.register("halting")(type("H", (Halting,), {"__doc__": "Halts."}))
    return "halting"


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Counter[str]]:
    """`stop_after(n)`: Ctrl-C at the n-th step from now on, which are counted by method; never for 0."""
    learn = Trainee.learn

    def set_stop(number: int) -> Counter[str]:
        steps: Counter[str] = Counter()

        def counting(self: Trainee, features: Features, last: bool) -> None:
            if number and steps.total() == number:
                raise Stopped(130)
            steps[self.spec] += 1
            learn(self, features, last)

        monkeypatch.setattr(Trainee, "learn", counting)
        return steps

    return set_stop


def figures(outcome: Outcome) -> list[object]:
    return [(row.metrics, row.error, {**row.facts, "train_seconds": 0}) for row in outcome.rows]


def stopped(run: Bench) -> None:
    with pytest.raises(Stopped):
        run.run()
    assert not [each for each in threading.enumerate() if each.name.startswith("stackclip-reader")]


@pytest.mark.parametrize("step", [1, 4, 8, 11])
@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_training_goes_on_to_the_last_digit(small, bench, stop_after, method: str, step: int) -> None:
    plan = small.plan(method, epochs=4)
    whole = bench(plan, "whole").run()
    stop_after(step)
    stopped(bench(plan))
    steps = stop_after(0)
    assert figures(bench(plan).run()) == figures(whole)
    assert steps[method] == 4 * STEPS - step // STEPS * STEPS


def test_what_a_training_goes_on_from_is_said(small, bench, stop_after, caplog) -> None:
    plan = small.plan("precise", epochs=4)
    stop_after(2 * STEPS + 1)
    stopped(bench(plan))
    stop_after(0)
    with caplog.at_level("INFO", logger="stackclip"):
        bench(plan).run()
    assert "precise: its training goes on after epoch 2 of 4" in caplog.messages


@pytest.mark.parametrize("step", [2, 3, 5, 6, 7, 8, 9])
def test_stages_rates_and_generators_go_on_too(small, bench, stop_after, halting: str, step: int) -> None:
    plan = small.plan(halting, epochs=None, batch_size=None)
    whole = bench(plan, "whole").run()
    stop_after(step)
    stopped(bench(plan))
    steps = stop_after(0)
    assert figures(bench(plan).run()) == figures(whole)
    assert whole.rows[0].error == ""
    assert steps[halting] == 10 - max(end for end in ENDS if end <= step)


ODD = {
    "a rate that waits for a plateau": lambda self: ReduceLROnPlateau(self.optimiser).state_dict(),
    "a loss that is not there yet": lambda self: {"best": (float("inf"), [float("nan")])},
    "what was learned, twice": lambda self: {"before": self.shift.detach(), "half": self.shift.detach()[:2]},
    "truth values and counts": lambda self: {"seen": torch.tensor([True]), "times": torch.ones(2, dtype=torch.int32)},
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_training_state_goes_on_too(
    small, bench, stop_after, halting: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(
        Halting, "training_state", lambda self: {"own": Detector.training_state(self), "odd": ODD[what](self)}
    )
    monkeypatch.setattr(
        Halting,
        "load_training_state",
        lambda self, state: (taken.append(state["odd"]), Detector.load_training_state(self, state["own"])),
    )
    plan = small.plan(halting, epochs=None, batch_size=None)
    whole = bench(plan, "whole").run()
    stop_after(4)
    stopped(bench(plan))
    steps = stop_after(0)
    assert figures(bench(plan).run()) == figures(whole)
    assert (whole.rows[0].error, steps[halting]) == ("", 7)
    assert taken[0].keys() == ODD[what](Halting()).keys()


def test_methods_that_stopped_at_other_epochs_learn_on_together(small, bench, stop_after) -> None:
    one, other = small.plan("precise", epochs=4), small.plan("stacked", epochs=4)
    both = small.plan("precise", "stacked", epochs=4)
    whole = bench(both, "whole").run()
    for plan, step in ((one, 4), (other, 10)):
        stop_after(step)
        stopped(bench(plan))
    steps = stop_after(0)
    assert figures(bench(both).run()) == figures(whole)
    assert steps == {"precise": 3 * STEPS, "stacked": STEPS}


@pytest.mark.parametrize("step", [4, 7, 11])
@pytest.mark.parametrize("every", [2, "epoch"])
def test_curves_go_on_where_they_were(small, bench, stop_after, step: int, every: Any) -> None:
    plan = small.plan("precise", epochs=4, eval_every=every)
    whole = bench(plan, "whole").run()
    stop_after(step)
    stopped(bench(plan))
    steps = stop_after(0)
    assert figures(bench(plan).run()) == figures(whole)
    assert steps["precise"] == 4 * STEPS - step // STEPS * STEPS


def test_a_curve_that_was_left_half_drawn_is_drawn_again(small, bench, stop_after) -> None:
    plan = small.plan("precise", epochs=4, eval_every="epoch")
    fewer = small.plan(
        "precise", epochs=4, eval_every="epoch", test_on=(small.tested.select(categories=small.tested.categories[:1]),)
    )
    whole = bench(plan, "whole").run()
    stop_after(4)
    stopped(bench(plan))
    stop_after(0)
    bench(fewer).run()
    assert figures(bench(plan).run()) == figures(whole)


def test_where_the_training_of_several_fails_it_fails_for_all_and_none_of_their_curves_is_kept(
    small, bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small.plan("april-gan", "april-gan[shots=1]", epochs=2, eval_every="epoch")
    whole = bench(plan, "whole").run()
    learn = Trainee.learn

    def failing(self: Trainee, features: Features, last: bool) -> None:
        if self.steps == STEPS:
            raise MissingParts("the disk is away")
        learn(self, features, last)

    with monkeypatch.context() as patched:
        patched.setattr(Trainee, "learn", failing)
        assert [row.error for row in bench(plan).run().rows] == ["the disk is away"] * 4
    assert figures(bench(plan).run()) == figures(whole)


def test_a_curve_that_is_asked_for_only_now_begins_again(small, bench, stop_after) -> None:
    stop_after(7)
    stopped(bench(small.plan("precise", epochs=4)))
    steps = stop_after(0)
    plan = small.plan("precise", epochs=4, eval_every=1)
    assert figures(bench(plan).run()) == figures(bench(plan, "whole").run())
    assert steps["precise"] == 2 * 4 * STEPS


def test_a_checkpoint_goes_when_the_head_is_kept(small, bench, stop_after) -> None:
    plan, run = small.plan("precise", epochs=3), bench(small.plan("precise", epochs=3))
    stop_after(4)
    stopped(run)
    [checkpoint] = run.heads.iterdir()
    assert checkpoint.name.endswith(".checkpoint.safetensors")
    stop_after(0)
    bench(plan).run()
    assert [path.name for path in run.heads.iterdir()] == [checkpoint.name.replace(".checkpoint", "")]


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:200] + b"?" + data[201:], lambda _: b""])
def test_a_damaged_checkpoint_is_named_and_the_training_begins_again(
    small, bench, stop_after, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    logging.getLogger("stackclip").propagate = True
    plan, run = small.plan("precise", epochs=3), bench(small.plan("precise", epochs=3))
    stop_after(4)
    stopped(run)
    [checkpoint] = run.heads.iterdir()
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    steps = stop_after(0)
    assert figures(bench(plan).run()) == figures(bench(plan, "whole").run())
    assert steps["precise"] == 2 * 3 * STEPS
    [line] = [line for line in caplog.messages if "trained again" in line]
    assert line.startswith(str(checkpoint))


def test_always_takes_nothing_up(small, bench, stop_after) -> None:
    plan = small.plan("precise", epochs=3)
    stop_after(4)
    stopped(bench(plan))
    steps = stop_after(0)
    bench(plan, overwrite="always").run()
    assert steps["precise"] == 3 * STEPS


def test_a_state_that_cannot_be_kept_is_said_and_costs_nothing_else(
    small, bench, halting: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("stackclip").propagate = True
    monkeypatch.setattr(Halting, "training_state", lambda self: {"what": object()})
    row = bench(small.plan(halting, epochs=None, batch_size=None)).run().rows[0]
    assert row.error == ""
    assert caplog.messages == [
        "a training that is stopped begins again: a training state holds tensors, numbers, text and collections of "
        "them, not <class 'object'>"
    ]


def test_a_state_that_no_file_can_hold_is_said_too(
    small, bench, halting: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("stackclip").propagate = True
    monkeypatch.setattr(Halting, "training_state", lambda self: {"what": torch.ones(2, device="meta")})
    row = bench(small.plan(halting, epochs=None, batch_size=None)).run().rows[0]
    assert row.error == ""
    [line] = caplog.messages
    assert line.startswith("a training that is stopped begins again: ")


def test_a_checkpoint_that_cannot_be_written_costs_nothing(small, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small.plan("precise", epochs=3)
    whole = bench(plan, "whole").run()
    from stackclip.benchmarks import keeping

    save = keeping.save_head

    def fail(path: Path, head: object) -> None:
        if "checkpoint" in path.name:
            raise OSError(28, "No space left on device", str(path))
        save(path, head)  # type: ignore[arg-type]

    monkeypatch.setattr(keeping, "save_head", fail)
    outcome = bench(plan).run()
    assert (figures(outcome), outcome.unkept) == (figures(whole), 0)
