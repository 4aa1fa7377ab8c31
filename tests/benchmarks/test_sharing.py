"""What points of a grid have in common is done once, for the same rows as if each were alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from stackclip.benchmarks.followers import pieces_of
from stackclip.errors import MissingParts
from stackclip.heads import load_head, save_head
from stackclip.methods import component_of
from stackclip.metrics import PixelMetrics
from stackclip.registry import Spec, as_learned, methods, points_of
from stackclip.training.trainee import Trainee

GRIDS = {
    "stackclip": "stackclip[clusters=1|2,head=efa[temperature=1|10]|linear,learner=none|rpl[deep=2],"
    "image_score=text|text+map]",
    "sdp-plus": "sdp-plus[epochs=1,image_score=text|inductive,sigma=1|4,select=mean|mean-of-unit]",
    "april-gan": "april-gan[shots=1|2,lr=0.001|0.002,image_score=text|text+map]",
}


def figures(outcome: Any, *names: str) -> dict[Any, Any]:
    """Everything in rows that must not depend on who else took part."""
    return {
        (row.method, row.category): (row.metrics, row.undefined, row.error, {**row.facts, "train_seconds": 0})
        for row in outcome.rows
        if row.method in (names or {row.method})
    }


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The steps that methods took, by their specs."""
    taken: Counter[str] = Counter()
    learn = Trainee.learn

    def counting(self: Trainee, features: Any, last: bool) -> None:
        taken[self.spec] += 1
        learn(self, features, last)

    monkeypatch.setattr(Trainee, "learn", counting)
    return taken


@pytest.fixture(scope="module")
def known_small(small: Any) -> Any:
    """The small store with what CLIP-AD reads, too."""
    from stackclip.benchmarks.entrant import needs_of
    from stackclip.cache import extract
    from stackclip.methods import resolve

    extract(small.store, small.tower, [*small.training, *small.tested], needs_of(resolve("sdp-plus"), small.tower.spec))
    return small


@pytest.mark.parametrize(("name", "trainings"), [("stackclip", 8), ("sdp-plus", 2), ("april-gan", 2)])
def test_points_that_are_benched_together_give_the_rows_they_give_alone(
    known_small, bench, steps, name: str, trainings: int
) -> None:
    points = points_of(GRIDS[name])
    run = bench(known_small.plan(*points), "together")
    together = run.run()
    assert not [row.error for row in together.rows if row.error]
    assert len(steps) == run.savings.learned == trainings
    assert run.savings.taken == len(points) - trainings
    assert f"{trainings} trainings" in run.savings.say(len(points), run.encode)
    for place, point in enumerate(points[1::9]):
        alone = bench(known_small.plan(point), f"alone-{place}", alone=True).run()
        assert figures(alone) == figures(together, str(Spec.parse(point)))


def test_a_second_bench_finds_what_was_learned_for_other_options_at_test(small, bench, monkeypatch) -> None:
    first = bench(small.plan("stackclip")).run()
    monkeypatch.setattr("stackclip.methods.PromptedDetector.step", None)
    names = ("stackclip[image_score=text+map]", "stackclip[head=efa[temperature=7],clusters=none]")
    rows = bench(small.plan("stackclip", *names)).run().rows
    assert not [row.error for row in rows if row.error]
    assert rows[0].metrics == first.rows[0].metrics


def test_heads_that_were_kept_under_the_name_of_a_spelling_are_found(small, bench, monkeypatch) -> None:
    spec = "stackclip[image_score=text+map]"
    run = bench(small.plan(spec))
    first = run.run()
    identities = run.of_seed(0).identities
    plain = bench(small.plan("stackclip")).of_seed(0).identities
    assert identities.earlier_head(spec) != identities.head(spec) == plain.head("stackclip")
    assert plain.head("stackclip") == plain.earlier_head("stackclip")  # a name that was plain is as it was
    [head] = run.heads.iterdir()
    kept = load_head(head, fingerprint=small.store.digest)
    head.unlink()
    save_head(run.heads / f"{identities.earlier_head(spec)}.safetensors", kept)
    for row in run.rows.folder.rglob("*.json"):
        row.unlink()
    monkeypatch.setattr("stackclip.methods.PromptedDetector.step", None)
    assert figures(bench(small.plan(spec)).run()) == figures(first)


def test_curves_of_points_that_learn_the_same_are_those_they_have_alone(small, bench, steps) -> None:
    points = points_of("stacked[image_score=text|text+map]")
    together = bench(small.plan(*points, epochs=2, eval_every=1), "together").run()
    assert len(steps) == 1
    for point in points:
        alone = bench(small.plan(point, epochs=2, eval_every=1), f"alone-{len(point)}").run()
        assert figures(alone) == figures(together, point)


def test_who_loses_the_method_that_learned_a_part_for_it_learns_it_itself(small, bench, monkeypatch) -> None:
    names = ("stackclip[learner=none]", "stackclip")
    whole = bench(small.plan(names[1], epochs=2), "whole").run()
    learn = Trainee.learn

    def failing(self: Trainee, features: Any, last: bool) -> None:
        if self.spec == names[0] and self.steps == 2:
            raise MissingParts("the disk is away")
        learn(self, features, last)

    monkeypatch.setattr(Trainee, "learn", failing)
    run = bench(small.plan(*names, epochs=2), "beside")
    rows = run.run()
    assert run.savings.parts == 1
    assert {row.error for row in rows.rows if row.method == names[0]} == {"the disk is away"}
    assert figures(rows, names[1]) == figures(whole)


def test_equal_maps_are_measured_once(small, bench, monkeypatch) -> None:
    taken: Counter[int] = Counter()
    add = PixelMetrics.add

    def counting(self: PixelMetrics, *given: Any) -> None:
        taken[id(self)] += 1
        add(self, *given)

    monkeypatch.setattr(PixelMetrics, "add", counting)
    run = bench(small.plan(*points_of("stacked[clusters=1,head=efa[temperature=1|10],image_score=text|text+map]")))
    run.run()
    assert len(taken) == len(small.tested.categories)
    assert (run.savings.measured, run.savings.alike) == (2, 6)


def test_spellings_of_one_thing_to_learn_are_one() -> None:
    def learned(text: str) -> str:
        spec = Spec.parse(text)
        return str(as_learned(component_of(spec.name), spec))

    assert learned("stackclip[image_score=text+map,head=efa[temperature=3]]") == "stackclip"
    assert learned("stackclip[lr=0.0010,clusters=none]") == learned("stackclip[lr=1e-3]") == "stackclip[lr=0.001]"
    assert learned("stackclip[head=linear[temperature=3]]") == "stackclip[head=linear]"
    assert learned("stacked[head=linear,test=object]") == "stacked"
    assert learned("stackclip[learner=rpl[lambda=1]]") == "stackclip"
    assert learned("stackclip[learner=rpl[lambda=2]]") == "stackclip[learner=rpl[lambda=2.0]]"
    assert learned("precise[head=none]") == "precise[head=none]"


def test_a_marker_holds_for_no_class_of_another_package_that_inherits_it() -> None:
    own = type("Own", (type(methods.create("sdp-plus")),), {"__doc__": "Learns by sigma.", "__module__": "elsewhere.x"})
    methods.register("own-plus")(own)
    assert not any(option.is_at_test for option in methods.find("own-plus").options)
    assert any(option.is_at_test for option in methods.find("sdp-plus").options)


def test_pieces_are_those_of_a_method_that_names_some(small, bench) -> None:
    trainees = bench(small.plan("stackclip", "sdp-plus")).of_seed(0).trained()
    assert [len(pieces_of(each)) for each in trainees] == [2, 0]
    assert torch.is_tensor(next(iter(trainees[0].working.state_dict().values())))
