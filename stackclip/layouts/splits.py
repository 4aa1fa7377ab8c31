"""Splits by the names of folders, files and cells, and what is tested where no split is called test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from stackclip.types import Sample, Split

__all__ = ["split_named", "split_of_word", "tested"]

_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_PARTS = re.compile(r"[-_. ]+|(?<=[a-z])(?=\d)")


def split_of_word(word: str) -> Split | None:
    """The split that one word means, in any case."""
    return _WORDS.get(word.strip().casefold())


def split_named(names: Sequence[str]) -> Split | None:
    """The split that the last of some names says which has its word in it: `instances_val2017`, `images/train`."""
    for name in reversed(names):
        said = {split for word in _PARTS.split(name.casefold()) if (split := _WORDS.get(word))}
        if len(said) == 1:
            return said.pop()
    return None


def tested(samples: Sequence[Sample]) -> tuple[list[Sample], tuple[str, ...]]:
    """The samples, of which some are tested, and a line, if there is one, where no split is called so.

    Annotated data often have train and val alone: then val is tested. One split alone parts nothing: all are tested.
    """
    splits = {sample.split for sample in samples}
    if "test" in splits or not splits:
        return list(samples), ()
    chosen: Split = "validation" if "validation" in splits else "train"
    moved = [replace(sample, split="test") if sample.split == chosen else sample for sample in samples]
    said = f"all pictures are called {chosen}" if len(splits) == 1 else f"no picture is called test, some {chosen}"
    return moved, (f"{said}: these are tested",)
