"""A study on the command line: it runs, says how long it would take, goes on where it was, and writes its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.session.studying import Section

Run = Callable[..., Result]
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
TEXT = f"""
title = "Two questions"
epochs = 1

[[runs]]
title = "Words"
asks = "Which words?"
methods = ["fuzzy", "precise"]
train_on = ["{TRAINING}"]
test_on = ["{TESTED}"]
shows = ["image_AUROC"]

[[runs]]
title = "Lost"
methods = ["clip"]
test_on = ["nowhere"]

[[runs]]
title = "A grid"
methods = ["clip", "stacked[clusters=1|2]"]
train_on = ["{TRAINING}"]
test_on = ["{TESTED}"]
eval_every = "epoch"
"""


@pytest.fixture(scope="module")
def ran(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A workspace with a study that ran there, and what it said."""
    root = tmp_path_factory.mktemp("study")
    (root / "mine.toml").write_text(TEXT)
    return root, stackclip(root, "study", str(root / "mine.toml"), *TOWER, "-o", str(root / "out"))


def test_each_question_is_answered_in_turn_and_what_lacks_is_said(ran: tuple[Path, Result]) -> None:
    root, result = ran
    assert result.exit_code == 3, result.output  # not all was answered
    assert "lacking for mine: Lost: " in result.stderr
    assert "nowhere" in result.stderr
    assert result.stdout.index("Which words?") < result.stdout.index("A grid")
    page = (root / "out" / "index.md").read_text()
    heads = ["# Two questions", "## Words", "## A grid", "## Not answered"]
    assert [line for line in page.splitlines() if line.startswith("#")] == heads
    assert "- Lost: " in page.partition(heads[-1])[2]
    assert "| fuzzy |" in page
    assert "| stacked[clusters=2] |" in page
    rows = [json.loads(line) for line in (root / "out" / "rows.jsonl").read_text().splitlines()]
    assert {row["method"] for row in rows} == {"fuzzy", "precise", "clip", "stacked[clusters=1]", "stacked[clusters=2]"}
    assert (root / "out" / "2-a-grid-curves.png").stat().st_size > 10_000
    assert "stacked[clusters=2]" in (root / "out" / "index.html").read_text()


def test_again_it_computes_nothing_and_writes_the_same_page(stackclip: Run, ran: tuple[Path, Result]) -> None:
    root, _ = ran
    before = {path.name: path.read_bytes() for path in (root / "out").iterdir() if path.suffix != ".html"}
    again = stackclip(root, "study", str(root / "mine.toml"), *TOWER, "-o", str(root / "out"))
    assert again.stderr.count("nothing was left to compute") == 2
    assert {path.name: path.read_bytes() for path in (root / "out").iterdir() if path.suffix != ".html"} == before


def test_a_dry_run_says_what_is_left_and_how_long_it_takes(stackclip: Run, ran: tuple[Path, Result]) -> None:
    root, _ = ran
    said = stackclip(root, "study", str(root / "mine.toml"), *TOWER, "--seeds", "0,1", "--dry-run")
    assert said.exit_code == 3, said.output
    assert said.stdout.count("would take about") == 2
    assert "would compute 4 of 8 cells" in said.stdout


@pytest.mark.parametrize("more", ["", 'select = "k-fold"\n', 'ablate = "precis"\n'])
def test_a_wrong_name_is_told_with_its_question_and_the_nearest_one(stackclip: Run, tmp_path: Path, more: str) -> None:
    asked = "" if "ablate" in more else 'methods = ["precis", "clip[class_names=raw|spaced]"]\n'
    places = f'train_on = ["{TRAINING}"]\ntest_on = ["{TESTED}"]\n'
    (tmp_path / "mine.toml").write_text(f'epochs = 1\n[[runs]]\ntitle = "Words"\n{asked}{places}{more}')
    said = stackclip(tmp_path / "work", "study", str(tmp_path / "mine.toml"), *TOWER, "--dry-run")
    assert said.exit_code == 3
    assert "lacking for mine: Words: no method is named" in said.stderr
    assert "(did you mean 'precise'?)" in said.stderr


def test_a_question_without_rows_stands_on_the_page(
    stackclip: Run, ran: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = ran
    answered = Section.answered

    def lost(section: Section, **how: Any) -> Section:  # as where weights fit no tower, which the bench says
        return section if section.question.title == "A grid" else answered(section, **how)

    monkeypatch.setattr(Section, "answered", lost)
    said = stackclip(root, "study", str(root / "mine.toml"), *TOWER, "-o", str(tmp_path / "out"))
    assert said.exit_code == 3, said.output
    page = (tmp_path / "out" / "index.md").read_text()
    assert "- A grid: nothing could be measured, as was said" in page.partition("## Not answered")[2]


def test_a_page_in_a_folder_that_is_named_like_a_file_is_refused(stackclip: Run, ran: tuple[Path, Result]) -> None:
    root, _ = ran
    said = stackclip(root, "study", str(root / "mine.toml"), *TOWER, "-o", str(root / "page.md"))
    assert said.exit_code == 2
    assert "page.md is named like a file: wanted a folder" in said.stderr
    assert not (root / "page.md").exists()


def test_a_suite_of_a_paper_is_a_study(stackclip: Run, ran: tuple[Path, Result]) -> None:
    root, _ = ran
    moved = ("--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", "--dry-run")
    said = stackclip(root, "study", "fuzzyclip-table4", *TOWER, *moved)
    assert said.exit_code == 0, said.output
    assert "Precise, fuzzy and stacked prompts under the same head" in said.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.toml",), "nothing.toml: cannot be read"),
        (("fuzzyclip-table99",), "no suite is named 'fuzzyclip-table99'"),
        ((), "Missing argument"),
    ],
)
def test_what_is_no_study_is_one_line(words: tuple[str, ...], said: str, stackclip: Run, tmp_path: Path) -> None:
    result = stackclip(tmp_path, "study", *words)
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_a_folder_that_cannot_be_is_said(stackclip: Run, ran: tuple[Path, Result], tmp_path: Path) -> None:
    root, _ = ran
    (tmp_path / "file").write_text("")
    result = stackclip(root, "study", str(root / "mine.toml"), *TOWER, "-o", str(tmp_path / "file" / "out"))
    assert result.exit_code == 1
    assert "not written (Not a directory)" in result.stderr
