"""Draws kept in rows, and the intervals and differences that follow: against draws that are pooled by hand."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stackclip.benchmarks.intervals import compare, draw_facts, has_draws, pooled_interval
from stackclip.benchmarks.runner import Outcome
from stackclip.metrics.evidence import Evidence, measure
from stackclip.metrics.uncertainty import draw_metrics, paired_differences
from stackclip.reports.document import Document
from stackclip.reports.table import summarise
from stackclip.reports.writers import written
from stackclip.reports.writers.terminal import rich_tables
from stackclip.studies.significance import Inference, compared
from stackclip.types import Row

PICTURES = {"cap": "0123456789abcdef" * 4, "nut": "fedcba9876543210" * 4}


def said(category: str, skill: float, seed: int = 0, count: int = 40) -> Evidence:
    """Picture scores; `category` makes the pictures."""
    draw = np.random.default_rng([*category.encode()])
    labels = np.arange(count) % 2
    noise = draw.normal(size=count) + 0.3 * np.random.default_rng(seed).normal(size=count)
    return Evidence(labels, (noise + skill * labels).astype(np.float32))


def row(method: str, category: str, skill: float, seed: int = 0, **more: Any) -> Row:
    found = said(category, skill, seed)
    values = {name: float(each[0]) for name, each in _whole(found).items()}
    facts = {**draw_facts(found, PICTURES[category]), **more}
    return Row(method, ("visa",), "mvtec", category, 0, seed, metrics=values, facts=facts)


def text_of(suffix: str, rows: list[Row], **view: Any) -> str:
    """The rows as the writer of a suffix writes them."""
    return written(Document(rows, **view), suffix)


def _whole(found: Evidence) -> dict[str, Any]:
    return measure(found, np.ones((1, len(found.labels))))


def drawn(category: str, skill: float, seed: int = 0) -> np.ndarray:
    """The AUROC of each draw, as it was before a row kept it."""
    return draw_metrics(said(category, skill, seed), seed=int(PICTURES[category][:16], 16))["image_AUROC"]


def ends(value: float, values: np.ndarray) -> list[float]:
    """The interval of a metric from its draws, written out: logit(value) -+ 1.96 standard errors of the logit."""
    value, reach = float(value), 1.959964 * np.std(values, ddof=1) / (value * (1 - value))
    odds = value / (1 - value)
    return [1 / (1 + np.exp(reach) / odds), 1 / (1 + np.exp(-reach) / odds)]


def test_a_row_keeps_its_draws_to_five_digits_and_its_intervals() -> None:
    found = row("a", "cap", 1.0)
    low, high = ends(found.metrics["image_AUROC"], drawn("cap", 1.0))
    assert found.facts["intervals"]["image_AUROC"] == pytest.approx([low, high])
    pooled = pooled_interval([found], "image_AUROC")
    assert pooled is not None
    assert [pooled.low, pooled.high] == pytest.approx([low, high], abs=1e-5)
    assert has_draws(found)
    json.dumps(dict(found.facts), allow_nan=False)
    assert len(json.dumps(dict(found.facts))) < 9000


def test_draws_that_lack_a_class_stay_lacking() -> None:
    few = Evidence(np.array([0, 0, 0, 1]), np.array([0.0, 1.0, 3.0, 2.0]))
    raw = draw_metrics(few, seed=int(PICTURES["cap"][:16], 16))["image_AUROC"]
    assert 0 < np.isnan(raw).sum() < 500
    kept = Row("a", (), "b", "cap", 0, 0, metrics={"image_AUROC": 0.7}, facts=draw_facts(few, PICTURES["cap"]))
    pooled = pooled_interval([kept], "image_AUROC")
    assert pooled is not None
    assert pooled.draws == np.isfinite(raw).sum()


def test_the_mean_over_categories_and_seeds_is_taken_draw_by_draw() -> None:
    rows = [row("a", category, 0.8, seed) for category in PICTURES for seed in (0, 1)]
    by_seed = [(drawn("cap", 0.8, seed) + drawn("nut", 0.8, seed)) / 2 for seed in (0, 1)]
    value = np.mean([each.metrics["image_AUROC"] for each in rows])
    low, high = ends(value, (by_seed[0] + by_seed[1]) / 2)
    pooled = pooled_interval(rows, "image_AUROC")
    assert pooled is not None
    assert [pooled.low, pooled.high] == pytest.approx([low, high], abs=1e-5)


def test_categories_are_drawn_apart() -> None:
    one, other = drawn("cap", 0.8), draw_metrics(said("cap", 0.8), seed=int(PICTURES["nut"][:16], 16))["image_AUROC"]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_rows_without_draws_make_no_interval() -> None:
    rows = [row("a", "cap", 0.8), replace(row("a", "nut", 0.8), facts={})]
    assert pooled_interval(rows, "image_AUROC") is None
    assert pooled_interval(rows[:1], "pixel_AP") is None
    [summary] = summarise(rows, inference=Inference())
    assert "[" not in summary.lines[0].cells[0].text


def test_rows_measured_apart_are_compared_as_if_side_by_side() -> None:
    rows = [row("a", "cap", 0.5), row("b", "cap", 1.0)]
    wanted = paired_differences(said("cap", 1.0), said("cap", 0.5), seed=int(PICTURES["cap"][:16], 16))
    for name in wanted:
        found = compare(rows, "b", "a", name)
        assert found is not None
        assert found.difference.value == pytest.approx(wanted[name].value)
        assert [found.difference.low, found.difference.high] == pytest.approx(
            [wanted[name].low, wanted[name].high], abs=2e-5
        )
        assert found.difference.p == pytest.approx(wanted[name].p, abs=0.01)


def test_a_method_does_not_differ_from_itself() -> None:
    rows = [row(method, category, 1.0) for method in "ab" for category in PICTURES]
    assert list(compared(rows, ["image_AUROC"], Inference())) == ["b - a: +0.0 [+0.0, +0.0] image AUROC, p = 1.00"]


def test_a_difference_is_of_the_cells_that_both_have_on_the_same_pictures() -> None:
    rows = [row("a", category, 0.5) for category in PICTURES] + [row("b", "cap", 1.0)]
    found = compare(rows, "b", "a", "image_AUROC")
    assert found is not None
    assert found.difference.value == pytest.approx(rows[2].metrics["image_AUROC"] - rows[0].metrics["image_AUROC"])
    assert "(1 of 2)" in found.text
    facts = {**rows[2].facts, "draws": {**rows[2].facts["draws"], "pictures": PICTURES["nut"]}}
    assert compare([*rows[:2], replace(rows[2], facts=facts)], "b", "a", "image_AUROC") is None


def test_differences_say_their_spread_over_seeds_and_how_likely_they_are() -> None:
    rows = [row(method, "cap", skill, seed) for method, skill in (("a", 0.2), ("b", 2.5)) for seed in (0, 1, 2)]
    [line] = compared(rows, ["image_AUROC"], Inference())
    by_seed = [rows[seed + 3].metrics["image_AUROC"] - rows[seed].metrics["image_AUROC"] for seed in range(3)]
    assert line.startswith(f"b - a: +{100 * np.mean(by_seed):.1f} ±{100 * np.std(by_seed):.1f} [+")
    assert line.endswith("image AUROC, p <= .002")


@pytest.fixture
def rows() -> list[Row]:
    return [row(method, category, skill) for method, skill in (("a", 0.5), ("b", 0.9)) for category in PICTURES]


def test_tables_show_intervals_when_asked_and_only_then(rows: list[Row]) -> None:
    [plain], [told] = summarise(rows), summarise(rows, inference=Inference())
    found = pooled_interval(rows[:2], "image_AUROC")
    assert found is not None
    assert plain.compared == ()
    text = plain.lines[0].cells[0].text
    assert told.lines[0].cells[0].text == f"{text} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    assert told.ranks(0, None) == plain.ranks(0, None)
    assert rich_tables([told])[0].row_count == 2
    assert told.compared == tuple(compared(rows, told.metrics, Inference()))


@pytest.mark.parametrize("suffix", [".md", ".tex"])
def test_written_tables_hold_intervals_and_differences(suffix: str, rows: list[Row]) -> None:
    [told] = summarise(rows, inference=Inference())
    text = text_of(suffix, rows, per_category=False, ci=True)
    ends = told.lines[0].cells[0].text.partition("[")[2]
    assert ends in text
    assert f"{'-' if suffix == '.md' else '%'} {told.compared[0]}\n" in text
    assert "b - a" not in text_of(suffix, rows, per_category=False)


def test_spreadsheets_hold_the_ends_of_each_interval_and_difference(rows: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(text_of(".csv", rows, per_category=False, ci=True))))
    assert [line["compared_to"] for line in lines] == ["", "", "a", "a"]
    found = compare([rows[0], rows[2]], "b", "a", "image_AP")
    assert found is not None
    assert float(lines[2]["image_AP_difference"]) == found.difference.value
    assert float(lines[2]["image_AP_p"]) == found.difference.p
    assert float(lines[2]["image_AP_low"]) == pytest.approx(rows[2].facts["intervals"]["image_AP"][0], abs=1e-5)
    assert lines[2]["pixel_AP_low"] == ""
    assert "compared_to" not in text_of(".csv", rows, per_category=False)


def test_json_lines_hold_intervals_and_differences_and_not_the_draws(rows: list[Row]) -> None:
    lines = [json.loads(line) for line in text_of(".jsonl", rows, per_category=False, ci=True).splitlines()]
    assert [list(line["facts"].get("paired", {})) for line in lines] == [[], [], ["a"], ["a"]]
    assert set(lines[2]["facts"]["paired"]["a"]["image_AUROC"]) == {"difference", "low", "high", "p"}
    for line, each in zip(lines, rows, strict=True):
        for name, (low, high) in each.facts["intervals"].items():
            assert line["facts"]["intervals"][name] == pytest.approx([low, high], abs=2e-5)
        assert "draws" not in line["facts"]


def test_a_perfect_figure_has_no_interval_and_a_note_says_why() -> None:
    perfect = [row("a", "cap", 9.0), row("a", "nut", 0.8)]
    assert perfect[0].metrics["image_AUROC"] == 1
    note = "100.0 or 0.0 in every draw has no interval"
    [over_pictures] = [each for each in Document(perfect, per_category=True, ci=True).notes if each.startswith(note)]
    assert over_pictures.endswith("it cannot tell how far from there others would lie")
    for view in ({"ci": False}, {"ci": True, "ci_over": "categories"}):
        assert not any(each.startswith(note) for each in Document(perfect, per_category=True, **view).notes)
    assert not any(each.startswith(note) for each in Document(perfect[1:], ci=True).notes)


def test_rows_that_keep_percentiles_have_the_intervals_of_their_draws(rows: list[Row]) -> None:
    old = [replace(each, facts={**each.facts, "intervals": {"image_AUROC": [0.1, 0.2]}}) for each in rows]
    assert text_of(".csv", old, ci=True) == text_of(".csv", rows, ci=True)
    assert text_of(".jsonl", old, ci=True) == text_of(".jsonl", rows, ci=True)


# In a bench


def told(outcome: Outcome) -> dict[tuple[str, str, int], Any]:
    """What rows say, but for the time it took."""
    timeless = ("train_seconds", "curve", "eval_every", "stability")
    return {
        (row.method, row.category, row.seed): (
            row.metrics,
            {name: fact for name, fact in row.facts.items() if name not in timeless},
        )
        for row in outcome.rows
    }


def test_rows_have_intervals_that_hold_their_metrics(small: Any, bench: Any) -> None:
    for found in bench(small.plan("precise", "clip", ci=True)).run().rows:
        intervals = found.facts["intervals"]
        assert set(intervals) <= set(found.metrics)
        assert ("image_AUROC" in intervals) == (0 < found.metrics["image_AUROC"] < 1)  # else no two draws differ
        assert "image_AUROC" in found.facts["draws"]["values"]
        assert ("pixel_AUPRO" in intervals) == ("pixel_AUPRO" in found.metrics)
        for name, (low, high) in intervals.items():
            assert low <= high
            assert low < found.metrics[name] < high


def test_methods_drawn_apart_or_together_and_in_a_stopped_bench_have_the_same_rows(small: Any, bench: Any) -> None:
    together = bench(small.plan("precise", "fuzzy", ci=True), "together").run()
    bench(small.plan("fuzzy"), "apart").run()
    bench(small.plan("precise", ci=True), "apart").run()
    resumed = bench(small.plan("precise", "fuzzy", ci=True), "apart").run()
    assert resumed.computed == 2
    assert told(resumed) == told(together)


def test_draws_are_added_without_training_and_change_no_figure(small: Any, bench: Any, monkeypatch: Any) -> None:
    before = bench(small.plan("precise", eval_every="epoch")).run()
    monkeypatch.setattr("stackclip.training.trainee.Trainee.learn", None)
    after = bench(small.plan("precise", ci=True)).run()
    assert after.computed == len(after.rows)
    assert [row.metrics for row in after.rows] == [row.metrics for row in before.rows]
    assert [row.facts["curve"] for row in after.rows] == [row.facts["curve"] for row in before.rows]
    assert bench(small.plan("precise", ci=True, eval_every="epoch")).run().computed == 0
    assert bench(small.plan("precise")).run().computed == 0


def test_streamed_metrics_have_the_same_draws(small: Any, bench: Any) -> None:
    exact, streamed = (
        bench(small.plan("precise", ci=True, metrics=form), form).run().rows for form in ("exact", "streamed")
    )
    assert [row.facts["draws"] for row in exact] == [row.facts["draws"] for row in streamed]


def test_curves_are_not_drawn(small: Any, bench: Any, monkeypatch: Any) -> None:
    calls: list[str] = []
    from stackclip.benchmarks import record

    def counted(found: Evidence, pictures: str) -> dict[str, Any]:
        calls.append(pictures)
        return draw_facts(found, pictures)

    monkeypatch.setattr(record, "draw_facts", counted)
    bench(small.plan("precise", ci=True, eval_every="epoch", epochs=2)).run()
    assert len(calls) == 2
