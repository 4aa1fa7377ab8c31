"""`--resident`: where features stay is said, changes no figure, and a place that does not exist is refused at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
BENCH = ("bench", "--train-on", TRAINING, "--test-on", TESTED, "--epochs", "2", "--methods", "fuzzy", "--json")
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
Run = Callable[..., Result]


@pytest.fixture
def bench(stackclip: Run, tmp_path: Path) -> Run:
    """Run a bench anew in the test's own workspace."""
    return partial(stackclip, tmp_path, *BENCH, *TOWER, "--overwrite", "always")


def test_no_figure_depends_on_where_features_stay(bench: Run) -> None:
    found = {}
    for place in ("off", "auto"):
        result = bench("--resident", place)
        assert result.exit_code == 0, result.output
        said = re.findall(r"features of (\d+) pictures, [\d.]+ .B: (.*)", result.stderr)
        assert [pictures for pictures, _ in said] == ([] if place == "off" else ["8"])
        assert all(re.fullmatch(r"kept in memory \([\d.]+ GB free\)", rest) for _, rest in said)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        found[place] = [(row["category"], row["metrics"], row["facts"]["losses"]) for row in rows]
    assert found["off"] == found["auto"]


def test_a_gpu_that_is_not_there_is_refused_in_one_line(bench: Run) -> None:
    result = bench("--resident", "gpu")
    assert result.exit_code == 2
    assert "Error: --resident gpu wants a CUDA device, this one is cpu: use --resident ram" in result.stderr
