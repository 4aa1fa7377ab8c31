"""A bench in several processes: the same rows, whatever becomes of a process."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from stackclip import Session
from stackclip.session.workers import works_of

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
WORDS = (
    "--train-on",
    TRAINING,
    "--test-on",
    TESTED,
    "--backbone",
    "random-vit-8",
    "--image-size",
    "56",
    "--epochs",
    "1",
)
DIES = """
import multiprocessing, os
from stackclip.registry import methods
from stackclip.methods import Detector, Method
from stackclip.types import CLS, Prediction

class Dying(Detector):
    def predict(self, features):
        if multiprocessing.parent_process() is not None:
            os._exit(9)
        return Prediction(features[CLS][:, 0], None, why_no_maps="none are made")

@methods.register("dying")
class Dies(Method):
    "Ends its process, unless that is the first."
    def needs(self, tower, phase): return frozenset({CLS})
    def begin(self, task): return Dying()
"""


def rows(result: Result) -> dict[tuple[Any, ...], Any]:
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {(row["method"], row["category"], row["seed"]): row["metrics"] for row in found}


def test_two_processes_give_the_rows_of_one_also_where_one_dies(stackclip: Run, tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "registry").mkdir(parents=True)
        (tmp_path / place / "registry" / "dies.py").write_text(DIES)
    words = ("bench", "--methods", "precise,sdp,dying", "--seeds", "0,1", *WORDS, "--json")
    alone = rows(stackclip(tmp_path / "one", *words))
    shared = stackclip(tmp_path / "two", *words, "--workers", "4")
    assert shared.exit_code == 3, shared.stderr  # some cells failed
    found = [json.loads(line) for line in shared.stdout.splitlines()]
    assert len(found) == len(alone) == 3 * 2 * 2
    for row in found:
        key = (row["method"], row["category"], row["seed"])
        assert row["metrics"] == ({} if row["error"] else alone[key])
    assert {row["method"] for row in found if row["error"]} == {"dying"}  # though others were with it
    assert {row["error"] for row in found if row["error"]} == {"a process died 3 times at it"}
    assert "a process died at its work" in shared.stderr


def test_work_is_small_and_cut_by_seeds_then_by_methods(tmp_path: Path) -> None:
    session = Session(tmp_path)
    contest = session.contest(["precise", "sdp", "clip"], train_on=TRAINING, test_on=TESTED, seeds=(0, 1), epochs=1)
    for processes, pieces in ((2, 1), (4, 2), (16, 3)):
        works = works_of(session, contest, processes, "only-missing")
        assert len(works) == 2 * pieces
        cells = [(method, work.conditions["seeds"][0]) for work in works for method in work.methods]
        assert sorted(cells) == sorted((method, seed) for method in ("precise", "sdp", "clip") for seed in (0, 1))
        assert max(len(pickle.dumps(work)) for work in works) < 10_000
