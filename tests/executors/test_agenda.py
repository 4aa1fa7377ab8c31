"""Jobs come when those before them are through; those at which processes die come in parts, and then again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from stackclip.executors import TRIES, Agenda, Ask, Done, Job, Told, carried_out
from stackclip.executors.agenda import GIVE_UP
from stackclip.executors.serial import Serial
from stackclip.registry import executors


def letters(job: Job) -> list[Job]:
    return [replace(job, what=letter) for letter in job.what]


def dying_at(bad: str, tried: list[str]) -> Any:
    """What does jobs whose `what` are letters; a process dies at one that has a bad letter."""

    def run(ask: Ask, told: Told) -> Iterator[Done]:
        while (job := ask()) is not None:
            tried.append(job.what)
            yield Done(job, died=any(letter in bad for letter in job.what))

    return run


def test_a_job_waits_until_none_of_a_label_is_left() -> None:
    jobs = [Job("b", "late", ("first",)), Job("a", "x", label="first"), Job("a", "y", label="first")]
    agenda = Agenda(jobs, letters)
    started = [agenda.ask(), agenda.ask()]
    assert [job and job.what for job in started] == ["x", "y"]
    assert agenda.ask() is None
    assert started[0]
    assert started[1]
    agenda.settle(Done(started[0]))
    assert agenda.ask() is None
    agenda.settle(Done(started[1]))
    late = agenda.ask()
    assert late
    assert (late.what, agenda.count) == ("late", 1)


def test_what_waits_for_a_label_waits_for_the_parts_of_its_jobs_too() -> None:
    tried: list[str] = []
    jobs = [Job("a", "xy", label="first"), Job("b", "z", ("first",))]
    assert [done.job.what for done in carried_out(dying_at("x", tried), Agenda(jobs, letters), print)] == [
        "x",
        "y",
        "z",
    ]
    assert tried == ["xy", *"x" * TRIES, "y", "z"]


def test_only_the_part_at_which_processes_die_is_lost() -> None:
    tried: list[str] = []
    found = list(carried_out(dying_at("c", tried), Agenda([Job("a", "abcd")], letters), print))
    assert [(done.job.what, done.died) for done in found] == [("a", False), ("b", False), ("c", True), ("d", False)]
    assert tried.count("c") == TRIES


def test_where_processes_only_die_the_rest_is_left_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[str] = []
    agenda = Agenda([Job("a", letter) for letter in "x" * 100], letters)
    found = list(carried_out(dying_at("x", tried), agenda, print))
    assert len(tried) == GIVE_UP
    assert len(found) + agenda.left == 100
    assert f"{GIVE_UP} processes died one after another: {agenda.left} jobs left" in caplog.messages


def test_what_is_not_wanted_any_more_is_skipped_and_waited_for_by_nobody() -> None:
    jobs = [Job("b", "z", ("first",)), *[Job("a", "x", label="first")] * 2000]
    agenda = Agenda(jobs, letters, lambda job: None if job.what == "x" else job)
    wanted = agenda.ask()
    assert wanted
    assert wanted.what == "z"


def test_the_serial_executor_does_a_job_when_its_outcome_is_asked_for() -> None:
    made = executors.create("serial")
    assert isinstance(made, Serial)
    ran: list[str] = []

    def do(job: Job, tell: object) -> int:
        ran.append(job.what)
        return 1 // len(job.what)

    with made.hired(do) as run:
        outcomes = run(Agenda([Job("a", "x"), Job("a", ""), Job("a", "y")], letters).ask, print)
        assert ran == []
        assert (next(outcomes).result, ran) == (1, ["x"])
        broken = next(outcomes)
        assert "ZeroDivisionError" in str(broken.error)
        assert next(outcomes).job.what == "y"
