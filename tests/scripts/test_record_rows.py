"""Two records are told apart to the byte, but for what no two runs share."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.record_rows import differences, steady

ROW = {"run": "plain", "method": "fuzzy", "test_on": "toy", "category": "nut", "seed": 0, "metrics": {"image_AP": 0.5}}


def lines(*rows: object) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in rows]


def test_what_a_run_took_and_where_it_was_are_left_out() -> None:
    row = {**ROW, "seconds": 1.5, "facts": {"train_seconds": 2, "stackclip": "1", "places": ["/here/a", "/there/b"]}}
    assert steady(row, Path("/here"), Path("/there")) == {**ROW, "facts": {"places": ["./a", "./b"]}}


def test_equal_records_differ_in_nothing() -> None:
    assert [*differences(lines(ROW), lines(dict(reversed(ROW.items()))))] == []


def test_a_row_that_is_new_gone_or_has_another_digit_is_named() -> None:
    other, moved = {**ROW, "metrics": {"image_AP": 0.5000000001}}, {**ROW, "seed": 1}
    [said] = differences(lines(other), lines(ROW))
    assert said.endswith("metrics.image_AP is 0.5000000001, was 0.5")
    assert [line.rpartition(": ")[2] for line in differences(lines(moved), lines(ROW))] == ["is gone", "is new"]
