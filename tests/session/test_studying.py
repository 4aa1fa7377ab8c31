"""Studies before they run: what a question is asked on, and what is no question."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from stackclip.errors import UsageError
from stackclip.papers.suites import read_suite
from stackclip.session import Session
from stackclip.session.studying import Section

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
PLACES = f'train_on = ["{TRAINING}"]\ntest_on = ["{TESTED}"]\n'
ABLATION = '[[runs]]\ntitle = "Parts"\nablate = "stacked"\n' + PLACES
TRANSFER = f'[[runs]]\ntitle = "Who"\nmethods = ["clip"]\ntransfer = ["{TRAINING}", "{TESTED}"]\n'


def sections(folder: Path, text: str, **words: Any) -> list[Section]:
    (folder / "mine.toml").write_text(text)
    return Session(workspace=folder / "work").sections([read_suite(folder / "mine.toml")], writes=False, **words)


@pytest.mark.parametrize("text", ['shows = ["pixel_XY"]\n' + ABLATION, ABLATION + 'shows = ["pixel_XY"]\n'])
def test_a_metric_that_there_is_not_is_said_before_anything_runs(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mine: no metric 'pixel_XY'"):
        sections(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (ABLATION, {"methods": ("clip",)}, "Parts: ablates stacked, so no other methods"),
        (TRANSFER, {"test_on": (TESTED,)}, "Who: is a transfer between"),
    ],
)
def test_what_a_question_has_no_use_for_is_said(
    text: str, words: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "stackclip"):
        found = sections(tmp_path, text, **words)
    assert len(found) == 1
    assert said in caplog.text


def test_a_selection_is_on_the_tower_of_its_run_where_those_of_papers_are_asked_for(tmp_path: Path) -> None:
    text = '[[runs]]\nmethods = ["stacked[clusters=1|2]"]\nselect = "k-fold"\n' + PLACES
    text += 'tower = { backbone = "random-vit-8", image_size = 56 }\n'
    [section] = sections(tmp_path, text, paper_tower=True)
    assert (section.benches.session.backbone.backbone, section.benches.session.backbone.image_size) == (
        "random-vit-8",
        56,
    )


def test_each_run_of_a_title_is_in_its_own_wordings(tmp_path: Path) -> None:
    runs = [
        '[[runs]]\ntitle = "Words"\nmethods = ["clip"]\n' + PLACES,
        '[[runs]]\ntitle = "Words"\nmethods = ["sdp"]\n',
    ]
    [section] = sections(tmp_path, runs[0] + runs[1] + "prompt_jitter = 1\n" + PLACES)
    found = [(method, each.plan.words) for each in section.benches.contests for method in each.plan.methods]
    assert found == [("clip", 0), ("sdp", 0), ("sdp", 1)]
