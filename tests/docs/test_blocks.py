"""What pages print runs: each page in a workspace of its own, with small pictures. `make docs-test` runs all of it."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from tests.docs.conftest import PAGES, ROOT, Block, blocks_of

Run = Callable[..., Result]
COMMANDS, OTHERS = ("console", "sh", "bash"), ("", "text", "toml", "csv", "json")
RUN_ELSEWHERE = {
    "registry/README.md": "tests/registry/test_examples.py",
    "docs/ways.md": "tests/cli/test_ways.py",
    "docs/inside-the-tower.md": "tests/registry/test_examples.py",
}
TRAINING = "synthetic[categories=3,per_category=4,train_good=1,size=56]"
SMALL = {
    "STACKCLIP_BENCH_TRAIN_ON": TRAINING,
    "STACKCLIP_BENCH_TEST_ON": TRAINING.replace("[", "[part=shapes,"),
    "STACKCLIP_BENCH_EPOCHS": "1",
    "STACKCLIP_CACHE_FEATURES_DATASET": TRAINING,
    **{f"STACKCLIP_{verb}_IMAGE_SIZE": "56" for verb in ("BENCH", "CACHE_FEATURES", "INSPECT", "FIT", "EXPORT_ONNX")},
}


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_blocks(page: Path) -> list[Block]:
    """The blocks of a page that are run here."""
    found = () if named(page) in RUN_ELSEWHERE else blocks_of(page.read_text("utf-8"))
    return [block for block in found if block.language not in OTHERS and not block.why_not]


SHORT = [page for page in PAGES if any(not block.long for block in run_blocks(page))]
LONG = [page for page in PAGES if any(block.long for block in run_blocks(page))]


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry_as_it_was: None) -> Path:
    """A folder with pictures of plates, some of them with a spot: FOLDER, OK."""
    draws = np.random.default_rng(0)
    for place, count in (("FOLDER", 4), ("OK", 6)):
        (tmp_path / place).mkdir()
        for number in range(count):
            plate = draws.integers(90, 110, (56, 56, 3), dtype=np.uint8)
            if place == "FOLDER" and number % 2:
                plate[20:30, 20:30] = (200, 30, 30)
            Image.fromarray(plate).save(tmp_path / place / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def commands_of(block: Block) -> Iterable[list[str]]:
    """The words of each command of a block."""
    for line in block.code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run_block(block: Block, here: Path, stackclip: Run, names: dict[str, Any]) -> None:
    """Run a block; one of Python that names a file of `registry/` is put there."""
    if block.language == "python":
        _, found, place = block.code.partition("\n")[0].partition("# registry/")
        if found or "prompts.register" in block.code:
            (here / "registry").mkdir(exist_ok=True)
            (here / "registry" / (place or "mine.py")).write_text(block.code, "utf-8")
        else:
            exec(compile(block.code, "<block>", "exec"), names)
        return
    for words in commands_of(block):
        run_command(words, here, stackclip)


def run_command(words: list[str], here: Path, stackclip: Run) -> None:
    """Run a command of stackclip; of others, make sure that there is what they name."""
    if words[0] == "make":
        assert set(words[1:]) <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert set(re.findall(r"\[(\w+)\]", words[2])) <= set(extras)
    else:
        words = words[1:] if words[0] == "stackclip" else words[2:] if words[:2] == ["python", "cli.py"] else words
        result = stackclip(None if words[0] == "--workspace" else here, *words)
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"


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
