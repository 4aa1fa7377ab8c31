"""One scan serves all methods, and no method's figures depend on the others, their order, or an interruption."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from stackclip.benchmarks.runner import Bench, Outcome
from stackclip.benchmarks.seeds import Share
from stackclip.cache import Store
from stackclip.clip.recipe import LiveTraining
from stackclip.errors import CategoryOverlap, StackclipError, UsageError
from stackclip.heads import load_head
from stackclip.methods import Detector, Moment, Stage
from stackclip.metrics import PIXEL_METRICS
from stackclip.registry import methods
from stackclip.reports.notes import notes
from stackclip.reports.table import summarise
from stackclip.training.sources import FeatureReader
from stackclip.types import CLS, MASK, NORMAL, Features, Prediction, Row, patch

PROMPTED = ("stacked", "fuzzy", "precise", "april-gan")


class Plain(Detector):
    """A method and detector in one: scores and maps from the class token, one number learned."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def needs(self, tower: object, phase: str) -> frozenset[object]:
        return frozenset({CLS})

    def check(self, tower: object) -> None: ...

    def begin(self, task: object) -> Plain:
        return self

    def step(self, features: Features, at: Moment) -> dict[str, float]:
        return {"loss": 1.0}

    def predict(self, features: Features) -> Prediction:
        scores = features[CLS][:, 0]
        return Prediction(scores, scores[:, None, None].expand(-1, 56, 56) + torch.arange(56.0))


def _trains(step: Callable[[Features], dict[str, float]]) -> type[Plain]:
    return type(
        "Trains", (Plain,), {"stages": (Stage("all", 1, 8),), "step": lambda self, features, at: step(features)}
    )


def _fails(error: BaseException) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


BROKEN: dict[str, tuple[type[Plain], str]] = {
    "gives-nan": (
        type("N", (Plain,), {"predict": lambda self, f: Prediction(f[CLS][:, 0] * math.nan, None)}),
        "NaN or infinity for synthetic-combinations/",
    ),
    "raises": (
        type("R", (Plain,), {"predict": _fails(ValueError("two\nlines"))}),
        "ValueError: two lines",
    ),
    "leaves": (type("L", (Plain,), {"predict": lambda self, f: sys.exit(5)}), "it ends the program (SystemExit 5)"),
    "cannot-begin": (type("B", (Plain,), {"begin": _fails(RuntimeError("no licence"))}), "RuntimeError: no licence"),
    "cannot-step": (_trains(_fails(RuntimeError("step"))), "RuntimeError: step"),
    "diverges": (_trains(lambda features: {"loss": math.inf}), "loss is inf in epoch 1 of training"),
    "wrong-shape": (
        type("W", (Plain,), {"predict": lambda self, f: Prediction(f[CLS], None)}),
        "scores of shape (3, 96) came for 3 pictures, wanted (3,)",
    ),
    "asks-too-much": (
        type("A", (Plain,), {"needs": lambda self, tower, phase: frozenset({patch(99)})}),
        "random-vit-8 has no part patch/99: it gives cls, patch/1 to patch/8",
    ),
    "undeclared": (
        type("U", (Plain,), {"predict": lambda self, f: Prediction(f[Undeclared], None)}),
        "the batch lacks vv/3",
    ),
    "unspeakable": (type("F", (Plain,), {"facts": {"x": object()}}), "TypeError: Object of type object is not JSON"),
    "unsaveable": (
        type("S", (Plain,), {"stages": (Stage("all", 1, 8),), "state_dict": _fails(RuntimeError("no state"))}),
        "RuntimeError: no state",
    ),
    "wants-shots": (
        type("H", (Plain,), {"begin": _fails(StackclipError("it needs shots: say --shots 1"))}),
        "it needs shots: say --shots 1",
    ),
}
Undeclared = type(CLS)("vv", 3)


@pytest.fixture
def broken() -> tuple[str, ...]:
    """Methods that fail in every way there is, on the shelf for one test."""
    for name, (method, _) in BROKEN.items():
        methods.register(name)(type(name, (method,), {"__doc__": "Fails."}))
    return tuple(BROKEN)


def figures(outcome: Outcome, *names: str) -> dict[tuple[str, str, int], tuple[object, object]]:
    """Everything in the rows of some methods that must not depend on circumstances."""
    return {
        (row.method, row.category, row.seed): (row.metrics, {**row.facts, "train_seconds": 0})
        for row in outcome.rows
        if row.method in (names or {row.method})
    }


def test_methods_benched_together_give_the_rows_they_give_alone(small, bench) -> None:
    together = bench(small.plan(*PROMPTED, seeds=(0, 1)), "together").run()
    assert not any(row.error for row in together.rows)
    assert len(together.rows) == together.computed == len(PROMPTED) * 2 * 2
    for name in PROMPTED:
        alone = bench(small.plan(name, seeds=(0, 1)), f"alone-{name}", alone=True).run()
        assert figures(alone) == figures(together, name)


def test_the_order_of_methods_and_seeds_changes_nothing_but_the_order_of_rows(small, bench) -> None:
    forwards = bench(small.plan("fuzzy", "clip", "stackclip", seeds=(0, 1)), "forwards").run()
    backwards = bench(small.plan("stackclip", "clip", "fuzzy", seeds=(1, 0)), "backwards").run()
    assert figures(forwards) == figures(backwards)
    assert [row.method for row in backwards.rows[:2]] == ["stackclip"] * 2


def test_methods_that_fail_in_every_way_leave_the_others_alone(small, bench, broken) -> None:
    beside = bench(small.plan("fuzzy", *broken, "april-gan"), "beside").run()
    alone = bench(small.plan("fuzzy", "april-gan"), "alone").run()
    assert figures(beside, "fuzzy", "april-gan") == figures(alone)


@pytest.mark.parametrize("name", BROKEN)
def test_a_method_that_fails_has_rows_with_the_reason_in_one_line(name: str, small, bench, broken) -> None:
    rows = bench(small.plan(name)).run().rows
    assert [row.category for row in rows] == list(small.tested.categories)
    for row in rows:
        assert BROKEN[name][1] in row.error
        assert "\n" not in row.error
        assert row.metrics == row.undefined == {}


def test_a_failed_cell_is_not_kept_and_tried_again(small, bench, broken) -> None:
    plan = small.plan("clip", "raises")
    first, second = bench(plan), bench(plan)
    assert first.run().computed == 4
    assert [row.method for row in first.rows] == ["clip"] * 2
    outcome = second.run()
    assert outcome.computed == 2
    assert [bool(row.error) for row in outcome.rows] == [False, False, True, True]


def test_with_fail_fast_the_first_failure_ends_the_bench_in_one_line(small, bench, broken) -> None:
    for name in BROKEN:
        with pytest.raises(StackclipError) as caught:
            bench(small.plan(name, fail_fast=True)).run()
        assert BROKEN[name][1] in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_second_run_computes_nothing_and_reads_no_feature(small, bench, monkeypatch) -> None:
    plan = small.plan("stacked", "clip")
    first = bench(plan).run()
    monkeypatch.setattr(Store, "batch", _fails(AssertionError("read")))
    second = bench(plan).run()
    assert (second.computed, second.rows) == (0, first.rows)


def test_one_scan_of_the_store_serves_all_methods(small, bench, monkeypatch) -> None:
    scans: list[int] = []
    batches = FeatureReader.batches

    def counted(self: FeatureReader, samples: object, parts: object, **words: object) -> Iterator[object]:
        scans.append(len(samples))  # type: ignore[arg-type]
        return batches(self, samples, parts, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureReader, "batches", counted)
    bench(small.plan("precise"), "one").run()
    for_one, scans[:] = list(scans), []
    bench(small.plan(*PROMPTED, "stackclip", "clip"), "six").run()
    assert scans == for_one == [8, 4, 4]  # one epoch over the training pictures, one scan of each tested category


def test_a_method_with_fewer_epochs_steps_aside_while_others_learn_on(small, bench) -> None:
    methods_ = ("fuzzy[epochs=1]", "fuzzy[epochs=3]")
    together = bench(small.plan(*methods_, epochs=None), "together").run()
    for name in methods_:
        assert figures(together, name) == figures(bench(small.plan(name, epochs=None), name).run())
    assert [len(row.facts["losses"]) for row in together.rows] == [1, 1, 3, 3]


def test_an_interrupted_bench_goes_on_to_the_rows_of_an_uninterrupted_one(small, bench) -> None:
    plan = small.plan("stacked", "april-gan", seeds=(0, 1), epochs=2)
    whole = bench(plan, "whole").run()
    for stop_at in (2, 5, 8, 10, 13, 19):  # in training, in test, between seeds
        calls = 0

        def progress(stage: str, done: int, total: int) -> None:
            nonlocal calls
            calls += 1
            if calls == stop_at:  # noqa: B023 - called in this turn only
                raise KeyboardInterrupt

        place = f"stopped-{stop_at}"
        with pytest.raises(KeyboardInterrupt):
            bench(plan, place, progress=progress).run()
        assert figures(bench(plan, place).run()) == figures(whole)


def test_what_was_trained_is_not_trained_again_for_another_test_set(small, bench, monkeypatch) -> None:
    category = small.tested.categories[0]
    bench(small.plan("fuzzy", test_on=(small.tested.select(categories=[category]),))).run()
    monkeypatch.setattr("stackclip.methods.PromptedDetector.step", _fails(AssertionError("trained again")))
    outcome = bench(small.plan("fuzzy")).run()
    assert outcome.computed == 1
    assert not any(row.error for row in outcome.rows)
    assert all(row.facts["losses"] for row in outcome.rows)


def test_overwrite_always_computes_all_anew_and_never_computes_none(small, bench) -> None:
    plan = small.plan("clip")
    assert {row.error for row in bench(plan, overwrite="never").run().rows} == {"not computed yet"}
    first = bench(plan).run()
    assert bench(plan, overwrite="never").run().rows == first.rows
    again = bench(plan, overwrite="always").run()
    assert again.computed == 2
    assert figures(again) == figures(first)


def test_a_damaged_head_is_trained_again(small, bench, caplog) -> None:
    logging.getLogger("stackclip").propagate = True
    plan = small.plan("fuzzy")
    first = bench(plan)
    whole = first.run()
    [head] = first.heads.iterdir()
    assert load_head(head, fingerprint=small.store.digest).facts["method"] == "fuzzy"
    head.write_bytes(head.read_bytes()[:-40])
    for path in first.rows.folder.iterdir():
        path.unlink()
    assert figures(bench(plan).run()) == figures(whole)
    assert "it is trained again" in caplog.text


def test_heads_in_bf16_are_other_cells_and_a_cpu_that_is_slower_so_is_named(
    small, bench, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("stackclip").propagate = True
    plan, found = small.plan("fuzzy"), {}
    monkeypatch.setattr("stackclip.benchmarks.runner.bf16_share", lambda: 3.0)
    for precision in ("fp32", "bf16"):
        assert "as long as in fp32" not in caplog.text
        outcome = bench(plan, live=LiveTraining(precision=precision)).run()
        assert outcome.computed == len(outcome.rows)
        found[precision] = outcome.rows
    assert "a matrix product in bf16 takes 3.0 times as long as in fp32 on this CPU" in caplog.text
    one, other = (rows[0].facts for rows in found.values())
    assert (one.get("live_precision"), other["live_precision"]) == (None, "bf16")
    assert one["losses"] != other["losses"]
    assert other["losses"][0]["loss"] == pytest.approx(one["losses"][0]["loss"], rel=1e-3)


def test_a_row_says_what_a_reader_needs_to_trust_it(small, bench) -> None:
    row = bench(small.plan("stacked")).run().rows[0]
    assert row.train_on == ("synthetic-training",)
    assert row.facts["features"] == small.store.digest
    assert row.facts["fingerprint"] == json.loads(json.dumps(small.tower.fingerprint))
    assert (row.facts["trained_pictures"], row.facts["tested_pictures"]) == (8, 4)
    assert (row.facts["epochs"], row.facts["batch_size"], len(row.facts["losses"])) == (1, 3, 1)
    for fact in ("note", "text", "recorded", "stackclip", "mask_rule", "aupro", "class_names", "head", "selector"):
        assert row.facts[fact]
    assert row.facts["scores"]
    assert [len(stack) for stack in row.facts["stacks"]]


def test_anything_that_changes_the_figures_makes_another_cell(small, bench) -> None:
    plan = small.plan("fuzzy")
    bench(plan).run()
    fewer = replace(small.training, samples=small.training.samples[:-1])
    for change in (
        {"epochs": 2},
        {"batch_size": 4},
        {"seeds": (1,)},
        {"class_names": "raw"},
        {"train_on": (fewer,)},
        {"methods": ("fuzzy[lr=0.01]",)},
    ):
        assert bench(replace(plan, **change)).run().computed == 2, change


def test_fewer_tested_pictures_make_another_cell_of_their_category_alone(small, bench) -> None:
    bench(small.plan("clip")).run()
    fewer = replace(small.tested, samples=small.tested.samples[:-1])
    assert bench(small.plan("clip", test_on=(fewer,))).run().computed == 1


def test_a_method_whose_code_changed_is_measured_again(small, bench, tmp_path: Path) -> None:
    from stackclip.registry import use_workspace

    (tmp_path / "registry").mkdir()
    strategy = tmp_path / "registry" / "word.py"
    code = """
from stackclip.registry import prompts
@prompts.register("word")
class Word:
    \"\"\"Every category is one word.\"\"\"
    def stacks(self, categories, encode): return (tuple(categories),)
    def subject(self, category, group, *, seen): return "thing"
"""
    strategy.write_text(code)
    use_workspace(strategy.parent)
    before = bench(small.plan("word")).run()
    assert bench(small.plan("word")).run().computed == 0
    strategy.write_text(code.replace("thing", "broken bottle"))
    use_workspace(strategy.parent)
    after = bench(small.plan("word")).run()
    assert after.computed == 2
    assert [row.metrics for row in after.rows] != [row.metrics for row in before.rows]


def test_shots_are_shown_and_recorded_and_others_say_why_not(small, bench) -> None:
    outcome = bench(small.plan("april-gan", "stacked", seeds=(0, 1), shots=2), "few").run()
    zero = bench(small.plan("april-gan", seeds=(0, 1)), "zero").run()
    few = [row for row in outcome.rows if row.method == "april-gan"]
    train = {sample.id: sample for sample in small.tested.select(split="train").samples}
    for row in few:
        drawn = row.facts["shots_drawn"]
        assert len(set(drawn)) == row.shots == 2
        assert {(train[name].category, train[name].label) for name in drawn} == {(row.category, NORMAL)}
    assert [row.metrics for row in few] != [row.metrics for row in zero.rows]
    assert {row.error for row in outcome.rows if row.method == "stacked"} == {
        "it is zero-shot and learns nothing from 2 shots; april-gan takes them"
    }
    assert figures(bench(small.plan("april-gan", seeds=(1, 0), shots=2), "again").run()) == figures(
        outcome, "april-gan"
    )


def test_other_training_pictures_to_draw_shots_from_make_another_cell(small, bench) -> None:
    bench(small.plan("april-gan", shots=1)).run()
    tested = small.tested
    shown = bench(small.plan("april-gan", shots=1)).run().rows[0].facts["shots_drawn"]
    others = replace(tested, samples=tuple(sample for sample in tested.samples if sample.id not in shown))
    assert bench(small.plan("april-gan", shots=1, test_on=(others,))).run().computed == 1


def test_pictures_that_the_store_lacks_are_left_out_and_named(small, bench, tmp_path: Path) -> None:
    test = small.tested.select(split="test")
    absent = replace(test.samples[0], id="lost.png", image=tmp_path / "lost.png")
    lone = replace(absent, category="lonely", id="lonely.png")
    tested = replace(test, samples=(*test.samples, absent, lone))
    rows = bench(small.plan("clip", test_on=(tested,))).run().rows
    assert [row.facts["tested_left_out"] for row in rows] == [["lost.png"], [], ["lonely.png"]]
    assert rows[0].facts["why_left_out"] == {absent.dataset: {"lost.png": "not encoded"}}
    assert [row.error for row in rows] == ["", "", "none of the pictures could be used"]
    whole = bench(small.plan("clip"), "whole").run().rows
    assert rows[0].metrics == whole[0].metrics


def test_a_defect_without_a_mask_is_not_trained_on(small, bench) -> None:
    samples = small.training.select(split="test").samples
    unmasked = replace(next(sample for sample in samples if sample.label), mask=None)
    training = replace(small.training, samples=tuple(unmasked if s.id == unmasked.id else s for s in samples))
    [row, *_] = bench(small.plan("fuzzy", train_on=(training,))).run().rows
    assert row.facts["trained_left_out"] == [unmasked.id]
    assert row.facts["why_left_out"] == {unmasked.dataset: {unmasked.id: "no mask to learn from"}}
    assert row.facts["trained_pictures"] == 7


def test_a_tested_picture_with_a_broken_mask_keeps_its_image_score(small, bench, tmp_path: Path) -> None:
    test = small.tested.select(split="test")
    broken = next(sample for sample in test.samples if sample.label)
    (tmp_path / "mask.png").write_bytes(b"no mask")
    changed = replace(broken, mask=tmp_path / "mask.png")
    tested = replace(test, samples=tuple(changed if s == broken else s for s in test.samples))
    fewer = replace(test, samples=tuple(s for s in test.samples if s != broken))
    rows = bench(small.plan("precise", test_on=(tested,), ci=True)).run().rows
    whole = bench(small.plan("precise"), "whole").run().rows
    without = bench(small.plan("precise", test_on=(fewer,)), "without").run().rows
    for name, value in rows[0].metrics.items():
        assert value == (whole if name.startswith("image") else without)[0].metrics[name]
    assert rows[1].metrics == whole[1].metrics
    assert rows[0].facts["tested_without_mask"] == [broken.id]
    assert rows[0].facts["why_without_mask"] == {broken.dataset: {broken.id: "mask cannot be used"}}
    assert (rows[0].facts["tested_left_out"], rows[0].facts["tested_pictures"]) == ([], 4)
    [said] = [line for line in notes(rows) if "mask cannot" in line]
    assert said == f"left out of the pixel metrics of {broken.dataset} (1): {broken.id}: mask cannot be used"


def test_a_broken_mask_is_not_trained_on(small, bench, tmp_path: Path) -> None:
    samples = small.training.select(split="test").samples
    broken = replace(next(sample for sample in samples if sample.label), mask=tmp_path / "lost.png")
    training = replace(small.training, samples=tuple(broken if s.id == broken.id else s for s in samples))
    [row, *_] = bench(small.plan("fuzzy", train_on=(training,))).run().rows
    assert row.facts["why_left_out"] == {broken.dataset: {broken.id: "mask cannot be used"}}


def test_methods_that_train_say_so_where_there_is_nothing_to_train_on(small, bench) -> None:
    empty = replace(small.training, samples=())
    rows = bench(small.plan("fuzzy", "clip", train_on=(empty,))).run().rows
    assert [row.error for row in rows] == ["there is no picture to train on"] * 2 + [""] * 2


def test_overlap_is_refused_before_anything_is_read(small, bench, monkeypatch) -> None:
    monkeypatch.setattr(Store, "batch", _fails(AssertionError("read")))
    with pytest.raises(CategoryOverlap):
        bench(small.plan("clip", test_on=(small.training,))).run()


def test_a_damaged_segment_costs_the_cells_that_read_it_and_no_others(small, bench, tmp_path: Path) -> None:
    from stackclip.cache import extract

    parts = {CLS, MASK, *small.tower.spec.taps}
    spec, tower = small.tower.spec, small.tower
    store = Store.create(tmp_path / "features", tower.fingerprint, spec=spec, recorded={})
    first, second = (small.tested.select(categories=[category]) for category in small.tested.categories)
    for dataset in (small.training, first, second):  # a segment each
        extract(store, tower, dataset.samples, parts)
    segment = sorted((store.folder / "segments").glob("*.h5"))[1]
    content = bytearray(segment.read_bytes())
    content[-30_000] ^= 1
    segment.write_bytes(content)
    run = replace(bench(small.plan("fuzzy", "clip")), store=Store.open(store.folder))
    rows = {(row.method, row.category): row for row in run.run().rows}
    damaged, sound = small.tested.categories
    assert segment.name in rows["fuzzy", damaged].error
    assert "stackclip repair" in rows["fuzzy", damaged].error
    whole = bench(small.plan("fuzzy", "clip"), "whole").run()
    assert rows["fuzzy", sound].metrics == whole.rows[1].metrics


def test_a_method_without_maps_has_reasons_instead_of_pixel_metrics(small, bench) -> None:
    for row in bench(small.plan("clip")).run().rows:
        assert set(row.undefined) == set(PIXEL_METRICS)
        assert all(why.startswith("no map: ") for why in row.undefined.values())


def test_the_seeds_are_run_in_their_order(small, bench) -> None:
    rows: list[Row] = bench(small.plan("clip", seeds=(2, 0, 1))).run().rows
    assert [row.seed for row in rows] == [2, 2, 0, 0, 1, 1]


def test_a_seed_in_shares_gives_the_rows_of_the_whole(small, bench) -> None:
    plan = small.plan("fuzzy", "precise", "clip", seeds=(3,))
    whole = bench(plan, "whole").run().rows
    parts = bench(plan, "parts")
    assert parts.lacking() == {(row.method, row.test_on, row.category, 3) for row in whole}
    learn = Share(frozenset({"fuzzy", "precise"}), learn_only=True)
    assert parts.of_seed(3).run(learn) == ([], 0)
    heads = {path: path.stat().st_mtime_ns for path in parts.heads.iterdir()}
    found = []
    for category in small.tested.categories:
        one = bench(plan, "parts", alone=True).of_seed(3)  # as another process would
        rows, computed = one.run(Share(None, frozenset({(small.tested.name, category)}), taught=True))
        assert computed == len(rows) == 3
        found += rows
    assert {path: path.stat().st_mtime_ns for path in parts.heads.iterdir()} == heads  # learned once
    assert parts.lacking() == frozenset()
    digits = [{(row.method, row.category): row.metrics for row in rows} for rows in (found, whole)]
    assert digits[0] == digits[1]
    assert bench(plan, "parts").run().computed == 0


def test_what_is_to_be_computed_anew_is_taught_by_its_own_share_and_by_no_other(small, bench) -> None:
    plan = small.plan("fuzzy")
    bench(plan).run()
    anew = bench(plan, overwrite="always")
    [head] = anew.heads.glob("*.safetensors")
    before = head.stat().st_mtime_ns
    rows, computed = anew.of_seed(0).run(Share(taught=True))
    assert (computed, head.stat().st_mtime_ns) == (len(rows), before)
    anew.of_seed(0).run(Share(learn_only=True))
    assert head.stat().st_mtime_ns > before


def test_cells_that_failed_elsewhere_are_not_tried_again(small, bench) -> None:
    first, second = small.tested.categories
    alone = bench(small.plan("fuzzy", "clip")).run().rows
    known = replace(alone[0], metrics={}, error="it broke there")
    failed = {
        ("fuzzy", small.tested.name, first, 0): known,
        ("clip", small.tested.name, second, 0): "a process died",
    }
    outcome = bench(small.plan("fuzzy", "clip"), "elsewhere", failed=failed).run()
    assert outcome.computed == 2
    assert outcome.rows[0] is known
    assert [row.error for row in outcome.rows] == ["it broke there", "", "", "a process died"]
    assert [row.metrics for row in outcome.rows[1:3]] == [row.metrics for row in alone[1:3]]


def test_progress_tells_how_far_training_and_test_are(small, bench) -> None:
    told: list[tuple[str, int, int]] = []
    bench(small.plan("fuzzy", epochs=2), progress=lambda *words: told.append(words)).run()
    assert told[5] == ("train, seed 0", 16, 16)
    assert told[-1] == (f"test synthetic-combinations {small.tested.categories[-1]}, seed 0", 4, 4)
    assert isinstance(bench(small.plan("fuzzy")), Bench)


def test_methods_are_shown_their_own_shots_and_training_does_not_see_them(small, bench) -> None:
    few, more, asked = "april-gan[epochs=1,shots=1]", "april-gan[epochs=1,shots=2]", "april-gan[epochs=1]"
    run = bench(small.plan(few, more, asked, shots=2))
    outcome = run.run()
    assert [row.error for row in outcome.rows if row.error] == []
    by_method = {name: [row for row in outcome.rows if row.method == name] for name in (few, more, asked)}
    for row in outcome.rows:
        assert row.shots == len(set(row.facts["shots_drawn"])) == (1 if row.method == few else 2)
    for ours, theirs in zip(by_method[more], by_method[asked], strict=True):
        assert ours.facts["shots_drawn"] == theirs.facts["shots_drawn"]
        assert ours.metrics == theirs.metrics
    for ours, theirs in zip(by_method[few], by_method[more], strict=True):
        assert ours.facts["losses"] == theirs.facts["losses"]
        assert ours.metrics != theirs.metrics
    assert len(list(run.heads.glob("*.safetensors"))) == 1  # learned once for all three


def test_few_training_pictures_teach_others_rows_and_all_seeds_draw_their_own(small, bench) -> None:
    all_rows = bench(small.plan("precise", seeds=(0, 1))).run().rows
    few = bench(small.plan("precise", seeds=(0, 1), train_shots=2)).run()
    assert not [row.error for row in few.rows if row.error]
    assert few.computed == len(few.rows) == len(all_rows)  # none is taken for a row of all pictures
    assert {row.facts["train_shots"] for row in few.rows} == {2}
    assert not any("train_shots" in row.facts for row in all_rows)
    trained = {row.seed: row.facts["trained"]["content"] for row in few.rows}
    assert len({*trained.values()}) == 2
    (table,) = summarise(few.rows)
    assert table.seeds == (0, 1)
    assert {row.facts["protocol"] for row in few.rows}.isdisjoint(row.facts["protocol"] for row in all_rows)
    assert few.rows[0].metrics != all_rows[0].metrics


def test_listed_training_pictures_teach_rows_of_their_own(small, bench, tmp_path) -> None:
    samples = small.training.select(split="test").samples
    chosen = [next(s for s in samples if s.label == label) for label in (0, 1)]
    for number, some in enumerate((chosen, chosen[::-1], samples)):
        lines = [json.dumps({"image_path": f"far/away/{s.id}", "label": s.label}) for s in some]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines))
    every = bench(small.plan("precise")).run().rows
    few, again, all_listed = (
        bench(small.plan("precise", train_list=tmp_path / f"{number}.jsonl")).run() for number in range(3)
    )
    assert few.computed == len(few.rows) == len(every)
    assert [row.facts["trained_pictures"] for row in few.rows] == [2] * len(every)
    assert again.computed == 0  # the same pictures in another file, in another order
    assert all_listed.rows[0].metrics == every[0].metrics != few.rows[0].metrics
    one, other = summarise([*every, *few.rows])
    assert "trained on 2 listed pictures" in one.protocol + other.protocol
    assert one.train_on == other.train_on == small.training.name


def test_training_pictures_are_drawn_or_listed(small, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"drawn \(--train-shots\) or listed \(--train-list\), not both: say one"):
        small.plan("precise", train_list=tmp_path / "x.jsonl", train_shots=2)
