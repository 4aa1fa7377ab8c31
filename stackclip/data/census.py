"""What the published data sets hold: their categories, how many pictures, and whether a folder holds the same."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from stackclip.types import ANOMALOUS, UNLABELLED, Sample

__all__ = [
    "TOTAL",
    "Counts",
    "difference",
    "is_published",
    "part_of",
    "published_categories",
    "published_counts",
    "published_size",
]

TOTAL = "*"  # in place of a category, where only the sum over all of them is known
_TABLE = "published_counts.csv"
_SHOWN = 3

# The data sets of the MVTec-AD layout whose categories can tell them from anyone's own; `01` cannot.
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


def is_published(name: str) -> bool:
    """Whether a published data set has this name."""
    return bool(published_counts(name))


def published_size(name: str, protocol: str = "") -> str:
    """How many categories and pictures a published data set has, in words; empty where nothing is known."""
    counts, categories = published_counts(name, protocol), published_categories(name)
    rows = [counts[TOTAL]] if TOTAL in counts else list(counts.values())
    if not rows:
        return ""
    sums = [None if None in column else sum(column) for column in zip(*rows, strict=True)]
    parts = [f"{len(categories)} {'category' if len(categories) == 1 else 'categories'}"] if categories else []
    kinds = {row["kinds"] for row in _rows() if (row["dataset"], row["protocol"]) == (name, protocol)}
    normal = UNLABELLED if kinds == {UNLABELLED} else "good"
    for split, word, good, defective in (("train", "good", *sums[:2]), ("test", normal, *sums[2:])):
        known = ((good, word), (defective, "defective"))
        if said := " + ".join(f"{number} {what}" for number, what in known if number):
            parts.append(f"{split} {said}")
    return ", ".join(parts)


def part_of(samples: Iterable[Sample]) -> str:
    """The published data set of the MVTec-AD layout that `samples` are (a part of), empty where they do not tell.

    All their categories have its names, and more than that: they are more than half of its categories, or most of
    them, two at least, agree with it in their counts or kinds of defects, or the only one has its very counts. See
    decision 0022.
    """
    samples = tuple(samples)
    found = _counted(samples)
    kinds: dict[str, set[str]] = {category: set() for category in found}
    for sample in samples:
        if sample.label == ANOMALOUS:
            kinds[sample.category].add(sample.defect)
    for known in _TELLING if found else ():
        expected = {name: counts for name, counts in published_counts(known).items() if name != TOTAL}
        if not set(found) <= set(expected):
            continue
        exact = {name for name, counts in found.items() if _tests_as(counts, expected[name])}
        alike = {name for name, counts in found.items() if _could_be(counts, expected[name], kinds[name], known, name)}
        agreeing = len(exact | alike)
        if 2 * len(found) > len(expected) or (agreeing > 1 and 2 * agreeing > len(found)) or len(exact) == len(found):
            return known
    return ""


def _tests_as(found: Counts, expected: Counts) -> bool:
    """Whether exactly the published numbers of pictures are tested."""
    return None not in expected[2:] and found[2:] == expected[2:]


def _could_be(found: Counts, expected: Counts, kinds: Collection[str], known: str, category: str) -> bool:
    """Whether several kinds of defects are among the published ones, of no more pictures than those."""
    fewer = all(wanted is None or (have or 0) <= wanted for have, wanted in zip(found, expected, strict=True))
    return fewer and len(kinds) > 1 and set(kinds) <= _published_kinds()[known, category]


def difference(name: str, published: str, protocol: str, samples: Iterable[Sample]) -> str:
    """One line on how the data set `name` differs from the published one in its counts; empty where it does not.

    A split of which there is no picture is not compared: who tests needs no train pictures.
    """
    expected = published_counts(published, protocol)
    samples = tuple(samples)
    if published != name and is_published(name) and expected:
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
def _published_kinds() -> Mapping[tuple[str, str], frozenset[str]]:
    """The kinds of defects by data set and category, empty where there are none to tell."""
    return {
        (row["dataset"], row["category"]): frozenset(filter(None, row["kinds"].split("+")))
        for row in _rows()
        if not row["protocol"]
    }


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = (resources.files("stackclip.data") / _TABLE).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
