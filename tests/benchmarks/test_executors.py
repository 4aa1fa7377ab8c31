"""Executors run every job and give the results in order."""

from __future__ import annotations

from functools import partial

import pytest

from stackclip.benchmarks.executors import Serial
from stackclip.registry import executors


def test_the_serial_executor_stands_on_its_shelf() -> None:
    assert isinstance(executors.create("serial"), Serial)


def test_results_come_in_the_order_of_the_jobs() -> None:
    assert list(Serial().run([partial(int, text) for text in "312"])) == [3, 1, 2]


def test_a_job_runs_only_when_its_result_is_asked_for() -> None:
    ran: list[int] = []
    results = Serial().run([partial(ran.append, number) for number in range(3)])
    assert ran == []
    next(results)
    assert ran == [0]


def test_what_a_job_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(Serial().run([partial(divmod, 1, 0)]))
