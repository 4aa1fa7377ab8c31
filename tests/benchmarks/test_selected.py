"""What a row says of a choice comes back from JSON as it was, and what could not be told is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import row_from_json, row_to_json
from stackclip.benchmarks.selected import ScoredPoint, Selected
from stackclip.types import Row

POINTS = (ScoredPoint("m[a=1]", 1, 0.4, 0.1), ScoredPoint("m[a=1]", 2, 0.5, None), ScoredPoint("m[a=2]", why_not="no"))
CHOICE = Selected("m[a=1]", "leave-category-out", "pixel_AP", "best", 3, 12, POINTS, epoch=2, stop_after=2, left_out=1)


def row(selected: Any) -> dict[str, Any]:
    made = Row("m[a=1|2]", ("visa",), "mvtec", "bottle", 0, 3, facts={"selected": selected})
    found: dict[str, Any] = json.loads(json.dumps(row_to_json(made)))
    return found


def test_a_choice_comes_back_as_it_was() -> None:
    assert facts_of(row_from_json(row(asdict(CHOICE)))).selected == CHOICE
    assert CHOICE.point is POINTS[1]
    plain = replace(CHOICE, epoch=None, stop_after=None, points=(ScoredPoint("m[a=1]", None, 0.4),))
    said = {name: value for name, value in asdict(plain).items() if value is not None}
    assert facts_of(row_from_json(row(said))).selected == plain
    assert facts_of(Row("m", (), "t", "c", 0, 0)).selected is None


@pytest.mark.parametrize(
    "changed",
    [
        {"spec": "m[a=3]"},  # none of the points
        {"spec": "m[a=2]", "epoch": None},  # one that could not be compared
        {"epoch": 3},
        {"metric": 3},
        {"folds": -1},
        {"points": []},
        {"points": [{"epoch": 1}]},
        {"points": [{"spec": "m[a=1]", "epoch": 2, "mean": 7.0}]},
        {"seed": None},
    ],
)
def test_what_is_no_choice_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'selected' is not what it must be"):
        row_from_json(row(asdict(CHOICE) | changed))


@pytest.mark.parametrize("field", ["spec", "scheme", "metric", "rule", "seed", "folds", "points"])
def test_a_choice_says_all_that_notes_tell(field: str) -> None:
    found = asdict(CHOICE)
    del found[field]
    with pytest.raises(ValueError, match="selected"):
        row_from_json(row(found))
