"""Facts of rows by name and type: what rows keep, and what is taken for granted where they keep nothing."""

from __future__ import annotations

from typing import Any

import pytest

from stackclip.benchmarks.facts import CurvePoint, Facts, Pictures, Reported, facts_of, found_at, reported_as
from stackclip.benchmarks.shapes import check_facts
from stackclip.types import Row


def row(**facts: Any) -> Row:
    return Row("clip", ("visa",), "mvtec", "bottle", 0, 0, facts=facts)


def test_a_row_without_facts_has_the_default_of_each() -> None:
    facts = facts_of(row())
    for name in Facts.checks():
        found = getattr(facts, name)
        assert found == getattr(facts_of(row(**{name: None})), name), name
    assert (facts.tower, facts.asked_epochs, facts.tested, facts.curve) == ("", None, Pictures("", ""), ())
    assert (facts.pretrained, facts.position_embedding, facts.positions_resized) == (None, None, False)


def test_facts_are_what_the_row_keeps() -> None:
    curve = [{"step": 2, "epoch": 1.0, "metrics": {"image_AP": 0.5}}, {"step": 4, "metrics": {}, "error": "no"}]
    kept = {
        "curve": curve,
        "eval_every": 2,
        "tested": {"content": "c", "place": "/p", "later": 1},
        "pixel_metrics": {"form": "streamed", "bounds": {"pixel_AP": 1e-6}},
        "recorded": {"pretrained": "openai", "positions_resized": True},
        "unknown": 3,
    }
    facts = facts_of(row(**kept))
    assert facts.curve == (CurvePoint(2, {"image_AP": 0.5}, 1.0), CurvePoint(4, {}, error="no"))
    assert facts.tested == Pictures("c", "/p")
    assert (facts.pixel_metrics.form, facts.pixel_metrics.bounds) == ("streamed", {"pixel_AP": 1e-6})
    assert (facts.pretrained, facts.positions_resized) == ("openai", True)
    assert facts.kept["unknown"] == 3
    check_facts(kept)


@pytest.mark.parametrize("name", sorted(set(Facts.checks()) - {"class_names", "fingerprint", "released_positions"}))
def test_every_fact_is_refused_where_it_is_something_else(name: str) -> None:
    with pytest.raises(ValueError, match=f"its '{name}' is not what it must be"):
        check_facts({name: {1.5}})


def test_a_row_is_told_where_it_was_found_and_how_often_its_pictures_changed() -> None:
    first = row(tested={"content": "c", "place": "/a"}, note="n")
    moved = found_at(first, "/b")
    assert facts_of(moved).tested == Pictures("c", "/b")
    assert facts_of(found_at(row(), "/b")).tested == Pictures("", "/b")
    assert reported_as(moved, Reported()) == moved
    said = reported_as(moved, Reported(earlier=2))
    assert said.facts["reported"] == {"earlier": 2}
    assert (facts_of(said).reported, facts_of(said).note) == (Reported(2, 0), "n")
    assert facts_of(first).tested.place == "/a"
