"""Options are typed and checked by the signature they go to; those that name components know their shelf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from stackclip.errors import BadOption, UnknownComponent, UsageError
from stackclip.registry import From, Option, Spec, bind, heads, named_by, options_of, prompts, scorers, selectors


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


def test_inherited_options_are_read_with_the_names_of_the_module_they_were_written_in():
    """A class that stands elsewhere need not import what its base's annotations name."""
    base = dataclass(frozen=True, kw_only=True)(
        type("Base", (), {"__annotations__": {"kind": "Literal['a', 'b']"}, "kind": "a", "__module__": __name__})
    )
    derived = dataclass(frozen=True, kw_only=True)(type("Derived", (base,), {"__module__": "stackclip.errors"}))
    assert options_of(derived) == (Option("kind", Literal["a", "b"], "a"),)


def naming(
    *,
    head: Annotated[str, From(heads, {"none": ()})] = "linear",
    select: Annotated[str, From(selectors, {"auto": ("dbscan", "dbscan[eps=1.5]")})] = "auto",
    scorer: Annotated[str, From(scorers)] | None = None,
    several: tuple[Annotated[str, From(selectors)], ...] = ("mean", "pca"),
    noted: Annotated[int, "a remark"] = 3,
) -> dict[str, object]:
    """A factory whose options name components."""
    return locals()


def named(name: str, text: str) -> list[tuple[str, str]]:
    (option,) = (option for option in options_of(naming) if option.name == name)
    return [(component.shelf, str(spec)) for component, spec in named_by(option, text)]


@pytest.mark.parametrize(
    ("given_", "name", "value"),
    [
        ("head=none", "head", "none"),
        ("head=efa[temperature=4]", "head", "efa[temperature=4]"),
        ("select=auto", "select", "auto"),
        ("scorer=none", "scorer", None),
        ("scorer=fixed[clusters=2]", "scorer", "fixed[clusters=2]"),
        ("several=kde+mean", "several", ("kde", "mean")),
        ("noted=4", "noted", 4),
    ],
)
def test_an_option_that_names_a_component_keeps_its_text(given_: str, name: str, value: object):
    assert naming(**bind("naming", options_of(naming), dict(Spec.parse(f"naming[{given_}]").options)))[name] == value


@pytest.mark.parametrize(
    ("given_", "error", "said"),
    [
        ("head=lineer", UnknownComponent, "naming: head='lineer': no head is named 'lineer' (did you mean 'linear'?)"),
        ("head=mean", UnknownComponent, "no head is named 'mean'"),
        ("select=none", UnknownComponent, "naming: select='none': no selector is named 'none'"),
        ("head=efa[temper=3]", BadOption, "head='efa[temper=3]': efa has no option 'temper' (did you mean 'temper"),
        ("head=efa[temperature=hot]", BadOption, "efa: temperature='hot' is not of type float"),
        ("head=efa[", UsageError, "cannot read"),
        ("several=mean+maen", UnknownComponent, "(did you mean 'mean'?)"),
        ("scorer=fixd", UnknownComponent, "(did you mean 'fixed'?)"),
    ],
)
def test_a_name_that_is_not_on_the_shelf_is_refused_where_it_is_bound(given_: str, error: type[UsageError], said: str):
    key, _, value = given_.partition("=")
    with pytest.raises(error) as raised:
        bind("naming", options_of(naming), {key: value})
    assert type(raised.value) is error
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_an_option_names_is_told_with_the_options_given():
    assert named("head", "efa[temperature=4]") == [("heads", "efa[temperature=4]")]
    assert named("head", "none") == []
    assert named("select", "auto") == [("selectors", "dbscan"), ("selectors", "dbscan[eps=1.5]")]
    assert named("scorer", "none") == []
    assert named("scorer", "bic") == [("scorers", "bic")]
    assert named("several", "kde+mean") == [("selectors", "kde"), ("selectors", "mean")]
    assert named("noted", "3") == []


def test_the_type_of_an_option_that_names_a_component_is_what_the_component_is_called():
    assert {option.label: option.type_name for option in options_of(naming)} == {
        "head": "head | none",
        "select": "selector | auto",
        "scorer": "scorer | none",
        "several": "selector+...",
        "noted": "int",
    }
    assert str(From(prompts)) == "prompt strategy"


@pytest.mark.parametrize(
    "spec",
    ["precise[head=lineer]", "stackclip[learner=rlp]", "sdp[select=maen]", "winclip[select=auto]", "stacked[scorer=x]"],
)
def test_methods_of_the_package_refuse_names_that_are_not_there(spec: str):
    from stackclip.methods import resolve

    owner = spec.partition("[")[0]
    with pytest.raises(UnknownComponent, match=f"^{owner}: "):
        resolve(spec)
