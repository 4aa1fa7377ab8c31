"""What the published data sets hold: their categories, how many pictures, and whether a folder holds the same."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from stackclip.types import ANOMALOUS, Sample

__all__ = ["TOTAL", "Counts", "difference", "family_of", "published_categories", "published_counts"]

TOTAL = "*"  # in place of a category, where only the sum over all of them is known
_TABLE = "published_counts.csv"
_SHOWN = 3

# The data sets whose categories tell them from anyone's own; `01`, `brain` and `skin` do not.
_TELLING = ("mvtec", "visa", "mpdd", "dtd-synthetic", "dagm", "mvtec-loco")


class Counts(NamedTuple):
    """Numbers of pictures; None where the publications do not say, or contradict each other."""

    train_good: int | None
    train_defective: int | None
    test_good: int | None
    test_defective: int | None


@cache
def published_counts(name: str, protocol: str = "") -> Mapping[str, Counts]:
    """The counts of each category of a published data set, empty for any other.

    `protocol` names another split or selection than the usual one, as the data set's reader calls it.
    Sources: for VisA its split_csv, for the others their papers and the lists of test pictures that others publish.
    """
    return {
        row["category"]: Counts(*(int(row[field]) if row[field] else None for field in Counts._fields))
        for row in _rows()
        if (row["dataset"], row["protocol"]) == (name, protocol)
    }


def published_categories(name: str) -> tuple[str, ...]:
    """The categories of a published data set, empty for any other."""
    return tuple(category for category in published_counts(name) if category != TOTAL)


def family_of(categories: Iterable[str], name: str) -> str:
    """The published data set that `categories` are (a part of), where they tell it; else `name`."""
    own = set(categories)
    return next((known for known in _TELLING if own and own <= set(published_categories(known))), name)


def difference(name: str, published: str, protocol: str, samples: Iterable[Sample]) -> str:
    """One line on how the data set `name` differs from the published one in its counts; empty where it does not.

    A split of which there is no picture is not compared: who tests needs no train pictures.
    """
    expected = published_counts(published, protocol)
    samples = tuple(samples)
    if published != name and published_counts(name):
        return f"{name}: its categories are those of {published}"
    if not expected:
        return ""
    found = _counted(samples)
    categories = [category for category in expected if category != TOTAL]
    lacking = [category for category in categories if category not in found]
    splits = {sample.split for sample in samples}
    remarks = [f"{len(categories) - len(lacking)} of its {len(categories)} categories"] if lacking else []
    whole = {TOTAL: _sum(found.values())} if TOTAL in expected and not lacking else {}
    remarks += [
        said
        for category, counts in {**found, **whole}.items()
        if category in expected and (said := _compared(category, counts, expected[category], splits))
    ]
    if not remarks:
        return ""
    more = f"; and {len(remarks) - _SHOWN} more" if len(remarks) > _SHOWN else ""
    kind = f"{published} ({protocol})" if protocol else published
    return f"{name}: not {kind} as published: {'; '.join(remarks[:_SHOWN])}{more}"


def _compared(category: str, found: Counts, expected: Counts, splits: Collection[str]) -> str:
    """`bottle has test 20 + 62 (published 20 + 63)`, or nothing."""
    said = []
    for split, have, want in (("train", found[:2], expected[:2]), ("test", found[2:], expected[2:])):
        differs = any(wanted is not None and number != wanted for number, wanted in zip(have, want, strict=True))
        if differs and split in splits:
            said.append(f"{split} {_pair(have)} (published {_pair(want)})")
    whose = "the whole" if category == TOTAL else category
    return f"{whose} has {', '.join(said)}" if said else ""


def _pair(counts: tuple[int | None, ...]) -> str:
    return " + ".join("?" if number is None else str(number) for number in counts)


def _counted(samples: tuple[Sample, ...]) -> dict[str, Counts]:
    numbers = Counter((sample.category, sample.split, sample.label == ANOMALOUS) for sample in samples)
    return {
        category: Counts(
            numbers[category, "train", False],
            numbers[category, "train", True],
            numbers[category, "test", False],
            numbers[category, "test", True],
        )
        for category in dict.fromkeys(sample.category for sample in samples)
    }


def _sum(counts: Iterable[Counts]) -> Counts:
    return Counts(*(sum(number or 0 for number in column) for column in zip(*counts, strict=True)))


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = (resources.files("stackclip.data") / _TABLE).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
