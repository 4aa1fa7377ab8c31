"""What of suites can run with what is at hand, and what is said of the rest."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError, StackclipError, UsageError
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.contests import Request, contests_of
from stackclip.papers.runs import PaperTower, Run
from stackclip.papers.suites import Suite

SMALL = "categories=2,per_category=2,train_good=1,size=56"
TRAINING, TESTED = f"synthetic[{SMALL}]", f"synthetic[part=combinations,{SMALL}]"
TOWER = PaperTower(backbone="ViT-B-16", pretrained="openai", image_size=224)


def suite(name: str, *methods: str, test_on: tuple[str, ...] = (TESTED,), tower: PaperTower | None = TOWER) -> Suite:
    run = Run(methods=methods, train_on=(TRAINING,), test_on=test_on, tower=tower)
    return Suite(name=name, title=name, source="", runs=(run,))


@pytest.fixture
def opened() -> list[str]:
    """The texts of the data sets that a catalogue asked for."""
    return []


@pytest.fixture
def catalogue(tmp_path: Path, opened: list[str]) -> Catalogue:
    def open_one(text: str) -> Dataset:
        opened.append(text)
        return open_dataset(text, generated=tmp_path)

    return Catalogue(open_one)


def test_a_data_set_is_opened_once_and_one_that_cannot_be_had_is_tried_once(
    catalogue: Catalogue, opened: list[str]
) -> None:
    assert catalogue.dataset(TESTED) is catalogue.dataset(TESTED)
    for _ in range(2):
        with pytest.raises(DataError, match="nowhere"):
            catalogue.dataset("./nowhere")
    assert opened == [TESTED, "./nowhere"]
    assert catalogue.texts == {"synthetic-combinations": TESTED}


def test_the_other_layout_of_a_published_set_is_tried_and_the_first_error_told() -> None:
    tried: list[str] = []

    def open_none(text: str) -> Dataset:
        tried.append(text)
        raise StackclipError(f"no {text}")

    with pytest.raises(StackclipError, match=r"no visa$"):
        Catalogue(open_none).dataset("visa")
    assert tried == ["visa", "visa-prepared"]


def test_what_several_suites_lack_is_one_line_and_the_rest_is_planned(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing is called nearly so
    several = [
        suite("one", "fuzzy", "nonsuch"),
        suite("two", "nonsuch"),
        suite("three", "clip", test_on=("./nowhere",)),
    ]
    with caplog.at_level(logging.WARNING, "stackclip"):
        contests = contests_of(several, catalogue, Request())
    assert [(contest.suite and contest.suite.name, contest.plan.methods) for contest in contests] == [
        ("one", ("fuzzy",))
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "lacking for one, two: no method is named nonsuch",
        "lacking for three: ./nowhere: no such folder; nothing is downloaded",
    ]


def test_a_request_changes_runs_plans_and_towers(catalogue: Catalogue) -> None:
    words = {"seeds": (3,), "ci": True}
    [contest] = contests_of(
        [suite("one", "fuzzy")], catalogue, Request.of(words, paper_tower=True, own_tower=("image_size",))
    )
    assert (contest.plan.seeds, contest.plan.ci) == ((3,), True)
    assert contest.tower == {"backbone": "ViT-B-16", "pretrained": "openai"}
    [contest] = contests_of([suite("one", "fuzzy")], catalogue, Request())
    assert contest.tower == {}


def test_only_the_categories_asked_for_are_tested(catalogue: Catalogue) -> None:
    first, _ = sorted(catalogue.dataset(TESTED).categories)
    [contest] = contests_of([suite("one", "fuzzy")], catalogue, Request(categories=(first,)))
    assert [dataset.categories for dataset in contest.plan.test_on] == [(first,)]
    assert contests_of([suite("one", "fuzzy")], catalogue, Request(categories=("none",))) == []


def test_a_wrong_method_that_was_asked_for_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="did you mean 'fuzzy'"):
        catalogue.make(("fuzzi",))
