"""Which rows are of the same data set: by the place and the content of what was tested, where names say too little.

Rows say the digest of their category's pictures and the place where they lay, and the digest of all that was trained on
and its places (`Pictures`, `Training`). Their folder keeps what else was tested there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackclip.benchmarks.facts import Reported, facts_of, found_at, reported_as
from stackclip.benchmarks.rows import Entry, TestedAt
from stackclip.types import Row

__all__ = [
    *("Standing", "Titles", "asked_alike", "distinct", "identity", "latest_key", "reported", "seen_at", "standing"),
    *("of_the_same_table", "trained_as"),
]


@dataclass(frozen=True, slots=True, order=True)
class Standing:
    """The pictures that a row speaks of: of its training set, or what it was drawn from, and of its tested set.

    `earlier` and `trained_earlier` count how often the pictures at the same place were others since then.
    """

    trained_earlier: int
    earlier: int
    place: str
    trained: str


def standing(row: Row) -> Standing:
    """What a row says of its pictures, and what `reported` found when it compared it with others."""
    facts = facts_of(row)
    found, trained = facts.reported, facts.trained
    drawn = "+".join((trained.drawn_from, *trained.places)) if trained.drawn_from else ""  # names alone say too little
    return Standing(found.trained_earlier, found.earlier, facts.tested.place, drawn or trained.content)


def asked_alike(row: Row) -> tuple[object, ...]:
    """What rows of one table have in common, whatever was trained on and tested."""
    facts = facts_of(row)
    tower = (facts.tower, facts.image_size, facts.features, facts.feature_dtype, facts.tiles, facts.map_side)
    training = (facts.asked_epochs, facts.batch_size, facts.live_precision, facts.train_list, facts.train_shots)
    return (*tower, *training, facts.stop_after, facts.asked_class_names, facts.note)


def of_the_same_table(row: Row) -> dict[str, Any]:
    """The facts that a row of another method has too where it stands in the table of this one."""
    return {name: value for name, value in row.facts.items() if name in _OF_TABLES}


_OF_TABLES = frozenset(
    (
        *("tower", "note", "image_size", "features", "feature_dtype", "tiles", "map_side", "protocol", "batch_size"),
        *("asked_epochs", "asked_class_names", "live_precision", "train_list", "train_shots", "stop_after"),
        *("trained", "trained_layouts", "trained_families", "tested", "tested_layout", "tested_family"),
    )
)


def trained_as(row: Row) -> tuple[object, ...]:
    """Equal for rows whose training pictures would be the same had nobody changed any: each seed draws its own."""
    facts = facts_of(row)
    if facts.train_list:
        return (row.train_on, facts.train_list)
    return (row.train_on,) if facts.train_shots is None else (row.train_on, facts.train_shots, row.seed)


def identity(row: Row) -> tuple[str, str, str, str]:
    """The digest and the place of what a row was tested on, and those of what was trained on, as text."""
    tested, trained = facts_of(row).tested, facts_of(row).trained
    return tested.content, tested.place, trained.content, "+".join(trained.places)


def latest_key(row: Row) -> tuple[object, ...]:
    """Equal for rows of which only the latest holds: the same was asked on the same pictures, code may be another.

    The shots of a grid over shots are an answer, and not what was asked.
    """
    facts = facts_of(row)
    shots = None if facts.selected and facts.selected.over_shots else row.shots
    return (
        *(row.method, row.train_on, row.test_on, row.category, shots, row.seed, facts.protocol),
        *(facts.trained.content, facts.tested.content),
    )


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Rows in their order, of those that answer one question, as two choices of a grid do, the last alone."""
    return list({(*latest_key(row), facts_of(row).words): row for row in rows}.values())


def seen_at(seen: TestedAt, place: str, categories: Mapping[str, str]) -> TestedAt:
    """What was seen where, with what is seen at a place now as the latest; `seen` itself where it says so already."""
    known = seen.get(place, {})
    agrees = all(known.get(category, digest) == digest for category, digest in categories.items())
    if agrees and [*seen][:1] == [place]:
        return seen
    return {place: {**known, **categories}, **{other: seen[other] for other in seen if other != place}}


def reported(entries: Sequence[Entry]) -> list[Row]:
    """The rows that hold now, of entries that are sorted by time; each says of which set it is.

    Rows are of one set where they were found at one place and no later one of them knows their category with other
    pictures; what falls out so is of a set of `earlier` pictures of that place. Sets of one name whose pictures are the
    same, as far as both have them, are one (data that was moved, a workspace that was copied). A row that holds at two
    places whose other categories differ comes twice.
    """
    latest: dict[tuple[object, ...], Entry] = {}
    for entry in reversed(entries):
        latest.setdefault(latest_key(entry.row), entry)
    trained = _trainings(entry.row for entry in latest.values())
    return [
        _as_part_of(entry.row, each, trained[trained_as(entry.row), facts_of(entry.row).trained.content])
        for each in _merged(_sets(latest.values()))
        for entry in each.entries
    ]


@dataclass
class _Set:
    """Rows of one name at one place; `digests` are those of its categories, as the latest rows know them."""

    name: str
    place: str
    earlier: int
    digests: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def takes(self, row: Row) -> bool:
        """Whether the row's own category was not tested with other pictures."""
        own = facts_of(row).tested.content
        return self.digests.get(row.category, own) == own

    def add(self, entry: Entry) -> None:
        """Take in an entry that is older than the others."""
        self.entries.append(entry)
        own = {entry.row.category: facts_of(entry.row).tested.content}
        self.digests = {**entry.seen.get(self.place, {}), **own, **self.digests}

    def has_pictures_of(self, other: _Set) -> bool:
        """Whether all that the other has is here too, and the same."""
        return self.digests.items() >= other.digests.items()


def _sets(entries: Iterable[Entry]) -> list[_Set]:
    """The sets of entries that come latest first, in the order of their latest ones."""
    found: list[_Set] = []
    at: dict[tuple[str, str], list[_Set]] = {}
    for entry in entries:
        row = entry.row
        for place in entry.seen or (facts_of(row).tested.place,):
            here = at.setdefault((row.test_on, place), [])
            home = next((each for each in here if each.takes(row)), None)
            if home is None:
                home = _Set(row.test_on, place, len(here))
                here.append(home)
                found.append(home)
            home.add(entry)
    return found


def _merged(sets: Iterable[_Set]) -> list[_Set]:
    """The sets, those of one name with the same pictures at several places as one at the latest."""
    kept: list[_Set] = []
    for each in sets:
        for other in kept:
            same = other.has_pictures_of(each) or each.has_pictures_of(other)
            if other.name == each.name and other.place != each.place and same:
                cells = {entry.cell for entry in other.entries}
                other.entries += [entry for entry in each.entries if entry.cell not in cells]
                other.digests |= each.digests
                break
        else:
            kept.append(each)
    return kept


def _as_part_of(row: Row, its_set: _Set, trained_earlier: int) -> Row:
    """The row as one of a set; it says so where that is not the set of all rows that say nothing."""
    moved = found_at(row, its_set.place) if its_set.place != facts_of(row).tested.place else row
    return reported_as(moved, Reported(its_set.earlier, trained_earlier))


def _trainings(rows: Iterable[Row]) -> dict[tuple[tuple[object, ...], str], int]:
    """How many later contents of a training set, of rows that come latest first, lie where each one lay."""
    found: dict[tuple[object, ...], dict[str, Sequence[str]]] = {}
    for row in rows:
        trained = facts_of(row).trained
        found.setdefault(trained_as(row), {}).setdefault(trained.content, trained.places)
    return {
        (asked, content): list(contents.values())[:position].count(contents[content])
        for asked, contents in found.items()
        for position, content in enumerate(contents)
    }


@dataclass(frozen=True, slots=True)
class Titles:
    """How the sets of some rows are called: by name, and where that says too little by place."""

    rows: tuple[Row, ...]

    def tested(self, row: Row) -> str:
        """The tested set of a row."""
        found = standing(row)
        others = {(each.earlier, each.place) for each in self._standings(row.test_on)}
        return _title(row.test_on, found.place, found.earlier, among=len(others))

    def trained(self, row: Row) -> str:
        """The training sets of a row."""
        found, name = standing(row), "+".join(row.train_on)
        alike = (each for each in self.rows if each.train_on == row.train_on and _chosen(each) == _chosen(row))
        others = {standing(each).trained for each in alike}
        return _title(name, ", ".join(facts_of(row).trained.places), found.trained_earlier, among=len(others))

    def _standings(self, name: str) -> Iterator[Standing]:
        return (standing(row) for row in self.rows if row.test_on == name)


def _chosen(row: Row) -> tuple[bool, str]:
    """How training pictures were chosen from their sets: whether they were drawn, and what was listed."""
    facts = facts_of(row)
    return bool(facts.trained.drawn_from), facts.train_list


def _title(name: str, place: str, earlier: int, *, among: int) -> str:
    if earlier:
        back = f", {earlier} changes back" if earlier > 1 else ""
        return f"{name} (earlier pictures of {place}{back})"
    return f"{name} ({place})" if among > 1 and place else name
