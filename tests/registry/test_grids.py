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
    "text",
    [
        *("stacked", "stacked[clusters=2]", "stacked[head=efa[temperature=1]]", " stacked ", "a[", "a[b]", "a[b=]"),
        *("clip-lad[parts=/data/parts [v2]]", "a[words=(one|two)]", "a[" * 300 + "]" * 300),
    ],
)
def test_a_name_without_alternatives_is_itself(text: str) -> None:
    assert points_of(text) == (text.strip(),)


@pytest.mark.parametrize("text", ["a[b=1|]", "a[b=|1]", "a[b=1||2]", "a|b", "a[b=c[d=1|]]", "a[b=1|2]]", "a[b=(1|2]"])
def test_half_a_grid_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read"):
        points_of(text)


def test_what_has_no_alternatives_stays_as_it_is_typed_beside_what_has() -> None:
    assert points_of("a[parts=/x [v2],k=1|2,c]") == ("a[parts=/x [v2],k=1,c]", "a[parts=/x [v2],k=2,c]")


def test_brackets_without_end_are_refused() -> None:
    with pytest.raises(UsageError, match="brackets in more than"):
        points_of("a[b=" * 300 + "1|2" + "]" * 300)
    assert flat_options("a[b=" + "c[d=" * 300 + "1" + "]" * 301)["b"] == "c"


def test_points_are_taken_once_and_many_only_where_that_is_asked_for() -> None:
    assert spread_out(["a[b=1|2]", "a[b=2]", "c"]) == ("a[b=1]", "a[b=2]", "c")
    assert len(spread_out(["a[b=1|2|3]"], 3)) == 3
    with pytest.raises(UsageError, match=r"a.b=1.2.3. are 3 methods.*--most-points 3"):
        spread_out(["a[b=1|2|3]"], 2)
    many = "|".join(map(str, range(65)))
    with pytest.raises(UsageError, match=f"are 4225 points; wanted {LARGEST}"):
        points_of(f"a[b={many},c={many}]")


def test_a_value_in_brackets_that_is_no_component_is_itself() -> None:
    assert flat_options("a[b=part [A],c=x[],d=[1]]") == {"b": "part [A]", "c": "x", "d": "[1]"}


def test_what_differs_is_an_axis_by_its_path() -> None:
    specs = points_of("s[clusters=1|2,head=linear|efa[temperature=1|10],seed=3]")
    assert flat_options(specs[1]) == {"clusters": "1", "head": "efa", "head.temperature": "1", "seed": "3"}
    assert axes_of(specs) == {
        "clusters": ("1", "2"),
        "head": ("linear", "efa"),
        "head.temperature": ("default", "1", "10"),
    }
