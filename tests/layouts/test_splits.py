"""Splits by their names."""

from __future__ import annotations

import pytest

from stackclip.layouts.splits import split_named
from stackclip.types import Split


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("images", "train"), "train"),
        (("Train", "images"), "train"),
        (("valid",), "validation"),
        (("annotations", "instances_val2017"), "validation"),
        (("test-2024",), "test"),
        (("TEST",), "test"),
        (("train", "test"), "test"),
        (("train_test",), None),
        (("contest",), None),
        (("trainer", "developer"), None),
        ((), None),
    ],
)
def test_the_last_name_with_one_word_of_a_split_says_which(names: tuple[str, ...], split: Split | None) -> None:
    assert split_named(names) == split
