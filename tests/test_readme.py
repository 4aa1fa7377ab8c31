"""The README does what it says."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[2:]
    for language, block in BLOCKS
    if language == "console"
    for line in block.replace("\\\n", "").splitlines()
    if line.startswith("python cli.py")
]
Run = Callable[..., Result]
NEEDS_WEIGHTS = "--pretrained"
SMALL = {
    "STACKCLIP_CACHE_FEATURES_DATASET": "synthetic[categories=2,per_category=4,train_good=1,size=56]",
    "STACKCLIP_CACHE_FEATURES_IMAGE_SIZE": "56",
    "STACKCLIP_BENCH_TRAIN_ON": "synthetic[categories=2,per_category=4,train_good=1,size=56]",
    "STACKCLIP_BENCH_TEST_ON": "synthetic[part=shapes,categories=2,per_category=4,train_good=1,size=56]",
    "STACKCLIP_BENCH_IMAGE_SIZE": "56",
    "STACKCLIP_BENCH_EPOCHS": "1",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the README's own strategy in `registry/`."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "registry").mkdir()
    strategy = next(block for language, block in BLOCKS if language == "python" and "prompts.register" in block)
    (root / "registry" / "fuzzy_item.py").write_text(strategy)
    return root


@pytest.mark.parametrize("words", [words for words in COMMANDS if NEEDS_WEIGHTS not in words], ids=" ".join)
def test_a_command_of_the_readme_runs(stackclip: Run, words: list[str], workspace: Path) -> None:
    result = stackclip(workspace, *words, env=SMALL)
    assert result.exit_code == 0, result.output


def test_the_commands_that_need_weights_and_data_say_so_in_one_line(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    [words] = [words for words in COMMANDS if NEEDS_WEIGHTS in words]
    words = [str(tmp_path) if word == "DATA" else word for word in words]
    result = stackclip(workspace, *words)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: visa: not found at")
    assert result.stderr.count("\n") == 1


def test_the_bench_of_the_readme_runs_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], registry_as_it_was: None
) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(block for language, block in BLOCKS if language == "python" and "stackclip.Session" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    rows = names["rows"]
    assert [(row.method, row.seed, row.error) for row in rows] == [
        (method, seed, "") for seed in (0, 1) for method in ("stacked", "clip") for _ in range(2)
    ]
    assert capsys.readouterr().out.splitlines() == [
        f"{row.method} {row.category} {row.seed} {row.metrics['image_AUROC']}" for row in rows
    ]
    assert len(list((tmp_path / "work" / "cache" / "rows").glob("*.json"))) == 8


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(block for language, block in BLOCKS if language == "python" and "Store.create" in block)
    names: dict[str, object] = {}
    exec(block, names)
    tokens = names["tokens"]
    assert getattr(tokens, "shape", None) == (8, names["tower"].spec.grid ** 2, names["tower"].spec.width)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{os.path.relpath(page, ROOT)} links to {target}"


def test_no_page_holds_a_placeholder() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        assert not re.findall(r"\{[A-Z]{3,}\}", page.read_text("utf-8")), page
