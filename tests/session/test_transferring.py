"""A transfer and its draws of words from Python and from the command line: rows of ordinary benches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.errors import CategoryOverlap, UsageError
from stackclip.session import BenchRows, Session, TowerRecipe
from stackclip.session.jobs import BenchWords

SETS = (
    "synthetic[categories=1,per_category=4,train_good=2,size=56]",
    "synthetic[part=novel,categories=1,per_category=4,train_good=2,size=56]",
    "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]",
)
NAMES = ("synthetic-training", "synthetic-novel", "synthetic-combinations")
RECIPE = TowerRecipe("random-vit-8", image_size=56)
HOW: dict[str, Any] = {"epochs": 1}
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(tmp_path_factory.mktemp("work"), RECIPE)


def test_rows_are_those_of_benches_and_a_second_transfer_computes_nothing(session: Session) -> None:
    done = session.transfer(["precise", "winclip"], datasets=SETS, **HOW)
    assert done.transfer.names == NAMES
    assert [(each.trained, each.tested) for each in done.transfer.refused] == [NAMES[1:], NAMES[:0:-1]]
    assert "plain-surface: tested on" in done.transfer.refused[0].why
    trained = {(row.method, row.train_on, row.test_on) for row in done.rows}
    assert {sets for method, sets, _ in trained if method == "winclip"} == {()}
    assert len({sets for method, sets, _ in trained if method == "precise"}) == 4
    assert ("precise", NAMES[1:], NAMES[0]) in trained
    alone = session.bench("precise", train_on=SETS[0], test_on=SETS[1], overwrite="never", **HOW)
    assert alone[0] in done.rows
    assert session.transfer(["precise", "winclip"], datasets=SETS, **HOW).rows.computed == 0
    report = session.report(["precise", "winclip"], transfer=NAMES)
    assert [table.title for table in report.tables] == [table.title for table in done.document().tables]
    figures = [
        [cell.text for table in document.tables for line in table.lines for cell in line.cells]
        for document in (report, done.document())
    ]
    assert figures[0] == figures[1]
    assert "above singles" in done._repr_html_()


def test_shards_together_are_the_whole(session: Session, tmp_path: Path) -> None:
    other = Session(tmp_path, RECIPE)
    shutil.copytree(session.workspace.features, other.workspace.features, dirs_exist_ok=True)
    parts = [other.transfer("clip", datasets=SETS[:2], shard=f"{part}/2", **HOW).rows for part in (1, 2)]
    whole = other.transfer("clip", datasets=SETS[:2], **HOW).rows
    assert (whole.computed, len(whole)) == (0, sum(map(len, parts)))


def test_sets_that_share_pictures_are_left_out_with_the_reason(session: Session, tmp_path: Path) -> None:
    [first] = session.opened(SETS[0]).values()
    shutil.copytree(first.root, tmp_path / "copy" / "thing")
    copy = f"copy={tmp_path / 'copy' / 'thing'}"
    renamed = next((tmp_path / "copy" / "thing").iterdir())
    renamed.rename(renamed.with_name("another"))
    transfer, contests = session.transfer_contests("clip", datasets=(SETS[0], copy, SETS[1]), **HOW)
    assert [(each.trained, each.tested) for each in transfer.refused] == [(NAMES[0], "copy"), ("copy", NAMES[0])]
    assert "byte for byte" in transfer.refused[0].why
    pairs = {(each.train_on[0].name, other.name) for each in (c.plan for c in contests) for other in each.test_on}
    assert (NAMES[0], "copy") not in pairs
    assert (NAMES[1], "copy") in pairs
    with pytest.raises(CategoryOverlap, match="can teach another"):
        session.transfer_contests("clip", datasets=(SETS[0], copy), **HOW)


def test_what_makes_no_transfer_is_refused(session: Session, tmp_path: Path) -> None:
    for datasets, why in ((SETS[:1], "name two or more"), ((SETS[0], SETS[0]), "named twice")):
        with pytest.raises(UsageError, match=why):
            session.transfer(datasets=datasets)
    with pytest.raises(UsageError, match="leave --train-list out"):
        session.transfer(datasets=SETS, train_list=tmp_path / "list.jsonl")


def test_draws_of_words_are_benches_too(session: Session) -> None:
    words: dict[str, Any] = {"train_on": SETS[0], "test_on": SETS[1], **HOW}
    rows = session.bench(["precise", "clip"], prompt_jitter=2, **words)
    assert sorted({row.facts.get("words", 0) for row in rows}) == [0, 1, 2]
    plain = session.bench(["precise", "clip"], overwrite="never", **words)
    assert [*plain] == [row for row in rows if "words" not in row.facts]
    assert isinstance(session.bench(["precise", "clip"], prompt_jitter=1, **words), BenchRows)
    assert session.bench(["precise", "clip"], prompt_jitter=2, **words).computed == 0
    contest = session.contest("clip", **words)
    worded = replace(contest, plan=replace(contest.plan, words=2))
    assert BenchWords.of(worded, "only-missing").contest(session).plan.words == 2  # as another process makes it
    [table] = session.report(["precise", "clip"], train_on=NAMES[0], test_on=NAMES[1]).tables
    assert [line.method for line in table.lines] == ["precise", "in 3 wordings", "clip", "in 3 wordings"]


TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--epochs", "1")


@pytest.fixture
def verb(session: Session, stackclip: Callable[..., Result]) -> Callable[..., Result]:
    """A command line in the workspace of the session."""
    return lambda *words: stackclip(session.workspace.cache.parent, *words)


def test_the_verb_prints_the_tables_and_draws_them(verb: Callable[..., Result], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("bench", "--methods", "clip,winclip", "--transfer", ",".join(SETS[:2]), *TOWER)
    dry = verb(*words, "--dry-run")
    assert dry.exit_code == 0
    assert dry.output.count("would encode") == 1
    assert dry.output.count("would compute") == 1
    done = verb(*words, "--plot", str(tmp_path / "x.png"), "-o", str(tmp_path / "x.md"))
    assert done.exit_code == 0, done.output
    assert "trained on all other data sets, tested on each" in done.output
    assert (tmp_path / "x.png").is_file()
    assert "winclip (not trained)" in (tmp_path / "x.md").read_text()
    assert "would compute 0 of" in verb(*words, "--dry-run").output


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--train-on", SETS[0]), "leave out --train-on"),
        (("--test-on", SETS[0]), "leave out --test-on"),
        (("--suite", "few-shot-curve"), "leave out --suite"),
        (("--prompt-jitter", "2"), "leave out --prompt-jitter"),
        (("--train-list", "list.jsonl"), "leave --train-list out"),
        (("--paper-tower",), "name one, or the tower with --backbone"),
    ],
)
def test_what_goes_against_a_transfer_is_refused_in_a_line(
    verb: Callable[..., Result], more: tuple[str, ...], why: str
) -> None:
    result = verb("bench", "--methods", "clip", "--transfer", ",".join(SETS[:2]), *TOWER, *more)
    assert result.exit_code != 0
    assert why in " ".join(result.output.split())


def test_the_verb_shows_what_words_alone_cause(verb: Callable[..., Result]) -> None:
    words = ("bench", "--methods", "clip,precise", "--train-on", SETS[0], "--test-on", SETS[1], *TOWER)
    done = verb(*words, "--prompt-jitter", "1")
    assert done.exit_code == 0, done.output
    assert "in 2 wordings" in done.output
    assert "precise and clip are equal in all 2 wordings" in " ".join(done.output.split())
    assert "would compute 0 of" in verb(*words, "--prompt-jitter", "1", "--dry-run").output
    assert verb(*words, "--prompt-jitter", "0").exit_code == 2
