"""What is made once: by whoever comes first, and again only where making it failed."""

from __future__ import annotations

import pickle
import threading
import time

import pytest

from stackclip.ops.once import Once


def test_it_is_made_when_it_is_first_asked_for_and_once() -> None:
    made: list[int] = []
    once = Once(lambda: made.append(len(made)) or made)
    assert (made, once.is_made) == ([], False)
    assert once() is once()
    assert once.is_made
    assert made == [0]


def test_threads_that_ask_at_once_are_given_the_same() -> None:
    made: list[object] = []

    def slow() -> object:
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    once, found = Once(slow), list[object]()
    threads = [threading.Thread(target=lambda: found.append(once())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8


def test_what_cannot_be_made_is_tried_again() -> None:
    answers = iter([ZeroDivisionError("first"), "second"])

    def make() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    once = Once(make)
    with pytest.raises(ZeroDivisionError, match="first"):
        once()
    assert (once(), once()) == ("second", "second")


def test_what_makes_one_may_ask_for_another() -> None:
    inner = Once(lambda: "inner")
    assert Once(inner)() == "inner"


def test_what_was_made_goes_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(Once.of({"a": 1})))() == {"a": 1}
