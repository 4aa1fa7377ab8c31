"""Trackers are told of every row once, and what fails there costs no row."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stackclip.benchmarks.tracking import Tracking, notices_of
from stackclip.trackers import Notice, Tracker
from stackclip.types import Row

FACTS = {
    "losses": [{"loss": 2.0}, {"loss": 1.0}],
    "curve": [{"step": 5, "metrics": {"image_AUROC": 0.25}, "epoch": 1.0}],
    "options": {"clusters": "2"},
    "protocol": "p",
}


def row(method: str = "sdp", category: str = "nut", value: float = 0.5, **more: object) -> Row:
    return Row(method, ("visa",), "mvtec", category, 0, 0, {"image_AUROC": value}, facts={**FACTS, **more})


@dataclass
class Remembers:
    """A tracker that fails where it is asked to."""

    destination: str = "here"
    fails: BaseException | None = None
    told: list[Notice] = field(default_factory=list)
    closed: int = 0
    at_once: bool = True
    fails_to_close: bool = False

    def log(self, notice: Notice) -> None:
        if self.fails is not None:
            raise self.fails
        self.told.append(notice)

    def close(self) -> None:
        self.closed += 1
        if self.fails_to_close:
            raise OSError("nobody answers")

    @property
    def names(self) -> list[str]:
        return [value.name for notice in self.told for value in notice.values]


def of(folder: Path, *trackers: Tracker) -> Tracking:
    return Tracking({f"t{number}": tracker for number, tracker in enumerate(trackers)}, folder)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, "stackclip"):
        yield caplog


def test_a_row_is_its_training_its_figures_and_its_curve_in_the_run_of_its_method() -> None:
    training, figures = notices_of(row())
    assert training.run == figures.run
    assert [(each.name, each.number, each.step) for each in training.values] == [
        ("train/loss", 2.0, 1),
        ("train/loss", 1.0, 2),
    ]
    assert [(each.name, each.number, each.step) for each in figures.values] == [
        ("mvtec/nut/image_AUROC", 0.5, 0),
        ("mvtec/nut/curve/image_AUROC", 0.25, 5),
    ]
    assert figures.facts["method"] == "sdp"
    assert figures.facts["options"] == '{"clusters": "2"}'


def test_runs_are_of_what_was_trained_once() -> None:
    def run(each: Row) -> str:
        return next(notices_of(each)).run

    same = [row(), row(category="pill"), replace(row(), test_on="btad", metrics={})]
    others = [row("clip"), replace(row(), seed=1), replace(row(), train_on=()), replace(row(), shots=4)]
    others += [row(protocol="q"), row(features="f"), row(trained={"content": "c", "places": []})]
    assert len({run(each) for each in same}) == 1
    assert len({run(each) for each in (same[0], *others)}) == 1 + len(others)


def test_a_failed_row_is_not_told(tmp_path: Path) -> None:
    tracker = Remembers()
    of(tmp_path, tracker).tell(replace(row(), error="too dark", metrics={}))
    assert tracker.told == []


def test_what_was_told_is_not_told_again_by_whomever_and_training_once_for_all_rows(tmp_path: Path) -> None:
    first, again = Remembers(), Remembers()
    for each in (row(), row(), row(category="pill")):
        of(tmp_path, first).tell(each)
    of(tmp_path, again).tell(row(category="pill"))
    assert first.names.count("train/loss") == 2
    assert first.names.count("mvtec/nut/image_AUROC") == first.names.count("mvtec/pill/image_AUROC") == 1
    assert again.told == []
    metrics = {"image_AUROC": 0.5, "image_AP": 0.25}
    of(tmp_path, first).tell(replace(row("other"), metrics=metrics))
    of(tmp_path, again).tell(replace(row("other"), metrics=dict(reversed(metrics.items()))))  # as JSON may give them
    assert again.told == []


@pytest.mark.parametrize("name", ["</script>", "a\x1b[2J", "\udcff", "../../x", "größe 日本", ""])
def test_any_name_can_be_told_and_stays_apart_from_others(
    name: str, tmp_path: Path, heard: pytest.LogCaptureFixture
) -> None:
    tracker = Remembers(f"here {name}")
    of(tmp_path, tracker).tell(replace(row(name, category=name, note=name), test_on=name, train_on=(name,)))
    of(tmp_path, tracker).tell(row())
    assert heard.records == []
    assert len({notice.run for notice in tracker.told}) == 2
    assert len(tracker.names) == 2 * (2 + 1 + 1)  # losses, figures and points of two runs
    assert not [each for each in tracker.names if each.count("/") != 2 - each.startswith("train") + ("/curve/" in each)]


def test_other_figures_and_other_places_are_told(tmp_path: Path) -> None:
    first, elsewhere = Remembers(), Remembers("there")
    of(tmp_path, first).tell(row())
    of(tmp_path, first, elsewhere).tell(row(value=0.75))
    assert first.names.count("mvtec/nut/image_AUROC") == 2
    assert elsewhere.names.count("train/loss") == 2


@pytest.mark.parametrize("error", [OSError("disk\nfull"), SystemExit(1), ValueError("\x1b[2J"), KeyboardInterrupt()])
def test_one_that_fails_is_said_once_and_left_alone_and_the_others_are_told(
    error: BaseException, tmp_path: Path, heard: pytest.LogCaptureFixture
) -> None:
    bad, good = Remembers(fails=error), Remembers("there")
    tracking = of(tmp_path, bad, good)
    for category in ("nut", "pill"):
        tracking.tell(row(category=category))
    tracking.close()
    assert tracking.untold == 2
    assert len(good.told) == 3
    assert (bad.closed, good.closed) == (0, 1)
    [said] = [record.getMessage() for record in heard.records]
    assert said.startswith("tracker t0: ")
    assert said.endswith("and the bench goes on; run the same command again to log the rest")
    assert "\n" not in said
    assert "\x1b" not in said
    bad.fails = None
    mended = of(tmp_path, bad, good)
    mended.tell(row())
    assert (len(bad.told), len(good.told), mended.untold) == (2, 3, 0)


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    (tmp_path / "told").write_text("a file")
    tracking = of(tmp_path / "told", Remembers())
    tracking.tell(row())
    assert tracking.untold == 1
    assert len(heard.records) == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_what_was_told_is_told_again_where_the_tracker_cannot_be_closed(
    at_once: bool, tmp_path: Path, heard: pytest.LogCaptureFixture
) -> None:
    bad, good = Remembers(at_once=at_once, fails_to_close=True), Remembers("there", at_once=at_once)
    tracking = of(tmp_path, bad, good)
    for category in ("nut", "pill"):
        tracking.tell(row(category=category))
    assert tracking.untold == 0
    assert len(bad.told) == 3  # how it was trained once
    tracking.close()
    assert tracking.untold == 2
    assert ["nobody answers" in record.getMessage() for record in heard.records] == [True]
    bad.fails_to_close = False
    for told in (6, 6):
        again = of(tmp_path, bad, good)
        for category in ("nut", "pill"):
            again.tell(row(category=category))
        again.close()
        assert (len(bad.told), len(good.told), again.untold) == (told, 3, 0)


def test_one_that_keeps_numbers_when_it_is_closed_is_told_again_after_a_kill_or_a_failure(tmp_path: Path) -> None:
    tracker = Remembers(at_once=False)
    of(tmp_path, tracker).tell(row())  # and the bench is killed
    assert not any(tmp_path.iterdir())
    failing = of(tmp_path, tracker)
    failing.tell(row())
    tracker.fails = OSError("the server is down")
    failing.tell(row(category="pill"))
    failing.close()
    assert failing.untold == 2
    tracker.fails = None
    last = of(tmp_path, tracker)
    last.tell(row())
    last.close()
    assert len(tracker.told) == 6
