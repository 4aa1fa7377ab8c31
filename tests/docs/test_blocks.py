"""What pages print runs: each page in a workspace of its own, with small pictures. `make docs-test` runs all of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, commands_of, run_block

Run = Callable[..., Result]
COMMANDS, OTHERS = ("console", "sh", "bash"), ("", "text", "toml", "csv", "json")
RUN_ELSEWHERE = {
    "registry/README.md": "tests/registry/test_examples.py",
    "docs/ways.md": "tests/cli/test_ways.py",
    "docs/inside-the-tower.md": "tests/registry/test_examples.py",
}


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_blocks(page: Path) -> list[Block]:
    """The blocks of a page that are run here."""
    found = () if named(page) in RUN_ELSEWHERE else blocks_of(page.read_text("utf-8"))
    return [block for block in found if (block.file or block.language not in OTHERS) and not block.why_not]


SHORT = [page for page in PAGES if any(not block.long for block in run_blocks(page))]
LONG = [page for page in PAGES if any(block.long for block in run_blocks(page))]


@pytest.mark.parametrize("page", SHORT, ids=named)
def test_what_a_page_prints_runs(page: Path, at_work: Path, stackclip: Run) -> None:
    names: dict[str, Any] = {}
    for block in run_blocks(page):
        if not block.long:
            run_block(block, at_work, stackclip, names)


@pytest.mark.long
@pytest.mark.parametrize("page", LONG, ids=named)
def test_what_takes_long_runs_too(page: Path, at_work: Path, stackclip: Run) -> None:
    names: dict[str, Any] = {}
    for block in run_blocks(page):
        run_block(block, at_work, stackclip, names)


def test_every_block_is_run_or_says_why_not() -> None:
    pages = {named(page): list(blocks_of(page.read_text("utf-8"))) for page in PAGES}
    assert set(RUN_ELSEWHERE) <= set(pages)
    for page, blocks in pages.items():
        for block in blocks:
            assert block.language in (*COMMANDS, "python", *OTHERS), f"{page}: a block of {block.language!r}"
            assert block.mark in ("", "long") or block.why_not
    assert sum(len(blocks) for blocks in pages.values()) > 40
    assert {"README.md", "docs/first-steps.md", "docs/tutorials/write-a-component.md"} <= {*map(named, SHORT)}


@pytest.mark.parametrize("page", RUN_ELSEWHERE, ids=str)
def test_pages_that_are_run_elsewhere_are_named_there(page: str) -> None:
    assert Path(page).name in (ROOT / RUN_ELSEWHERE[page]).read_text("utf-8")


def test_commands_that_need_weights_and_data_say_so_in_one_line(stackclip: Run, at_work: Path) -> None:
    [block] = [each for each in blocks_of((ROOT / "README.md").read_text("utf-8")) if each.why_not]
    [words] = commands_of(block)
    (at_work / "DATA").mkdir()
    result = stackclip(at_work, *words[1:])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: visa: not found at")
    assert result.stderr.count(os.linesep) == 1
