"""The segments that a store has: which are there and sound, what is in them, and which turned out to be damaged."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from time import time_ns

import numpy as np

from stackclip.cache.check import Problem
from stackclip.cache.contents import Contents, Found
from stackclip.cache.header import Header
from stackclip.cache.index_file import IndexFile, Seen, can_be_kept, read_index, seen_in
from stackclip.cache.manifest import Record
from stackclip.cache.reader import Segment
from stackclip.cache.structure import check_frame
from stackclip.errors import CorruptStore, StoreError, UnreadableStore
from stackclip.ops.states import HAS_CHANGE_TIME

__all__ = ["Committed"]

logger = logging.getLogger(__name__)

_FEW = 1000  # records whose manifests are read in a moment: for fewer the index's file is not written anew
_SHARE = 256  # nor for fewer than one in so many, so that writing it costs little beside writing features


class Committed:
    """The committed segments of a store, as its index tells of them or as their manifests do.

    Each has a number; one whose files become others gets a new one. Without `believing` no index is heeded, and the
    next is written however little it spares. `problems` are the segments that failed so far, `contents` what is in the
    others. One thread at a time may use it.
    """

    def __init__(self, folder: Path, header: Header, *, believing: bool = True) -> None:
        self.folder, self._header = folder, header
        self.contents = Contents()
        self.problems: dict[str, Problem] = {}
        self._stems: list[str] = []  # of the segment that was given a number
        self._numbers: dict[str, int] = {}
        self._known: dict[str, Seen] = {}
        self._why: dict[int, StoreError] = {}
        self._segments: dict[int, Segment] = {}
        self._believed = 0  # numbers below are of segments as the index tells of them
        self._filed: frozenset[int] = frozenset()  # the numbers of those that its file has
        self._least = _FEW if believing else 0
        found = seen_in(folder)
        kept = read_index(folder, header.digest, found) if believing and HAS_CHANGE_TIME else None
        if kept is not None:
            self._believe(kept, found)
        self.see(found)

    @property
    def size_bytes(self) -> int:
        """The bytes of the segments that serve."""
        return sum(self._known[stem][-1].size for stem in self._serving().values())

    def see(self, found: Mapping[str, Seen]) -> None:
        """Forget what is no longer as it was, and take in what is new, of what is found in the folder."""
        for stem in [stem for stem, seen in self._known.items() if found.get(stem) != seen]:
            self._forget(stem)
        for stem in sorted(found.keys() - self._known.keys(), key=int):
            self._take(self._new(stem, found[stem]))

    def add(self, stem: str, seen: Seen, records: tuple[Record, ...]) -> None:
        """Take in a segment that this process has just written."""
        self.contents.add(self._new(stem, seen), records)

    def latest_first(self, digest: str | None) -> list[Found]:
        """The records of a content that serve, that of the latest segment first."""
        serving = (found for found in self.contents.of(digest) if found.segment not in self.contents.dead)
        return sorted(serving, key=lambda found: (int(self._stems[found.segment]), found.record), reverse=True)

    def why(self, number: int) -> StoreError | None:
        """What is wrong with a segment, if anything is."""
        return self._why.get(number)

    def segment(self, number: int) -> Segment | None:
        """A segment that is ready to be read, None where it turns out to be damaged; raises UnreadableStore."""
        if number not in self._segments:
            path = self._path(number)
            try:
                manifest = self._header.manifest(path)
                check_frame(path.with_suffix(".h5"), manifest)
            except CorruptStore as error:
                self._fail(number, error, None)
                return None
            self._segments[number] = Segment(path.with_suffix(".h5"), manifest)
        return self._segments[number]

    def correct(self, number: int) -> bool:
        """Deal with a segment that has not what is known of it; False where the index told what is not so."""
        stem, found = self._stems[number], seen_in(self.folder)
        if found.get(stem) != self._known[stem]:
            self.see(found)  # dropped, and another took its name
        elif number >= self._believed:
            self._fail(number, CorruptStore(f"{self._path(number)}: is another than it was when it was read"), None)
        return number >= self._believed or number in self.contents.dead

    def keep(self) -> None:
        """Write down what is in the segments where that spares the next process much, and can be done.

        What was changed in the last moments is left out: it may be changed once more and look the same.
        """
        moment, found = time_ns(), seen_in(self.folder)
        same = {number: stem for number, stem in self._serving().items() if found.get(stem) == self._known[stem]}
        kept = {number: stem for number, stem in same.items() if can_be_kept(stem, found[stem], moment)}
        table, contents = self.contents.table().of(kept), self.contents
        new = int(np.count_nonzero(~np.isin(table.segments, list(self._filed))))
        if HAS_CHANGE_TIME and new >= max(self._least, len(table) // _SHARE, 1):
            seen = {stem: found[stem] for stem in kept.values()}
            file = IndexFile(moment, seen, contents.sets, contents.lengths, table.renumbered(list(kept)))
            if file.write(self.folder, self._header.digest):
                self._filed, self._least = frozenset(kept), _FEW

    def _serving(self) -> dict[int, str]:
        """The names of the segments that serve, by number."""
        return {number: stem for stem, number in self._numbers.items() if number not in self.contents.dead}

    def _believe(self, kept: IndexFile, found: Mapping[str, Seen]) -> None:
        """Take over what the index's file tells of segments that are as they were."""
        believed = kept.believed(found)
        table = kept.table
        self.contents = Contents(table.among(believed[table.segments]), kept.sets, kept.lengths)
        self._stems, self._believed = list(kept.seen), len(kept.seen)
        self._numbers = {stem: number for number, stem in enumerate(kept.seen) if believed[number]}
        self._known = {stem: kept.seen[stem] for stem in self._numbers}
        self._filed = frozenset(self._numbers.values())

    def _new(self, stem: str, seen: Seen) -> int:
        """Give a segment a number."""
        number = self._numbers[stem] = len(self._stems)
        self._stems.append(stem)
        self._known[stem] = seen
        return number

    def _forget(self, stem: str) -> None:
        """Let go of a segment that is gone, or whose files are others now."""
        del self._known[stem]
        number = self._numbers.pop(stem)
        self.contents.dead.add(number)
        for known in (self._why, self._segments):
            known.pop(number, None)
        self.problems.pop(stem, None)

    def _take(self, number: int) -> None:
        """Read a segment's manifest, check what there is to check without its arrays, and take in its records."""
        records: tuple[Record, ...] | None = None
        path = self._path(number)
        try:
            manifest = self._header.manifest(path)
            records = manifest.records
            check_frame(path.with_suffix(".h5"), manifest)
        except (CorruptStore, UnreadableStore) as error:
            if os.path.lexists(path):
                self._fail(number, error, records)
            else:
                self._forget(path.stem)  # dropped by a repair while we looked
        self.contents.add(number, records or ())

    def _fail(self, number: int, error: StoreError, records: tuple[Record, ...] | None) -> None:
        """Let a segment serve no more; what it has is known as damaged, or as withheld."""
        unreadable = isinstance(error, UnreadableStore)
        problem = self.problems[self._stems[number]] = Problem(self._path(number), str(error), records, unreadable)
        self._why[number] = error
        self.contents.dead.add(number)
        logger.warning("%s%s", problem, "" if unreadable else f". Run: stackclip repair {self.folder}")

    def _path(self, number: int) -> Path:
        return self.folder / "segments" / f"{self._stems[number]}.json"
