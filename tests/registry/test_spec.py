"""Specs are read and written as they are typed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackclip.errors import UsageError
from stackclip.registry import Spec, did_you_mean, split_specs

NAMES = st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True)
KEYS = st.from_regex(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", fullmatch=True)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="[](),", exclude_categories=["Z", "C"]), max_size=12)


def nested(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda name, key, value: f"{name}[{key}={value}]", NAMES, KEYS, values)


SPECS = st.builds(
    lambda name, options: Spec(name, tuple(options.items())),
    NAMES,
    st.dictionaries(KEYS, st.one_of(PLAIN, st.recursive(PLAIN, nested, max_leaves=2)), max_size=4),
)


@settings(max_examples=40, deadline=None)
@given(SPECS)
def test_a_spec_is_read_back_as_it_was_written(spec: Spec):
    again = Spec.parse(str(spec))
    assert again.name == spec.name
    assert dict(again.options) == dict(spec.options)
    assert str(again) == str(spec)


@settings(max_examples=20, deadline=None)
@given(st.lists(SPECS, max_size=3))
def test_a_list_of_specs_is_split_only_between_them(specs: list[Spec]):
    assert split_specs(",".join(map(str, specs))) == tuple(map(str, specs))


@given(st.text(max_size=30))
def test_any_text_is_a_spec_or_a_usage_error(text: str):
    with suppress(UsageError):
        assert Spec.parse(text).name


@pytest.mark.parametrize(
    "text",
    ["", "  ", "[x=1]", "a[x=1", "a]", "a[x=1]b", "a[x]", "a[=1]", "a[x=1,x=2]", "a[x=(1]", "a[x=1)]", "a[x=1][y=2]"],
)
def test_what_cannot_be_read_is_shown_with_what_was_wanted(text: str):
    with pytest.raises(UsageError) as raised:
        Spec.parse(text)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_spaces_do_not_matter_and_hyphens_in_option_names_are_underscores():
    assert Spec.parse(" stacked [ max-clusters = 3 , joiner = and ] ") == Spec(
        "stacked", (("max_clusters", "3"), ("joiner", "and"))
    )


def test_specs_that_differ_in_the_order_of_options_are_written_alike():
    assert str(Spec.parse("a[y=2,x=1]")) == str(Spec.parse("a[x=1,y=2]")) == "a[x=1,y=2]"


def test_options_added_to_a_spec_give_way_to_its_own():
    spec = Spec.parse("penalty[lambda=0.5]").with_options(**{"lambda": 0.1, "sse": "mean"})
    assert dict(spec.options) == {"lambda": "0.5", "sse": "mean"}


@pytest.mark.parametrize(("typed", "meant"), [("stakced", "stacked"), ("fuzy", "fuzzy"), ("precice", "precise")])
def test_a_slip_of_the_fingers_is_understood(typed: str, meant: str):
    assert did_you_mean(typed, ("fuzzy", "precise", "stacked")) == f" (did you mean {meant!r}?)"


def test_a_name_like_no_other_suggests_nothing():
    assert did_you_mean("xylophone", ("fuzzy", "precise", "stacked")) == ""
