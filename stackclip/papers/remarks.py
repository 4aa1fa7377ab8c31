"""What has to be said where printed numbers stand beside measured ones: towers, data, training, doubts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stackclip.benchmarks.facts import facts_of
from stackclip.data.census import published_categories, published_counts
from stackclip.papers.published import Lookup, Published, Reference
from stackclip.papers.schedules import apart_from_published
from stackclip.types import Row

__all__ = ["remarks"]


def remarks(lookup: Lookup, rows: Sequence[Row]) -> list[str]:
    """What has to be said of everything that the look-up finds beside these rows, each thing once."""
    cells = {(row.method, row.train_on, row.test_on, row.shots, facts_of(row).tower): row for row in rows}
    tested: dict[str, dict[str, int]] = {}
    for row in rows:
        tested.setdefault(row.test_on, {})[row.category] = facts_of(row).tested_pictures
    said: dict[str, None] = {}
    doubts: dict[tuple[str, str, str], dict[str, dict[str, None]]] = {}
    for row in cells.values():
        for category in ("", *tested[row.test_on]):
            for reference in lookup.find(row, category=category):
                said |= dict.fromkeys(_about(reference, row, lookup.trained(row), tested[row.test_on]))
                for line in (line for line in reference.lines if line.remark):
                    methods = doubts.setdefault((line.label, line.level, line.remark), {})
                    methods.setdefault(line.method, {})[line.dataset] = None
    return [*said, *_doubts(doubts)]


def _about(reference: Reference, row: Row, trained: set[str], tested: Mapping[str, int]) -> Iterator[str]:
    """What is to be said of one reference; `trained` are the published sets trained on, `tested` counts pictures."""
    first, epochs = reference.lines[0], facts_of(row).asked_epochs
    yield _about_tower(reference, row)
    if part := _about_part(first, row.test_on, tested):
        yield f"{reference.label}: {part}"
    if first.train_on and set(first.train_on) != trained:
        yield f"{reference.label}: trained there on {'+'.join(first.train_on)}, here on {'+'.join(row.train_on)}"
    for said in apart_from_published(row, first.method, first.train_on):
        yield f"{reference.label}: {said}"
    if epochs is not None:
        yield f"epochs that were asked for here, of all methods: {epochs}"
    if "pixel_AUPRO" in reference.values:
        yield "papers do not say how they define AUPRO: what they print stands under both definitions"


def _doubts(found: Mapping[tuple[str, str, str], Mapping[str, Iterable[str]]]) -> Iterator[str]:
    """Each remark once, with the methods and data sets whose lines it is about."""
    for (label, level, remark), methods in found.items():
        alike: dict[str, list[str]] = {}
        for method, datasets in methods.items():
            alike.setdefault(", ".join(datasets), []).append(method)
        about = "; ".join(f"{', '.join(names)} on {datasets}" for datasets, names in alike.items())
        yield f"{label}, {level} level of {about}: {remark}"


def _about_tower(reference: Reference, row: Row) -> str:
    """Which tower the printed numbers are of, which one was used, and what follows."""
    printed = reference.lines[0].tower
    facts = facts_of(row)
    name, tag, size = facts.tower or "unknown tower", facts.pretrained, facts.image_size or "?"
    here = " ".join(str(word) for word in (name, tag, size) if word is not None)
    if not printed:
        return f"{reference.label} does not say of which tower its numbers are; measured here with {here}"
    words = {name, name.removesuffix("-quickgelu"), str(tag), str(size)}
    if set(printed.split()) <= words:
        return f"{reference.label}: measured with the same tower, {printed}"
    return f"{reference.label}: printed for {printed}, measured with {here}: this is no reproduction"


def _about_part(line: Published, test_on: str, tested: Mapping[str, int]) -> str:
    """How much less than the published data set was tested, by the pictures of each category; empty if all was."""
    counts = published_counts(line.dataset)
    whole = published_categories(line.dataset)
    compared = (line.category,) if line.category else whole
    if whole and not line.category and set(tested) != set(whole):
        part = f"{test_on} has {len(tested)} of the {len(whole)} categories of {line.dataset}"
        return f"{part}, and the printed mean is over all of them"
    wanted = sum(number or 0 for each in compared for number in counts[each][2:])
    found = sum(tested.get(each, 0) for each in compared)
    what = f"{line.dataset} {line.category}".strip()
    return f"{test_on} has {found} of the {wanted} test pictures of {what}" if 0 < found != wanted > 0 else ""
