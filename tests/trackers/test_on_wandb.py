"""Weights & Biases, of which a double stands in: what is asked of it, in which order."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers import Notice, Value

NOTICE = Notice(
    "ab12",
    "sdp seed 0",
    {"method": "sdp"},
    (Value("train/loss", 2.0, 1), Value("train/loss", 1.0, 2), Value("mvtec/nut/image_AUROC", 0.5)),
)


class Run:
    """A run that remembers."""

    def __init__(self) -> None:
        self.logged: list[dict[str, float]] = []
        self.summary: dict[str, float] = {}
        self.finished = 0

    def log(self, numbers: dict[str, float]) -> None:
        self.logged.append(numbers)

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], Run]]:
    """The runs that the double began, with the words it was given."""
    runs: list[tuple[dict[str, Any], Run]] = []

    def init(**words: Any) -> Run:
        runs.append((words, Run()))
        return runs[-1][1]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    return runs


def test_a_run_has_curves_with_steps_and_a_summary_and_is_finished_once(begun: Any, tmp_path: Path) -> None:
    tracker = trackers.create(f"wandb[mode=offline,project=p,folder={tmp_path / 'w'}]")
    tracker.log(NOTICE)
    tracker.log(Notice(NOTICE.run, NOTICE.title, NOTICE.facts, (Value("visa/pcb/image_AUROC", 0.25),)))
    tracker.log(Notice("other", NOTICE.title, NOTICE.facts, ()))
    [(words, run), (others, _)] = begun
    wanted = {"id": "ab12", "name": "sdp seed 0", "config": {"method": "sdp"}, "project": "p", "mode": "offline"}
    assert {name: words[name] for name in wanted} == wanted
    assert (others["id"], words["resume"], words["dir"]) == ("other", "allow", str(tmp_path / "w"))
    assert run.logged == [{"train/loss": 2.0, "train/loss step": 1}, {"train/loss": 1.0, "train/loss step": 2}]
    assert run.summary == {"mvtec/nut/image_AUROC": 0.5, "visa/pcb/image_AUROC": 0.25}
    tracker.close()
    tracker.close()
    assert [run.finished for _, run in begun] == [1, 1]


def test_few_of_many_runs_are_open(begun: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackclip.trackers.tracker.MOST_OPEN", 2)
    tracker = trackers.create(f"wandb[folder={tmp_path}]")
    for number in range(5):
        tracker.log(Notice(str(number), NOTICE.title, NOTICE.facts, ()))
    assert [run.finished for _, run in begun] == [1, 1, 1, 0, 0]
    assert not tracker.at_once
    tracker.close()
    assert [run.finished for _, run in begun] == [1] * 5


@pytest.mark.usefixtures("begun")
def test_places_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("WANDB_MODE", "WANDB_ENTITY", "WANDB_BASE_URL")

    def found(options: str = "", **environment: str) -> str:
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return str(trackers.create(f"wandb[folder={tmp_path}{options}]").destination)

    modes = [found(WANDB_MODE=mode) for mode in ("online", "offline", "disabled")]
    others = [found(WANDB_ENTITY="team"), found(WANDB_BASE_URL="http://own"), found(",project=p"), found(",entity=e")]
    assert len({*modes, *others}) == 7
    assert found() == found(WANDB_MODE="run") == found(WANDB_BASE_URL="https://api.wandb.ai/") == modes[0]
    assert found(",mode=offline") == found(WANDB_MODE="dryrun") == modes[1]
    assert found(",mode=offline", WANDB_MODE="disabled") == modes[1]
    assert found(",entity=team", WANDB_ENTITY="other") == others[0]
    for mode, same in (("online", True), ("offline", False)):
        here, there = (trackers.create(f"wandb[mode={mode},folder={tmp_path / name}]") for name in "ab")
        assert (here.destination == there.destination) is same


def test_without_wandb_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r'needs wandb, which is not installed: pip install "stackclip\[wandb\]"'):
        trackers.create("wandb")


def test_the_library_itself_keeps_a_run_in_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install stackclip[wandb]")
    tracker = trackers.create(f"wandb[mode=offline,folder={tmp_path}]")
    tracker.log(NOTICE)
    tracker.close()
    assert len([*tmp_path.glob("wandb/offline-run-*-ab12/run-ab12.wandb")]) == 1
