"""What is where in a store: the segments that were committed, and the place of each part of each content."""

from __future__ import annotations

import logging
import os
import re
import threading
from pathlib import Path

from stackclip.cache.check import Problem
from stackclip.cache.header import Header
from stackclip.cache.manifest import Manifest, Record
from stackclip.cache.reader import Place, Segment, signature
from stackclip.cache.refusals import refused_read
from stackclip.cache.shapes import is_mask
from stackclip.cache.structure import check_frame
from stackclip.errors import CorruptStore, StoreError, UnreadableStore
from stackclip.ops.states import FileState
from stackclip.types import Part

__all__ = ["Index"]

logger = logging.getLogger(__name__)


class Index:
    """Where the parts of each content are, by the content's digest; one that is given as None is nowhere.

    Making it reads the manifests and checks them and the segments' metadata; a segment that fails is in `problems` and
    the rest serves. Threads may share one.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self._header = folder, header
        self._lock = threading.RLock()
        self.read_again()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The files that failed when they were opened."""
        return tuple(self._problems.values())

    @property
    def segments(self) -> dict[Path, Segment]:
        """The segments that serve, each by its manifest."""
        return dict(self._segments)

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has."""
        with self._lock:
            return frozenset(part for places in self._places.values() for part in places)

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        with self._lock:
            return sum(any(not is_mask(part) for part in places) for places in self._places.values())

    def __contains__(self, digest: str) -> bool:
        """Whether something of this content is there."""
        return digest in self._places

    def holds(self, digest: str | None, part: Part) -> bool:
        """Whether the part of this content can be read."""
        return part in self._places.get(digest or "", ())

    def held(self, digest: str | None) -> frozenset[Part]:
        """The parts of this content that can be read."""
        with self._lock:
            return frozenset(self._places.get(digest or "", ()))

    def place(self, digest: str | None, part: Part) -> Place | None:
        """Where the part of this content is, if it can be read."""
        return self._places.get(digest or "", {}).get(part)

    def damage(self, digest: str | None, part: Part) -> StoreError | None:
        """What is wrong with the segment that has the part of this content, if one has it."""
        return self._damaged.get((digest or "", part))

    def may_hold(self, files: tuple[FileState, ...]) -> bool:
        """Whether there are records of files as long as these: others need not be read to know that they lack."""
        return all(file.size in self._lengths for file in files)

    def read_again(self) -> None:
        """Forget everything, and see what is there now."""
        with self._lock:
            self._forget_all()
            self.refresh()

    def refresh(self) -> None:
        """See what other processes committed, or dropped, since then."""
        with self._lock:
            found = _manifests(self.folder)
            if any(found.get(path) != known for path, known in self._known.items()):
                self._forget_all()  # some are gone, or others took their names
            for path in sorted(found.keys() - self._known.keys(), key=lambda path: int(path.stem)):
                self._known[path] = found[path]
                self._open(path)

    def commit(self, path: Path, manifest: Manifest) -> None:
        """Take in a segment that this process has just written."""
        manifest_path = path.with_suffix(".json")
        try:
            found = signature(manifest_path.stat())
        except OSError as error:
            raise refused_read(manifest_path, error) from None
        with self._lock:
            self._known[manifest_path] = found
            self._adopt(manifest_path, manifest)

    def _forget_all(self) -> None:
        self._known: dict[Path, tuple[int, ...]] = {}
        self._segments: dict[Path, Segment] = {}
        self._problems: dict[Path, Problem] = {}
        self._places: dict[str, dict[Part, Place]] = {}
        self._damaged: dict[tuple[str, Part], StoreError] = {}
        self._lengths: set[int] = set()

    def _open(self, path: Path) -> None:
        records: tuple[Record, ...] | None = None
        try:
            manifest = self._header.manifest(path)
            records = manifest.records
            self._remember_lengths(manifest)
            check_frame(path.with_suffix(".h5"), manifest)
        except (CorruptStore, UnreadableStore) as error:
            if not os.path.lexists(path):
                return  # dropped by a repair while we looked
            unreadable = isinstance(error, UnreadableStore)
            problem = self._problems[path] = Problem(path, str(error), records, unreadable)
            for record in records or ():
                self._damaged.update(((record.digest, part), error) for part in record.hashes)
            logger.warning("%s%s", problem, "" if unreadable else f". Run: stackclip repair {self.folder}")
        else:
            self._adopt(path, manifest)

    def _adopt(self, path: Path, manifest: Manifest) -> None:
        """Make a committed segment's records findable; those of later segments win."""
        segment = Segment(path.with_suffix(".h5"), manifest)
        self._segments[path] = segment
        self._remember_lengths(manifest)
        rows: dict[Part, int] = dict.fromkeys(manifest.extents, 0)
        for record in manifest.records:
            places = self._places.setdefault(record.digest, {})
            for part, digest in record.hashes.items():
                places[part] = Place(segment, rows[part], digest)
                rows[part] += 1

    def _remember_lengths(self, manifest: Manifest) -> None:
        self._lengths.update(size for record in manifest.records for size, _ in record.stamps)


def _manifests(folder: Path) -> dict[Path, tuple[int, ...]]:
    """The manifests that are there now, each with what changes when another file takes its name."""
    found = {}
    try:
        with os.scandir(folder / "segments") as entries:
            for entry in entries:
                if re.fullmatch(r"\d{6,}\.json", entry.name):
                    try:
                        found[Path(entry.path)] = signature(entry.stat())
                    except FileNotFoundError:
                        continue  # dropped by a repair while we looked
                    except OSError:
                        found[Path(entry.path)] = ()  # opening it will say what is wrong with it
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused_read(folder / "segments", error) from None
    return found
