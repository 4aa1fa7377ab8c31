"""What is where in a store: the segments that were committed, and the place of each part of each content."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time_ns

import numpy as np

from stackclip.cache.check import Problem
from stackclip.cache.contents import Contents, Found
from stackclip.cache.header import Header
from stackclip.cache.index_file import IndexFile, Seen, can_be_kept, index_of, read_index, seen_in, seen_of
from stackclip.cache.manifest import Manifest, Record
from stackclip.cache.reader import Place, Segment
from stackclip.cache.refusals import refused_read
from stackclip.cache.structure import check_frame
from stackclip.errors import CorruptStore, StoreError, UnreadableStore
from stackclip.ops.states import HAS_CHANGE_TIME, FileState
from stackclip.types import Part

__all__ = ["Index"]

logger = logging.getLogger(__name__)

_FEW = 1000  # records whose manifests are read in a moment: for fewer the file is not written anew
_SHARE = 256  # nor for fewer than one in so many, so that writing it costs little beside writing features


class Index:
    """Where the parts of each content are, by the content's digest; one that is given as None is nowhere.

    Making it reads the index's file, where there is one, and the manifests that it does not cover; these and the
    metadata of their segments are checked, and a segment that fails is in `problems` and the rest serves. What the file
    covers is checked when it is first asked for. Threads may share one.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self._header = folder, header
        self._lock = threading.RLock()
        self._forget_all()
        self.read_again()

    def _forget_all(self) -> None:
        self._stems: list[str] = []  # of the segment that was given a number
        self._numbers: dict[str, int] = {}
        self._known: dict[str, Seen] = {}
        self._believed = 0  # numbers below are of segments as the index's file tells of them
        self._filed: frozenset[int] = frozenset()  # the numbers of those that the file has
        self._least = _FEW
        self._contents = Contents()
        self._segments: dict[int, Segment] = {}
        self._problems: dict[str, Problem] = {}
        self._why: dict[int, StoreError] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The segments that failed so far."""
        return tuple(self._problems.values())

    @property
    def size_bytes(self) -> int:
        """The bytes of the segments that serve."""
        with self._lock:
            numbers, dead = self._numbers.items(), self._contents.dead
            return sum(self._known[stem][-1].size for stem, number in numbers if number not in dead)

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has."""
        with self._lock:
            return self._contents.parts

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        with self._lock:
            return len(self._contents)

    def __contains__(self, digest: str) -> bool:
        """Whether something of this content is there."""
        return bool(self.held(digest))

    def holds(self, digest: str | None, part: Part) -> bool:
        """Whether the part of this content can be read."""
        return part in self.held(digest)

    def held(self, digest: str | None) -> frozenset[Part]:
        """The parts of this content that can be read."""
        with self._lock:
            return self._contents.held(digest)

    def held_of(self, digests: Sequence[str | None]) -> list[frozenset[Part]]:
        """The parts of each content that can be read, many at a time."""
        with self._lock:
            return self._contents.held_of(digests)

    def place(self, digest: str | None, part: Part) -> Place | None:
        """Where the part of this content is, if it can be read; that of a later segment counts.

        Its segment is looked into when it is the first of it that is asked for. Raises UnreadableStore where the
        system does not let us.
        """
        with self._lock:
            for found in sorted(self._contents.of(digest), key=self._age, reverse=True):
                if part in found.parts and found.segment not in self._contents.dead:
                    segment = self._segment(found.segment)
                    place = segment.place(found.record, digest or "", part) if segment else None
                    if place is not None:
                        return place
                    if segment is not None and self._disown(found.segment):
                        return self.place(digest, part)
        return None

    def damage(self, digest: str | None, part: Part) -> StoreError | None:
        """What is wrong with the segment that has the part of this content, if one has it."""
        with self._lock:
            wrong = (self._why.get(found.segment) for found in self._contents.of(digest) if part in found.parts)
            return next(filter(None, wrong), None)

    def may_hold(self, files: tuple[FileState, ...]) -> bool:
        """Whether there are records of files as long as these: others need not be read to know that they lack."""
        with self._lock:
            return self._contents.may_have(file.size for file in files)

    def read_again(self, *, believing: bool = True) -> None:
        """Forget everything, and see what is there now, without `believing` by reading all manifests."""
        with self._lock:
            self._forget_all()
            found = seen_in(self.folder)
            kept = read_index(self.folder, self._header.digest, found) if believing and HAS_CHANGE_TIME else None
            if kept is not None:
                self._believe(kept, found)
            self._see(found)

    def refresh(self) -> None:
        """See what other processes committed, or dropped, since then."""
        with self._lock:
            self._see(seen_in(self.folder))

    def commit(self, path: Path, manifest: Manifest) -> None:
        """Take in a segment that this process has just written."""
        path = path.with_suffix(".json")
        try:
            seen = seen_of(path)
        except OSError as error:
            raise refused_read(path, error) from None
        with self._lock:
            self._contents.add(self._new(path.stem, seen), manifest.records)

    def keep(self) -> None:
        """Write down what is in the segments where that spares the next process much, and can be done.

        What was changed in the last moments is left out: it may be changed once more and look the same.
        """
        with self._lock:
            moment, found, numbers = time_ns(), seen_in(self.folder), self._numbers.items()
            same = {number: stem for stem, number in numbers if found.get(stem) == self._known[stem]}
            kept = {number: stem for number, stem in same.items() if can_be_kept(stem, found[stem], moment)}
            table = self._contents.table().of(kept)
            new = int(np.count_nonzero(~np.isin(table.segments, list(self._filed))))
            if HAS_CHANGE_TIME and new >= max(self._least, len(table) // _SHARE, 1):
                seen, contents = {stem: found[stem] for stem in kept.values()}, self._contents
                file = IndexFile(moment, seen, contents.sets, contents.lengths, table.renumbered(list(kept)))
                if file.write(self.folder, self._header.digest):
                    self._filed, self._least = frozenset(kept), _FEW

    def _believe(self, kept: IndexFile, found: Mapping[str, Seen]) -> None:
        """Take over what the index's file tells of segments that are as they were."""
        believed = kept.believed(found)
        table = kept.table
        self._contents = Contents(table.among(believed[table.segments]), kept.sets, kept.lengths)
        self._stems, self._believed = list(kept.seen), len(kept.seen)
        self._numbers = {stem: number for number, stem in enumerate(kept.seen) if believed[number]}
        self._known = {stem: kept.seen[stem] for stem in self._numbers}
        self._filed = frozenset(self._numbers.values())

    def _see(self, found: Mapping[str, Seen]) -> None:
        """Forget what is no longer as it was, and take in what is new."""
        for stem in [stem for stem, seen in self._known.items() if found.get(stem) != seen]:
            self._forget(stem)
        for stem in sorted(found.keys() - self._known.keys(), key=int):
            self._take(self._new(stem, found[stem]))

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
        self._contents.dead.add(number)
        for known in (self._why, self._segments):
            known.pop(number, None)
        self._problems.pop(stem, None)

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
        self._contents.add(number, records or ())

    def _segment(self, number: int) -> Segment | None:
        """A segment that is ready to be read, None where it turns out to be damaged."""
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

    def _disown(self, number: int) -> bool:
        """Deal with a segment that has not what is known of it; whether everything was looked at anew for that."""
        if number < self._believed:
            logger.warning(
                "%s: does not tell what is in the store; the manifests are read again", index_of(self.folder)
            )
            self.read_again(believing=False)
            self._least = 0
            return True
        self._fail(number, CorruptStore(f"{self._path(number)}: is another than it was when it was read"), None)
        return False

    def _fail(self, number: int, error: StoreError, records: tuple[Record, ...] | None) -> None:
        """Let a segment serve no more; what it has is known as damaged, or as withheld."""
        unreadable = isinstance(error, UnreadableStore)
        problem = self._problems[self._stems[number]] = Problem(self._path(number), str(error), records, unreadable)
        self._why[number] = error
        self._contents.dead.add(number)
        logger.warning("%s%s", problem, "" if unreadable else f". Run: stackclip repair {self.folder}")

    def _path(self, number: int) -> Path:
        return self.folder / "segments" / f"{self._stems[number]}.json"

    def _age(self, found: Found) -> tuple[int, int]:
        return int(self._stems[found.segment]), found.record
