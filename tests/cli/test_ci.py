"""Intervals on the command line: asked for, shown, shown again from the rows that were kept, and written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
HERE = ("--train-on", TRAINING, "--test-on", TESTED, "--backbone", "random-vit-8", "--image-size", "56")
Run = Callable[..., Result]
BETWEEN = re.compile(r"\[\d+\.\d, \d+\.\d\]")


def test_intervals_are_asked_for_shown_and_shown_again(stackclip: Run, tmp_path: Path) -> None:
    words = ("bench", "--methods", "precise,fuzzy", "--epochs", "1", *HERE)
    plain = stackclip(tmp_path, *words)
    assert not BETWEEN.search(plain.stdout)
    assert "would compute 4 of 4 cells" in stackclip(tmp_path, *words, "--ci", "--dry-run").stdout
    asked = stackclip(tmp_path, *words, "--ci", "-o", str(tmp_path / "table.md"))
    assert BETWEEN.search(asked.stdout)
    assert "fuzzy - precise: " in asked.stdout
    written = (tmp_path / "table.md").read_text()
    assert BETWEEN.search(written)
    assert "- fuzzy - precise: " in written
    assert "would compute 0 of 4 cells" in stackclip(tmp_path, *words, "--ci", "--dry-run").stdout
    reported = stackclip(tmp_path, "report", "--methods", "precise,fuzzy", "--ci")
    assert reported.stdout == asked.stdout
    assert "precise - fuzzy: " in stackclip(tmp_path, "report", "--methods", "fuzzy,precise", "--ci").stdout
    assert not BETWEEN.search(stackclip(tmp_path, "report").stdout)


def test_rows_printed_as_json_hold_paired_differences(stackclip: Run, tmp_path: Path) -> None:
    asked = stackclip(tmp_path, "bench", "--methods", "precise,fuzzy", "--epochs", "1", "--ci", "--json", *HERE)
    rows = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [list(row["facts"].get("paired", {})) for row in rows] == [[], [], ["precise"], ["precise"]]
    for row in rows:
        assert "image_AP" in row["facts"]["intervals"]
