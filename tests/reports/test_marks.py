"""A method whose scores depend on all tested pictures of a category says so in its rows and is marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from stackclip.reports.marks import dependent_on_others
from stackclip.types import Row

DATA = "synthetic[part={},categories=1,per_category=4,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
DEPENDENT = ("sdp", "sdp-plus", "clip-direct[image_score=text+map]", "aa-clip", "april-gan[shots=2]")
ALONE = ("sdp[image_score=text]", "clip-direct[image_score=inductive]", "aa-clip[image_score=map]", "april-gan")


def row(**facts: object) -> Row:
    return Row(method="m", train_on=(), test_on="b", category="c", shots=0, seed=0, facts=facts)


def test_whose_scores_are_settled_over_a_category_is_marked(stackclip: Callable[..., Result], tmp_path: Path) -> None:
    sets = ("--train-on", DATA.format("training"), "--test-on", DATA.format("combinations"))
    words = (*sets, *TOWER, "--epochs", "1", "--methods", ",".join((*DEPENDENT, *ALONE)))
    done = stackclip(tmp_path, "bench", *words, "--json")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["method"]: each["facts"].get("transductive") for each in rows} == {
        **dict.fromkeys(DEPENDENT, "scores"),
        **dict.fromkeys(ALONE),
    }


def test_what_a_row_says_of_others_is_its_fact_or_stands_in_how_its_score_was_made() -> None:
    assert dependent_on_others(row(transductive="scores and maps", image_score="text")) == "scores and maps"
    assert dependent_on_others(row(image_score="text+map (transductive)")) == "scores"
    assert dependent_on_others(row(image_score="text and transductive map maximum")) == "scores"
    assert dependent_on_others(row(image_score="text")) == dependent_on_others(row()) == ""
