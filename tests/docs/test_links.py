"""No link of a page is broken: in the repository, on an index of packages, and in the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

from tests.docs.blocks import PAGES, ROOT

README = (ROOT / "README.md").read_text("utf-8")
LINK = re.compile(r"\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCED.sub("", page.read_text("utf-8"))


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    heads = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {slugify(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", ""), "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for found in LINK.finditer(text_of(page)):
        if "://" in found["target"]:
            continue
        there = (page.parent / found["target"]).resolve() if found["target"] else page
        generated = there.parent in (ROOT / "docs" / "methods", ROOT / "docs" / "api")
        known = there.exists() or generated or there.name in GENERATED
        assert known, f"links to {found['target']}"
        if found["anchor"] and there.suffix == ".md" and there.exists():
            assert found["anchor"] in anchors_of(there), f"{found[0]}: there is no such heading"


GENERATED = ("errors.md", "components.md", "index.md", "registry.md", "benchmarks.md", "security.md", "changelog.md")
"""Pages that the build makes; it is strict about links to them."""


def test_the_readme_links_nowhere_and_names_files_that_are_there() -> None:
    assert LINK.findall(README) == []  # on an index of packages a link to a neighbour leads nowhere
    named = re.findall(r"`([\w./-]+\.(?:md|cff|py))`|`([\w.-]+/)`", README)
    paths = {file or folder for file, folder in named} - {"registry/", "cli.py"}
    assert {"docs/first-steps.md", "CONTRIBUTING.md", "docs/"} <= paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    assert len(README.splitlines()) <= 90


def test_no_page_holds_a_placeholder() -> None:
    for page in PAGES:
        assert not re.findall(r"\{[A-Z]{3,}\}", text_of(page)), page
