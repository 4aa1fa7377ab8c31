"""What many segments have together, against a dict that is filled one by one."""

from __future__ import annotations

from random import Random

import numpy as np

from stackclip.cache.contents import Contents
from stackclip.cache.manifest import Record
from stackclip.cache.record_table import digests_of
from stackclip.ops.files import content_hash
from stackclip.types import CLS, MASK, Part, patch

SETS = [(CLS,), (CLS, patch(1)), (patch(2),), (MASK,)]


def record(random: Random) -> Record:
    """One of few contents, so that segments share many."""
    parts = random.choice(SETS)
    role = "mask" if MASK in parts else "picture"
    digest = content_hash(f"{role} {random.randrange(60)}".encode())
    return Record("a/b.png", role, digest, ((random.randrange(40), 0),), dict.fromkeys(parts, "0" * 16))


def test_the_answers_are_those_of_a_dict() -> None:
    for seed in range(30):
        random, contents = Random(seed), Contents()
        segments: dict[int, list[Record]] = {}
        for number in range(random.randrange(40)):
            segments[number] = [record(random) for _ in range(random.choice((0, 1, 2, 30)))]
            contents.add(number, segments[number])
            if not random.randrange(4):
                contents.dead.add(random.randrange(number + 1))
            if not random.randrange(3):
                compare(contents, segments)
        compare(contents, segments)
        again = Contents(contents.table(), contents.sets, contents.lengths)
        compare(again, {number: each for number, each in segments.items() if number not in contents.dead})
        assert len(contents._tables) <= 6


def compare(contents: Contents, segments: dict[int, list[Record]]) -> None:
    """Ask everything that can be asked."""
    held: dict[str, set[Part]] = {}
    for number, records in segments.items():
        for each in records if number not in contents.dead else ():
            held.setdefault(each.digest, set()).update(each.hashes)
    asked = sorted({each.digest for records in segments.values() for each in records})
    assert [contents.held(digest) for digest in asked] == [held.get(digest, set()) for digest in asked]
    assert contents.held_of(digests_of([*asked, "0" * 64])) == [contents.held(digest) for digest in [*asked, None]]
    assert len(contents) == sum(parts != {MASK} for parts in held.values())
    assert contents.parts == set().union(*held.values())
    for digest in asked:
        places = [
            (number, index, frozenset(each.hashes))
            for number, records in segments.items()
            for index, each in enumerate(records)
            if each.digest == digest
        ]
        assert sorted(contents.of(digest), key=lambda found: found[:2]) == places
    sizes = {size for records in segments.values() for each in records for size, _ in each.stamps}
    assert sizes <= set(np.flatnonzero(contents.may_have(np.arange(42))).tolist()) <= set(range(41))
    assert contents.may_have(np.arange(0)).tolist() == []


def test_a_size_that_no_file_has_is_left_out() -> None:
    contents = Contents()
    contents.add(0, [Record("a", "picture", "0" * 64, ((-1, 0), (1 << 70, 0), (5, 0)), {CLS: "0" * 16})])
    assert contents.lengths.tolist() == [5]
    assert contents.may_have(np.array([4, 5, 1 << 62])).tolist() == [False, True, False]
