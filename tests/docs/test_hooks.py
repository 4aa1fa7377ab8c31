"""What the build of the site makes of the code: a card for every method, a mend for every error, links that hold."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import Result

from stackclip import errors
from stackclip.cli import cli
from stackclip.methods import component_of, method_names
from stackclip.papers.published import published
from stackclip.registry import Spec, use_workspace
from tests.docs.blocks import ROOT, blocks_of, run_block

pytest.importorskip("mkdocs", reason="needs the extra: pip install 'stackclip[docs]'")

from mkdocs.structure.files import File, Files


@pytest.fixture(scope="module")
def hooks() -> Iterator[dict[str, ModuleType]]:
    """The modules of docs/hooks, as the build imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "hooks"))
        yield {name: __import__(name) for name in ("cards", "listed", "pages", "worth")}
    for name in ("cards", "listed", "pages", "worth"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def cards(hooks: dict[str, ModuleType]) -> dict[str, Any]:
    use_workspace(None)
    return {name: hooks["cards"].card_of(name) for name in method_names()}


def test_every_method_has_a_card_with_its_options_its_parts_and_what_is_printed_of_it(
    hooks: dict[str, ModuleType], cards: dict[str, Any]
) -> None:
    for name, card in cards.items():
        page = hooks["cards"].page_of(card)
        assert page.startswith(f"# {name}\n")
        assert component_of(name).summary in page
        for option in component_of(name).options:
            assert f"| `{option.label}` |" in page
        for part in sorted(card.parts["test"])[:12]:
            assert f"`{part}`" in page
        lines = [line for line in published() if not (line.category or line.setting) and line.method == name]
        for line in lines:
            for value in line.values.values():
                assert f"| {100 * value:.1f} |" in page
        assert ("No table of a paper" in page) == (not card.printed)


def test_the_cards_say_who_learns_and_who_is_shown_pictures(cards: dict[str, Any]) -> None:
    kinds = {name: card.kind for name, card in cards.items()}
    assert {kinds[name] for name in ("sdp", "clip-surgery", "clip-direct")} == {"not trained, zero-shot"}
    assert {kinds[name] for name in ("adaclip", "sdp-plus", "anomalyclip")} == {"trained, zero-shot"}
    assert kinds["winclip"] == "not trained, zero-shot, or few-shot"
    assert kinds["april-gan"] == "trained, zero-shot, or few-shot"
    assert kinds["patchcore-clip"] == "not trained, few-shot"
    assert kinds["promptad"] == "trained, few-shot"
    assert kinds["musc"] == "not trained, sees all tested pictures"


def test_cards_say_which_parts_can_be_taken_away_and_what_they_are_worth(
    hooks: dict[str, ModuleType], cards: dict[str, Any]
) -> None:
    page = hooks["cards"].page_of(cards["sdp"])
    assert "| representative vector selection (RVS) | `select=mean-of-unit` | there |" in page
    assert "| ten crops | `crops=false` | not there |" in hooks["cards"].page_of(cards["winclip"])
    kept = json.loads((ROOT / "docs" / "hooks" / "parts.json").read_text("utf-8"))
    for measured in kept:
        page = hooks["cards"].page_of(cards[Spec.parse(measured["method"]).name])
        assert f"`{measured['method']}` {measured['about'][0]}, {measured['about'][2]}, {measured['about'][3]}." in page
        for each in measured["worth"]:
            told = (
                f"{100 * each['worth'] + 0.0:+.1f} ["
                if each["in_words"][:4] in ("wort", "cost")
                else f"| {each['part']} |"
            )
            assert told.replace("-0.0", "+0.0") in page
    assert "What its parts are worth" not in hooks["cards"].page_of(cards["clip"])


def test_the_cost_of_a_picture_is_that_of_its_parts(cards: dict[str, Any]) -> None:
    tokens, width, joint = 37 * 37, 1024, 768
    assert cards["april-gan"].megabytes("test") == pytest.approx((4 * tokens * width + joint) * 2 / 1e6)
    assert cards["clip"].megabytes("test") == pytest.approx(joint * 2 / 1e6)


def test_methods_of_a_paper_s_table_have_its_means(cards: dict[str, Any]) -> None:
    known = {Spec.parse(line.method).name for line in published() if not (line.category or line.setting)}
    assert {name for name, card in cards.items() if card.printed} == known & set(cards)


def test_a_bar_in_a_cell_does_not_end_it(hooks: dict[str, ModuleType]) -> None:
    assert hooks["cards"].table(["a"], [["x|y"], ["`x|y`"]]).splitlines()[2:] == ["| x\\|y |", "| `x|y` |"]


def test_every_error_says_what_it_means_and_how_it_is_mended(hooks: dict[str, ModuleType]) -> None:
    page = hooks["listed"].errors_page()
    for name in errors.__all__:
        doc = inspect.getdoc(getattr(errors, name)) or ""
        what, mend, how = doc.partition("\n\nMend: ")
        assert what, name
        assert mend, name
        assert how.strip().endswith("."), name
        assert page.count(f"\n## {name}\n") == 1
        assert f"**Mend:** {how}" in page
    assert page.count("\n## ") == len(errors.__all__)
    assert "├── UsageError" in page


def test_verbs_that_mends_name_are_there() -> None:
    words = " ".join(f"{inspect.getdoc(getattr(errors, name))}" for name in errors.__all__).replace("\n", " ")
    named = {word.split()[1].strip("`.,") for word in words.split("`") if word.startswith("stackclip ")}
    assert named
    assert named <= set(cli.commands)


@pytest.fixture
def files() -> Files:
    """Some pages of a site."""
    places = ("index.md", "registry.md", "ways.md", "concepts.md", "decisions/0044-musc.md", "benchmarks.md")
    found = [File(place, None, "site", False) for place in places]
    for file in found:
        file.content_string = f"# Title of {file.src_uri}\n"
    return Files(found)


@pytest.mark.parametrize(
    ("place", "text", "wanted"),
    [
        ("registry.md", "[w](../docs/ways.md#views)", "[w](ways.md#views)"),
        ("decisions/0044-musc.md", "[b](../../benchmarks/README.md)", "[b](../benchmarks.md)"),
        ("registry.md", "[the code](../stackclip/registry)", "the code (`stackclip/registry`)"),
        ("registry.md", "[stackclip/registry](../stackclip/registry)", "`stackclip/registry`"),
        ("ways.md", "[gone](gone.md)", "[gone](gone.md)"),
        ("ways.md", "[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("index.md", "see `docs/concepts.md` and `setup.md`", "see [Title of concepts.md](concepts.md) and `setup.md`"),
        ("ways.md", "see `docs/concepts.md`", "see `docs/concepts.md`"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_site(
    hooks: dict[str, ModuleType], files: Files, place: str, text: str, wanted: str
) -> None:
    class Page:
        file = files.get_file_from_path(place)

    assert hooks["pages"].on_page_markdown(text, Page, None, files) == wanted


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<script async src=//cdn.example/x.js></script>",
        '<link rel="stylesheet" href="https://fonts.example/css?family=Roboto">',
        '<link href="https://fonts.example" rel="preconnect" crossorigin>',
        '<img alt="x" src="http://pictures.example/x.png">',
        "@import 'https://fonts.example/x.css';",
        "src: url(https://fonts.example/x.woff2)",
    ],
)
def test_what_would_be_loaded_from_another_host_is_refused(
    hooks: dict[str, ModuleType], tmp_path: Path, text: str
) -> None:
    class Config:
        site_dir = str(tmp_path)

    (tmp_path / "page.html").write_text(
        '<a href="https://a.example">a</a><link rel="canonical" href="https://b.example">'
    )
    hooks["pages"].on_post_build(Config)
    (tmp_path / "page.html").write_text(text)
    with pytest.raises(Exception, match=r"page\.html loads (https?:)?//.*wanted everything from the site itself"):
        hooks["pages"].on_post_build(Config)


def test_the_site_is_strict_and_asks_for_no_font_and_no_host() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    config = yaml.safe_load(text)
    assert config["strict"] is True
    assert config["theme"]["font"] is False
    assert config["site_dir"] == "build/site"
    assert set(config["validation"].values()) == {"warn"}  # an error, in a build that is strict
    assert "://" not in text
    [build] = [line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "mkdocs build" in line]
    assert "--quiet" not in build  # it drops warnings before they are counted, and nothing is strict any more


@pytest.mark.long
@pytest.mark.parametrize("name", method_names())
def test_what_a_card_says_to_try_runs(
    hooks: dict[str, ModuleType], name: str, at_work: Path, stackclip: Callable[..., Result]
) -> None:
    for block in blocks_of(hooks["cards"].page_of(hooks["cards"].card_of(name))):
        run_block(block, at_work, stackclip, {})
