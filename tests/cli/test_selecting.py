"""Selections on the command line: asked for, told, told again by the report, and refused where they make no sense."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.benchmarks.rows import RowFolder
from stackclip.reports.again import command_of

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
HERE = ("--train-on", TRAINING, "--test-on", TESTED, "--backbone", "random-vit-8", "--image-size", "56")
GRID = "clip[class_names=raw|spaced]"
Run = Callable[..., Result]


def test_a_selection_is_told_and_told_again_from_what_was_kept(stackclip: Run, tmp_path: Path) -> None:
    words = (
        "bench",
        "--methods",
        f"{GRID},clip[class_names=natural]",
        *HERE,
        "--epochs",
        "1",
        "--select",
        "leave-category-out",
    )
    plan = stackclip(tmp_path, *words, "--dry-run")
    assert "to select by 2 folds: would compute 4 of 4 cells (0 are there already); then at most 4 cells" in plan.stdout
    done = stackclip(tmp_path, *words, "-o", str(tmp_path / "table.md"))
    assert done.exit_code == 0, done.output
    assert "leave-category-out, 2 of 2: tested on synthetic-training (only" in done.stderr
    [said] = [line for line in (tmp_path / "table.md").read_text().splitlines() if "no tested picture was" in line]
    report = stackclip(tmp_path, "report", "-o", str(tmp_path / "again.md"))
    assert report.exit_code == 0, report.output
    assert said in (tmp_path / "again.md").read_text()
    assert "4 rows of folds, by which points were selected, not shown" in report.stderr
    lines = [
        json.loads(line) for line in stackclip(tmp_path, "report", "--methods", GRID, "--json").stdout.splitlines()
    ]
    [taken] = {line["facts"]["selected"]["spec"] for line in lines if line["method"] == GRID}
    assert {line["method"] for line in lines} == {GRID, taken}
    rows = [row for row in RowFolder(tmp_path / "cache" / "rows") if row.method == GRID]
    again = stackclip(tmp_path, *shlex.split(command_of(rows))[1:])
    assert again.exit_code == 0, again.output
    assert "computed" not in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--select", "k-folds"), "did you mean 'k-fold'?"),
        (("--select", "k-fold", "--select-by", "auc"), "no metric 'auc' to select by"),
        (("--select-by", "pixel_AP"), "--select-by pixel_AP is about a selection, and none is asked for"),
        (("--hindsight",), "--hindsight is about a selection"),
        (("--select", "k-fold", "--suite", "fuzzyclip-table1"), "a --suite has its own: leave out one"),
        (("--select", "k-fold", "--paper-tower"), "a --suite has its own: leave out one"),
        (("--select", "k-fold", "--plot", "a.png"), "--plot draws curves of tested pictures"),
        (("--select", "k-fold", "--shard", "1/2"), "share the work with --workers"),
        (("--select", "k-fold", "--tiles", "224"), "name a grid, as --tiles 2x2"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    stackclip: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    pytest.importorskip("matplotlib")
    result = stackclip(tmp_path, "bench", "--methods", GRID, *HERE, *words)
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
    assert not (tmp_path / "cache" / "rows").exists()
