"""What is where in a store: the place of each part of each content, for many threads and for as long as it is open."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.check import Problem
from stackclip.cache.committed import Committed
from stackclip.cache.header import Header
from stackclip.cache.index_file import index_of, seen_in, seen_of
from stackclip.cache.manifest import Manifest
from stackclip.cache.reader import Place
from stackclip.cache.refusals import refused_read
from stackclip.errors import StoreError
from stackclip.types import Part

__all__ = ["Index"]

logger = logging.getLogger(__name__)


class Index:
    """Where the parts of each content are, by the content's digest; one that is given as None is nowhere.

    Making it reads the index's file, where there is one, and the manifests that it does not cover; these and the
    metadata of their segments are checked, and a segment that fails is in `problems` and the rest serves. What the file
    covers is checked when it is first asked for. Threads may share one.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self._header = folder, header
        self._lock = threading.RLock()
        self._committed = Committed(folder, header)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The segments that failed so far."""
        return tuple(self._committed.problems.values())

    @property
    def size_bytes(self) -> int:
        """The bytes of the segments that serve."""
        with self._lock:
            return self._committed.size_bytes

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has."""
        with self._lock:
            return self._committed.contents.parts

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        with self._lock:
            return len(self._committed.contents)

    def __contains__(self, digest: str) -> bool:
        """Whether something of this content is there."""
        return bool(self.held(digest))

    def held(self, digest: str | None) -> frozenset[Part]:
        """The parts of this content that can be read."""
        with self._lock:
            return self._committed.contents.held(digest)

    def held_of(self, digests: NDArray[np.bytes_]) -> list[frozenset[Part]]:
        """The parts of each content (n,) that can be read, many at a time; zeros are nowhere."""
        with self._lock:
            return self._committed.contents.held_of(digests)

    def place(self, digest: str | None, part: Part) -> Place | None:
        """Where the part of this content is, if it can be read; that of a later segment counts.

        Its segment is looked into when it is the first of it that is asked for. Raises UnreadableStore where the
        system does not let us.
        """
        with self._lock:
            for found in self._committed.latest_first(digest):
                if part in found.parts and (segment := self._committed.segment(found.segment)) is not None:
                    place = segment.place(found.record, digest or "", part)
                    return place or self._place_anew(found.segment, digest, part)
        return None

    def damage(self, digest: str | None, part: Part) -> StoreError | None:
        """What is wrong with the segment that has the part of this content, if one has it."""
        with self._lock:
            every = self._committed.contents.of(digest)
            return next(filter(None, (self._committed.why(each.segment) for each in every if part in each.parts)), None)

    def may_hold(self, sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of which files (n,) as long as these there are records: others need not be read to know that they lack."""
        with self._lock:
            return self._committed.contents.may_have(sizes)

    def read_again(self, *, believing: bool = True) -> None:
        """Forget everything, and see what is there now, without `believing` by reading all manifests."""
        with self._lock:
            self._committed = Committed(self.folder, self._header, believing=believing)

    def refresh(self) -> None:
        """See what other processes committed, or dropped, since then."""
        with self._lock:
            self._committed.see(seen_in(self.folder))

    def commit(self, path: Path, manifest: Manifest) -> None:
        """Take in a segment that this process has just written."""
        path = path.with_suffix(".json")
        try:
            seen = seen_of(path)
        except OSError as error:
            raise refused_read(path, error) from None
        with self._lock:
            self._committed.add(path.stem, seen, manifest.records)

    def keep(self) -> None:
        """Write the index's file where that spares the next process much, and can be done."""
        with self._lock:
            self._committed.keep()

    def _place_anew(self, number: int, digest: str | None, part: Part) -> Place | None:
        """Where a part is of which a segment was said to have it, and has not."""
        if not self._committed.correct(number):
            logger.warning("%s: does not tell what is in the store; the manifests are read", index_of(self.folder))
            self.read_again(believing=False)
        return self.place(digest, part)
