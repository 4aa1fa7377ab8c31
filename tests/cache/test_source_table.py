"""Readings as columns are the readings that were put in."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from stackclip.cache.source_table import ReadPlace, SourceTable, keys_of
from stackclip.cache.sources import Reading
from stackclip.errors import DamagedFile
from stackclip.ops.files import content_hash
from stackclip.ops.states import FileState, settled_rows, were_settled


def readings(random: Random, count: int) -> dict[ReadPlace, Reading]:
    """Of pictures, and of masks that have several files; some names are no text."""
    found: dict[ReadPlace, Reading] = {}
    for _ in range(count):
        role = random.choice(("picture", "mask"))
        files = tuple(
            FileState(
                *(random.randrange(5), random.randrange(2), 7, random.randrange(10**10), random.randrange(10**10))
            )
            for _ in range(1 if role == "picture" else random.randrange(1, 4))
        )
        place = f"/data/{random.randrange(30)}\udcff é.png"
        found[role, place] = Reading(content_hash(str(random.random()).encode()), files, random.randrange(2 * 10**10))
    return found


def told(table: SourceTable) -> dict[ReadPlace, Reading]:
    """All that a table tells."""
    return {table.place(row): table.reading(row) for row in range(len(table))}


def test_what_is_put_in_comes_out_whatever_was_there_before(tmp_path: Path) -> None:
    random = Random(0)
    for count in (0, 1, 5, 60):
        first, second = readings(random, count), readings(random, 20)
        table = SourceTable.of(first)
        assert told(table) == first
        table.joined(SourceTable.of(second)).write(tmp_path / "file")
        joined = SourceTable.read(tmp_path / "file")
        assert told(joined) == {**first, **second}
        rows = joined.find(keys_of(second)).tolist()
        assert [joined.reading(row) for row in rows] == list(second.values())
        assert joined.find(keys_of([("picture", "/elsewhere")])).tolist() == [-1]
        believed = [were_settled(each.files, each.moment) for each in map(joined.reading, range(len(joined)))]
        assert joined.believed().tolist() == believed


def test_settled_rows_are_those_that_were_settled() -> None:
    random = Random(1)
    states = [FileState(0, random.randrange(2), 1, *(random.randrange(10**10) for _ in range(2))) for _ in range(200)]
    moments = [random.choice((random.randrange(2 * 10**10), 2**62)) for _ in states]
    settled = settled_rows(np.array(states), np.array(moments))
    assert settled.tolist() == [were_settled([state], moment) for state, moment in zip(states, moments, strict=True)]
    assert settled.any()
    assert not settled.all()


def test_numbers_that_are_too_large_are_left_out() -> None:
    place: ReadPlace = ("picture", "/a.png")
    huge = Reading("0" * 64, (FileState(0, 1 << 63, 1, 1, 1),), 1)
    assert len(SourceTable.of({place: huge})) == 0


def test_columns_that_do_not_fit_together_are_damage(tmp_path: Path) -> None:
    path, table = tmp_path / "file", SourceTable.of(readings(Random(2), 9))
    for name, value in {
        "keys": table.keys[::-1],
        "digests": table.digests[1:],
        "roles": table.roles + 2,
        "moments": table.moments[:, None],
        "files": table.files[1:],
        "file_ends": table.file_ends[::-1],
        "place_ends": table.place_ends + 1,
        "places": table.places[1:],
    }.items():
        columns = {field: getattr(table, field) for field in SourceTable.__slots__}
        SourceTable(**{**columns, name: np.ascontiguousarray(value)}).write(path)
        with pytest.raises(DamagedFile):
            SourceTable.read(path)
