"""Grids in a name: what they stand for, and how their points differ."""

from __future__ import annotations

import pytest

from stackclip.errors import UsageError
from stackclip.registry import LARGEST, axes_of, flat_options, points_of, spread_out


def test_a_grid_is_each_choice_of_values_the_last_option_first() -> None:
    assert points_of("stacked[clusters=1|2,head=linear|efa[temperature=1|10]]") == (
        "stacked[clusters=1,head=linear]",
        "stacked[clusters=1,head=efa[temperature=1]]",
        "stacked[clusters=1,head=efa[temperature=10]]",
        "stacked[clusters=2,head=linear]",
        "stacked[clusters=2,head=efa[temperature=1]]",
        "stacked[clusters=2,head=efa[temperature=10]]",
    )


@pytest.mark.parametrize(
    "text", ["stacked", "stacked[clusters=2]", "stacked[head=efa[temperature=1]]", " stacked ", "a["]
)
def test_a_name_without_alternatives_is_itself(text: str) -> None:
    assert points_of(text) == (text.strip(),)


@pytest.mark.parametrize("text", ["a[b=1|]", "a[b=|1]", "a[b=1||2]", "a|b", "a[b=c[d=1|]]", "a[b=1|2]]", "a[b=(1|2]"])
def test_half_a_grid_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read"):
        points_of(text)


def test_points_are_taken_once_and_many_only_where_that_is_asked_for() -> None:
    assert spread_out(["a[b=1|2]", "a[b=2]", "c"]) == ("a[b=1]", "a[b=2]", "c")
    assert len(spread_out(["a[b=1|2|3]"], 3)) == 3
    with pytest.raises(UsageError, match=r"a.b=1.2.3. are 3 methods.*--most-points 3"):
        spread_out(["a[b=1|2|3]"], 2)
    many = "|".join(map(str, range(65)))
    with pytest.raises(UsageError, match=f"are 4225 points; wanted {LARGEST}"):
        points_of(f"a[b={many},c={many}]")


def test_what_differs_is_an_axis_by_its_path() -> None:
    specs = points_of("s[clusters=1|2,head=linear|efa[temperature=1|10],seed=3]")
    assert flat_options(specs[1]) == {"clusters": "1", "head": "efa", "head.temperature": "1", "seed": "3"}
    assert axes_of(specs) == {
        "clusters": ("1", "2"),
        "head": ("linear", "efa"),
        "head.temperature": ("default", "1", "10"),
    }
