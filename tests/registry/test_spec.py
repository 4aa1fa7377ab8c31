"""Specs are read and written; options are typed and checked by the signature they go to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackclip.errors import BadOption, UsageError
from stackclip.registry import Option, Spec, bind, did_you_mean, options_of, split_specs

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


def every_kind(
    *,
    count: int = 1,
    rate: float = 0.5,
    fast: bool = False,
    name: str = "x",
    mode: Literal["sum", "mean", 3] = "sum",
    limit: int | None = None,
    share: float | None = 0.5,
    sizes: tuple[int, ...] = (1, 2),
    names: tuple[str, ...] = (),
    folder: Path = Path("here"),
    number_or_text: int | str = 0,
    lambda_: float = 0.1,
) -> dict[str, object]:
    """A factory with an option of every kind."""
    return locals()


def made(text: str) -> dict[str, object]:
    return every_kind(**bind("every-kind", options_of(every_kind), dict(Spec.parse(text).options)))


@pytest.mark.parametrize(
    ("given_", "name", "value"),
    [
        ("count=7", "count", 7),
        ("count=-7", "count", -7),
        ("rate=1e-3", "rate", 0.001),
        ("rate=2", "rate", 2.0),
        ("fast=true", "fast", True),
        ("fast=Yes", "fast", True),
        ("fast=off", "fast", False),
        ("fast=0", "fast", False),
        ("name=a word=with more", "name", "a word=with more"),
        ("name=", "name", ""),
        ("name=efa[temperature=4,weights-from=category]", "name", "efa[temperature=4,weights-from=category]"),
        ("mode=mean", "mode", "mean"),
        ("mode=3", "mode", 3),
        ("limit=none", "limit", None),
        ("limit=auto", "limit", None),
        ("limit=4", "limit", 4),
        ("share=None", "share", None),
        ("share=.25", "share", 0.25),
        ("sizes=6+12+24", "sizes", (6, 12, 24)),
        ("sizes=6", "sizes", (6,)),
        ("sizes=", "sizes", ()),
        ("names=wood + metal nut", "names", ("wood", "metal nut")),
        ("folder=a/b.json", "folder", Path("a/b.json")),
        ("number_or_text=5", "number_or_text", 5),
        ("number-or-text=five", "number_or_text", "five"),
        ("lambda=0.2", "lambda_", 0.2),
    ],
)
def test_an_option_of_every_kind_becomes_its_type(given_: str, name: str, value: object):
    found = made(f"every-kind[{given_}]")
    assert found[name] == value
    assert type(found[name]) is type(value)
    others = every_kind()
    assert {key: found[key] for key in found if key != name} == {key: others[key] for key in others if key != name}


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("count=1.5", "int"),
        ("count=none", "int"),
        ("rate=fast", "float"),
        ("rate=nan", "float"),
        ("rate=inf", "float"),
        ("fast=maybe", "bool"),
        ("mode=median", "sum|mean|3"),
        ("limit=many", "int | none"),
        ("sizes=6+x", r"int+..."),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_wanted(given_: str, wanted: str):
    with pytest.raises(BadOption) as raised:
        made(f"every-kind[{given_}]")
    message = str(raised.value)
    key, _, value = given_.partition("=")
    assert f"every-kind: {key}={value!r} is not of type {wanted}" in message
    assert "\n" not in message


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert made("every-kind[folder=~/names.json]")["folder"] == tmp_path / "names.json"


def test_an_unknown_option_names_the_nearest_and_all_others():
    with pytest.raises(BadOption, match=r"no option 'lamda' \(did you mean 'lambda'\?\); it has count, fast, folder"):
        made("every-kind[lamda=1]")
    with pytest.raises(BadOption, match="none has no option 'x'; it has none"):
        bind("none", (), {"x": "1"})


def test_a_required_option_that_is_not_given_is_asked_for():
    @dataclass(frozen=True, kw_only=True)
    class Needy:
        """It needs a file."""

        file: Path
        other: int = 1

    options = options_of(Needy)
    assert [(option.name, option.default_text) for option in options] == [("file", "required"), ("other", "1")]
    with pytest.raises(BadOption, match=r"needy needs file: write needy\[file=...\]"):
        bind("needy", options, {})


def test_options_read_as_they_are_typed():
    shown = {option.label: (option.type_name, option.default_text) for option in options_of(every_kind)}
    assert shown == {
        "count": ("int", "1"),
        "rate": ("float", "0.5"),
        "fast": ("bool", "false"),
        "name": ("text", "x"),
        "mode": ("sum|mean|3", "sum"),
        "limit": ("int | none", "none"),
        "share": ("float | none", "0.5"),
        "sizes": ("int+...", "1+2"),
        "names": ("text+...", ""),
        "folder": ("path", "here"),
        "number_or_text": ("int | text", "0"),
        "lambda": ("float", "0.1"),
    }


def test_every_default_can_be_typed():
    typed = {option.label: option.default_text for option in options_of(every_kind)}
    assert every_kind(**bind("every-kind", options_of(every_kind), typed)) == every_kind()


def test_only_keyword_only_parameters_are_options():
    class Plain:
        """Nothing to choose."""

    class Mixed:
        """One option."""

        def __init__(self, first: int = 1, *, second: str = "x") -> None: ...

    assert options_of(Plain) == ()
    assert options_of(Mixed) == (Option("second", str, "x"),)


@pytest.mark.parametrize(("typed", "meant"), [("stakced", "stacked"), ("fuzy", "fuzzy"), ("precice", "precise")])
def test_a_slip_of_the_fingers_is_understood(typed: str, meant: str):
    assert did_you_mean(typed, ("fuzzy", "precise", "stacked")) == f" (did you mean {meant!r}?)"


def test_a_name_like_no_other_suggests_nothing():
    assert did_you_mean("xylophone", ("fuzzy", "precise", "stacked")) == ""


def test_inherited_options_are_read_with_the_names_of_the_module_they_were_written_in():
    """A class that stands elsewhere need not import what its base's annotations name."""
    base = dataclass(frozen=True, kw_only=True)(
        type("Base", (), {"__annotations__": {"kind": "Literal['a', 'b']"}, "kind": "a", "__module__": __name__})
    )
    derived = dataclass(frozen=True, kw_only=True)(type("Derived", (base,), {"__module__": "stackclip.errors"}))
    assert options_of(derived) == (Option("kind", Literal["a", "b"], "a"),)
