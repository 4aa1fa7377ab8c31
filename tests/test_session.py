"""The four calls from Python: what they give is what the verbs print."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.session import Session, TowerRecipe

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
RECIPE = TowerRecipe("random-vit-8", image_size=56)
HERE = {"train_on": TRAINING, "test_on": TESTED, "epochs": 1}
Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that the tests fill."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def session(place: Path) -> Session:
    return Session(place, RECIPE)


def test_a_bench_gives_the_rows_that_the_verb_prints(stackclip: Run, session: Session, place: Path) -> None:
    rows = session.bench(["stacked", "clip"], seeds=[0, 1], **HERE)
    assert len(rows) == 2 * 2 * 2
    assert (rows.computed, rows.failed, rows.whole) == (8, (), True)
    words = ("--methods", "stacked,clip", "--seeds", "0,1", "--train-on", TRAINING, "--test-on", TESTED)
    tower = ("--backbone", "random-vit-8", "--image-size", "56")
    printed = stackclip(place, "bench", *words, "--epochs", "1", *tower, "--json")
    assert "nothing was left to compute: all 8 cells were there already" in printed.stderr
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [(row.method, row.category, row.seed) for row in rows] == [
        (line["method"], line["category"], line["seed"]) for line in lines
    ]
    assert [row.metrics for row in rows] == [
        {name: value for name, value in line["metrics"].items() if value is not None} for line in lines
    ]
