"""Training curves on the command line: asked for, drawn, drawn again from what was kept, and part of a suite."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
HERE = ("--train-on", TRAINING, "--test-on", TESTED, "--backbone", "random-vit-8", "--image-size", "56")
Run = Callable[..., Result]


def test_curves_are_asked_for_drawn_and_drawn_again_from_the_rows_that_were_kept(
    stackclip: Run, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    words = ("bench", "--methods", "fuzzy,precise", "--epochs", "2", "--batch-size", "3", *HERE)
    plain = stackclip(tmp_path, *words)
    assert "spread over the last half" not in plain.stdout
    drawn, again = tmp_path / "drawn.svg", tmp_path / "again.svg"
    asked = (*words, "--eval-every", "2", "--plot", str(drawn))
    count = stackclip(tmp_path, *asked, "--dry-run")
    assert "would compute 4 of 4 cells (0 are there already)" in count.stdout
    result = stackclip(tmp_path, *asked)
    assert result.exit_code == 0, result.output
    assert f"training curves are drawn in {drawn}" in result.stderr
    assert "spread over the last half of training, trained on synthetic-training" in result.stdout
    assert "<svg" in drawn.read_text()
    rows = [json.loads(line) for line in stackclip(tmp_path, *asked, "--json").stdout.splitlines()]
    assert [[each["step"] for each in row["facts"]["curve"]] for row in rows] == [[2, 4, 6]] * 4
    report = stackclip(tmp_path, "report", "--plot", str(again))
    assert report.exit_code == 0, report.output
    assert again.read_bytes() == drawn.read_bytes()


def test_figure_1_asks_for_its_curves(stackclip: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "figure.png"
    words = ("bench", "--suite", "fuzzyclip-figure1", *HERE, "--plot", str(drawn), "--json")
    result = stackclip(tmp_path, *words, "--epochs", "2", "--batch-size", "3")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["method"] for row in rows} == {"precise", "fuzzy", "stacked[clusters=1]"}
    assert {len(row["facts"]["curve"]) for row in rows} == {2}
    assert drawn.stat().st_size > 10_000
    finer = stackclip(tmp_path, *words, "--epochs", "2", "--batch-size", "3", "--eval-every", "1")
    assert {len(json.loads(line)["facts"]["curve"]) for line in finer.stdout.splitlines()} == {6}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("bench", "--plot", "curves.png"),
            "--plot draws training curves or a grid, and neither is asked for: add --eval-every",
        ),
        (("bench", "--axes", "clusters"), "--axes clusters are those of a plot: add --plot grid.png"),
        (("bench", "--plot", "curves.bmp"), "curves.bmp: no plot is written as .bmp; wanted .png, .svg, .pdf"),
        (("report", "--plot", "curves"), "curves: no plot is written as that"),
        (("bench", "--eval-every", "0"), "eval_every is '0'; wanted a number of optimiser steps, 1 or more, or epoch"),
        (("bench", "--eval-every", "often"), "eval_every is 'often'"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_read(
    stackclip: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    pytest.importorskip("matplotlib")
    here = HERE if words[0] == "bench" else ()
    result = stackclip(tmp_path, *words, *here)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "features").exists()


def test_without_matplotlib_nothing_is_begun(stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    result = stackclip(tmp_path, "bench", *HERE, "--eval-every", "epoch", "--plot", "curves.png")
    assert result.exit_code == 1
    assert "pip install matplotlib" in result.stderr
    assert not (tmp_path / "features").exists()
