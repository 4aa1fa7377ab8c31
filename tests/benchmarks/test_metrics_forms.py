"""The form of the pixel metrics is chosen by size or by name; a row says which it was and how sure its values are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stackclip.benchmarks import testing
from stackclip.benchmarks.runner import Bench
from stackclip.errors import UsageError
from stackclip.metrics import (
    EXACT_UP_TO,
    PIXEL_METRICS,
    TOLERANCE,
    Measured,
    PixelMetrics,
    StreamedPixelMetrics,
    choose_form,
    pixel_metrics,
)


def test_auto_is_exact_as_long_as_all_scores_fit() -> None:
    assert choose_form("auto", EXACT_UP_TO) == "exact"
    assert choose_form("auto", EXACT_UP_TO + 1) == "streamed"


def test_a_form_that_is_asked_for_is_taken_at_any_size() -> None:
    assert isinstance(pixel_metrics(choose_form("streamed", 1)), StreamedPixelMetrics)
    assert isinstance(pixel_metrics(choose_form("exact", 10 * EXACT_UP_TO)), PixelMetrics)


def test_an_unknown_form_is_refused(small: Any) -> None:
    with pytest.raises(UsageError, match="choose auto, exact, streamed"):
        small.plan("clip", metrics="fast")


def test_how_values_were_found_is_json() -> None:
    assert Measured({}, {}).how == {"form": "exact"}
    streamed = Measured({}, {}, "streamed", {"pixel_AP": 1e-6, "pixel_AUROC": 2e-7})
    assert streamed.bound == 1e-6
    assert streamed.how == {"form": "streamed", "bounds": {"pixel_AP": 1e-6, "pixel_AUROC": 2e-7}}
    json.dumps(Measured({}, {}, refused=float("inf")).how, allow_nan=False)


def test_streamed_rows_are_within_their_bounds_of_the_exact_ones(small: Any, bench: Callable[..., Bench]) -> None:
    exact = bench(small.plan("fuzzy", "april-gan")).run()
    streamed = bench(small.plan("fuzzy", "april-gan", metrics="streamed")).run()
    assert streamed.computed == len(streamed.rows)  # rows of another form are other rows
    for row, wanted in zip(streamed.rows, exact.rows, strict=True):
        assert wanted.facts["pixel_metrics"] == {"form": "exact"}
        how = row.facts["pixel_metrics"]
        assert how["form"] == "streamed"
        assert max(how["bounds"].values()) <= TOLERANCE
        for name, value in wanted.metrics.items():
            assert abs(row.metrics[name] - value) <= how["bounds"].get(name, 0), name


def test_asking_for_what_auto_chooses_computes_nothing_again(small: Any, bench: Callable[..., Bench]) -> None:
    bench(small.plan("fuzzy")).run()
    assert bench(small.plan("fuzzy", metrics="exact")).run().computed == 0
    bench(small.plan("fuzzy", metrics="streamed")).run()
    assert bench(small.plan("fuzzy", metrics="streamed")).run().computed == 0


def test_a_bound_beyond_the_tolerance_is_answered_by_the_exact_form(
    small: Any, bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = bench(small.plan("fuzzy", "clip")).run()
    monkeypatch.setattr(testing, "TOLERANCE", -1.0)
    found = bench(small.plan("fuzzy", "clip", metrics="streamed")).run()
    for row, exact in zip(found.rows, wanted.rows, strict=True):
        assert row.metrics == exact.metrics
        assert row.undefined == exact.undefined
        assert row.facts["pixel_metrics"]["form"] == "exact"
        assert row.facts["pixel_metrics"]["refused_streamed_bound"] <= TOLERANCE
    assert set(PIXEL_METRICS[:4]) <= set(found.rows[0].metrics)
