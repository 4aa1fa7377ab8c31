"""Errors of a download by their kinds, whatever library they come from."""

from __future__ import annotations

import errno
import time
import urllib.error
from email.message import Message
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackclip.clip.refusals import asked_wait, refusals, status_of
from stackclip.errors import UsageError, WeightsError


class Answered(Exception):
    """An answer as the clients of the hub raise it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"{status}\n")
        self.response = SimpleNamespace(status_code=status, headers=headers)


def line_of(error: BaseException) -> str:
    with pytest.raises(WeightsError) as caught, refusals("made of tiny", "makers/tiny", Path("cache")):
        raise error
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("the weights made of tiny could not be downloaded: ")
    return said


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": " 0 "}, 0),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"Retry-After": "7", "RateLimit": '"api";r=0;t=55'}, 7),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_the_seconds_that_an_answer_asks_to_wait_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(Answered(429, **headers)) == seconds


def test_a_date_to_wait_for_is_read_too() -> None:
    later = asked_wait(Answered(429, **{"Retry-After": formatdate(time.time() + 100, usegmt=True)}))
    assert later is not None
    assert 90 < later <= 100
    assert asked_wait(Answered(503, **{"Retry-After": formatdate(0, usegmt=True)})) == 0


def test_the_status_of_either_library() -> None:
    assert status_of(Answered(404)) == 404
    assert status_of(urllib.error.HTTPError("http://a", 403, "no", Message(), None)) == 403
    assert status_of(ValueError()) is None


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk of cache is full"),
        (errno.EDQUOT, "the disk of cache is full"),
        (errno.EACCES, "/x cannot be used"),
        (errno.EROFS, "/x cannot be used"),
        (errno.ENOTDIR, "/x cannot be used"),
    ],
)
def test_what_a_disk_refuses_is_told_however_deep_it_lies(number: int, said: str) -> None:
    below = OSError(number, "why", "/x")
    assert said in line_of(below)
    for outer in (RuntimeError("outer"), urllib.error.URLError(below)):
        outer.__context__ = below
        assert said in line_of(outer)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError("x"), "did not answer in time"),
        (urllib.error.URLError(TimeoutError("x")), "did not answer in time"),
        (urllib.error.URLError("no host"), "cannot be reached"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "cannot be reached"),
        (Answered(418), "answers what was not expected (418)"),
        (Answered(502), "is out of order (502)"),
        (OSError("Consistency check failed: file should be of size 9"), "not the whole file"),
        (KeyError("what\nis this"), "KeyError: "),
        (RuntimeError(), "RuntimeError: run again"),
    ],
)
def test_other_errors(error: BaseException, said: str) -> None:
    assert said in line_of(error)


@pytest.mark.parametrize("error", [UsageError("ours"), KeyboardInterrupt()])
def test_our_own_errors_and_interruptions_pass(error: Any) -> None:
    with pytest.raises(type(error)), refusals("made of tiny", "makers/tiny", Path("cache")):
        raise error
