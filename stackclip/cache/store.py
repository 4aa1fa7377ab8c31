"""The store of one tower's features: what it holds, what it lacks, and reading it with every byte checked."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stackclip.cache.ahead import ahead, in_batches
from stackclip.cache.buffers import Buffers
from stackclip.cache.check import Problem, Progress, SourceCheck, check_sources, drop_segment, verify_segment
from stackclip.cache.fingerprint import (
    FORMAT,
    QUANTIZED_FORMAT,
    differences,
    feature_dtype,
    fingerprint_digest,
    format_number,
    store_name,
    stored_as,
)
from stackclip.cache.lock import WriterLock
from stackclip.cache.manifest import Manifest, Record, read_sealed
from stackclip.cache.reader import STORED, Place, Segment, Wanted, signature
from stackclip.cache.readings import Readings
from stackclip.cache.refusals import refused_read
from stackclip.cache.segment import check_frame
from stackclip.cache.shapes import MASK_NEAREST, FeatureDtype, is_mask, part_shape, stored_form
from stackclip.cache.sources import Source, has_source, home_of, read_again, recorded_key, role_of, stamps_of, state_of
from stackclip.cache.writer import SEAL_BYTES, SEAL_SECONDS, Writer, clear_leftovers, make_folder, open_writer
from stackclip.errors import (
    CorruptStore,
    FingerprintMismatch,
    MissingParts,
    PictureError,
    StoreError,
    UnreadableStore,
)
from stackclip.ops.files import sync_folder, write_atomically
from stackclip.ops.regions import Runs, paint_mask
from stackclip.ops.seals import sealed
from stackclip.ops.words import agreed
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec

__all__ = ["Store", "find_store", "stores_in"]

logger = logging.getLogger(__name__)

_MASK_PARTS = frozenset({MASK, MASK_NEAREST})
_SIZES = ("image_size", "grid", "depth", "width", "joint")


class Store:
    """The features of one tower for any number of pictures, by the pictures' content.

    Opening reads the manifests and checks them and the segments' metadata; a segment that fails is in `problems` and
    the rest serves. A store can be pickled, forked and read by many threads and processes while one writes.
    `buffers` lends memory to its batches, and to those that others make of its rows.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self.folder = folder
        self.fingerprint: Mapping[str, Any] = content["fingerprint"]
        self.digest = fingerprint_digest(self.fingerprint)
        self.feature_dtype = feature_dtype(self.fingerprint)
        self.recorded: Mapping[str, Any] = content["recorded"]
        self.spec = TowerSpec(**{**content["tower"], "layers": tuple(content["tower"]["layers"])})
        self._lock = threading.RLock()
        self.buffers = Buffers()
        self._readings = Readings(folder / "sources.json")
        self._forget_all()
        self.refresh()

    @classmethod
    def open(cls, folder: Path, *, fingerprint: Mapping[str, Any] | None = None) -> Store:
        """Open a store that exists; a fingerprint that is given must be its own.

        Raises StoreError where there is none or its format is newer, CorruptStore for a damaged store.json,
        UnreadableStore for one that the system withholds, FingerprintMismatch naming each input that differs.
        """
        facts = folder / "store.json"
        if not _is_there(facts):
            raise StoreError(f"{folder} is no feature store: it has no store.json. Run: stackclip cache-features")
        try:
            content = read_sealed(facts)
            if content.get("format") not in (FORMAT, QUANTIZED_FORMAT):
                raise StoreError(
                    f"{folder} has the format {content.get('format')!r}, this stackclip reads {FORMAT} and "
                    f"{QUANTIZED_FORMAT}"
                )
            inputs = dict(content["fingerprint"])
            if content["format"] != format_number(inputs):
                raise CorruptStore(f"{facts}: its format is not that of its fingerprint")
            if content["digest"] != fingerprint_digest(inputs):
                raise CorruptStore(f"{facts}: its digest is not that of its fingerprint")
            if fingerprint is not None and (differing := differences(inputs, fingerprint)):
                raise FingerprintMismatch(f"{folder} was made with another tower: {'; '.join(differing)}")
            return cls(folder, content)
        except CorruptStore as error:
            raise CorruptStore(
                f"{error}. Delete that file and run stackclip cache-features: the rest is kept"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStore(f"{facts}: its facts do not fit together ({error!r})") from None

    @classmethod
    def create(
        cls,
        parent: Path,
        fingerprint: Mapping[str, Any],
        *,
        spec: TowerSpec,
        recorded: Mapping[str, Any],
        dtype: FeatureDtype = "float16",
    ) -> Store:
        """Open the store of this fingerprint below `parent`, and make it first where there is none.

        `recorded` (library versions, device) is kept for the reader and decides nothing. A store that keeps patch
        parts as int8 is another store than the one of float16.
        """
        fingerprint = stored_as(fingerprint, dtype)
        folder = parent / store_name(fingerprint)
        if not _is_there(folder / "store.json"):
            make_folder(folder / "segments")
            content = {
                "format": format_number(fingerprint),
                "fingerprint": dict(fingerprint),
                "digest": fingerprint_digest(fingerprint),
                "tower": asdict(spec),
                "recorded": dict(recorded),
            }
            try:
                write_atomically(folder / "store.json", sealed(content))
            except OSError as error:
                if not _is_there(folder / "store.json"):  # another process was faster
                    raise StoreError(f"cannot write {folder / 'store.json'}: {error.strerror or error}") from None
        store = cls.open(folder, fingerprint=fingerprint)
        for name in _SIZES:
            if (found := getattr(store.spec, name)) != (wanted := getattr(spec, name)):
                raise FingerprintMismatch(f"{folder} holds a tower whose {name} is {found}, wanted {wanted}")
        return store

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.folder,)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The files that failed when they were opened; `verify` looks deeper."""
        return tuple(self._problems.values())

    @property
    def size_bytes(self) -> int:
        """The bytes of the segments that serve."""
        return sum(segment.manifest.size for segment in list(self._segments.values()))

    @property
    def parts(self) -> frozenset[Part]:
        """Every part that some record has."""
        with self._lock:
            return frozenset(part for places in self._places.values() for part in places)

    def __len__(self) -> int:
        """How many different pictures there are features of."""
        with self._lock:
            return sum(any(not is_mask(part) for part in places) for places in self._places.values())

    def refresh(self) -> None:
        """See what other processes committed, or dropped, since the store was opened."""
        with self._lock:
            found = self._manifests()
            if any(found.get(path) != known for path, known in self._known.items()):
                self._forget_all()  # some are gone, or others took their names
            for path in sorted(found.keys() - self._known.keys(), key=lambda path: int(path.stem)):
                self._known[path] = found[path]
                self._open_segment(path)

    def source(self, sample: Sample, part: Part = CLS) -> Source:
        """Name the content of the sample's picture (or of its mask, for a mask part).

        It is read and hashed, unless it was before and a look at the file tells that it is the same (see `Readings`).
        Raises PictureError for a file that cannot be read.
        """
        role = role_of(part)
        home = home_of(sample, role)
        files = state_of(home, role)
        digest = self._readings.digest(home, role, files)
        if digest is None:
            reading = read_again(home, role)
            self._readings.add(home, role, reading)
            digest, files = reading.digest, reading.files
        return Source(recorded_key(sample), role, home, digest, stamps_of(files))

    def keep_readings(self) -> None:
        """Write down which files were found to be what the store holds, so that no later process has to read them.

        Where that cannot be written they are read again some day.
        """
        self._readings.keep(lambda digest: digest in self._places)

    def holds(self, source: Source, part: Part) -> bool:
        """Whether the part of this content can be read."""
        return self._has(source.digest, part)

    def holdings(self, samples: Iterable[Sample]) -> list[frozenset[Part]]:
        """The parts that can be read for each sample.

        A sample without a mask file has its mask parts by definition: no runs. A picture that cannot be read has none.
        """
        return [self._holdings(sample) for sample in samples]

    def lacking(self, samples: Iterable[Sample], parts: Iterable[Part]) -> tuple[tuple[Sample, frozenset[Part]], ...]:
        """The samples that lack some of the parts, each with those that it lacks."""
        wanted = frozenset(parts)
        lacks = ((sample, wanted - self._holdings(sample)) for sample in samples)
        return tuple((sample, missing) for sample, missing in lacks if missing)

    def read(self, samples: Sequence[Sample], part: Part) -> NDArray[np.float16]:
        """A dense part of each sample: (B, D) for `cls`, (B, P, C) for `patch/N`.

        Raises MissingParts where the store lacks it, CorruptStore where its bytes are not those that were written.
        """
        return self.batch(samples, (part,))[part]

    def batch(
        self, samples: Sequence[Sample], parts: Iterable[Part], *, dtype: DTypeLike | None = STORED
    ) -> dict[Part, NDArray[Any]]:
        """Parts of the samples: dense ones as float16 or float32, mask parts (B, H, W) uint8. Raises what `read` does.

        With None for `dtype`, dense rows come as they lie on the disk; `decode` makes numbers of each. The arrays are
        the caller's for as long as it holds them; then their memory serves another batch.
        """
        wanted = tuple(parts)
        dense = [part for part in wanted if not is_mask(part)]
        read = {part: self._room(len(samples), part, dtype) for part in dense}
        sources = [self._known_source(sample, CLS) for sample in samples] if dense else []
        by_segment: dict[Segment, list[Wanted]] = {}
        for part, arrays in read.items():
            places = self._locate(samples, part, sources)
            for place, sample, array in zip(places, samples, arrays, strict=True):
                by_segment.setdefault(place.segment, []).append(Wanted(part, place, recorded_key(sample), array))
        with _telling_how_to_mend(self.folder):
            for segment, rows in by_segment.items():
                segment.read(rows)
        return {part: self.masks(samples, part) if is_mask(part) else read[part] for part in wanted}

    def runs(self, sample: Sample, part: Part = MASK) -> Runs:
        """The labelled runs (R, 3) of the sample's mask at the tower's picture size; none without a mask file."""
        if not has_source(sample, role_of(part)):
            return np.empty((0, 3), np.uint32)
        (place,) = self._locate([sample], part, [self._known_source(sample, part)])
        with _telling_how_to_mend(self.folder):
            return place.segment.read_runs(part, place, recorded_key(sample))

    def masks(self, samples: Sequence[Sample], part: Part = MASK) -> NDArray[np.uint8]:
        """The samples' masks (B, H, W) at the tower's picture size: 1 where a pixel is anomalous."""
        side = self.spec.image_size
        painted = np.zeros((len(samples), side, side), np.uint8)
        for mask, sample in zip(painted, samples, strict=True):
            runs = self.runs(sample, part)
            if len(runs):
                try:
                    mask[...] = paint_mask(runs, (side, side))
                except ValueError as error:
                    raise CorruptStore(f"{self.folder}: {part} of {sample.key}: {error}") from None
        return painted

    def batches(
        self,
        samples: Iterable[Sample],
        parts: Iterable[Part],
        *,
        batch_size: int,
        threads: int = 2,
        dtype: DTypeLike = STORED,
    ) -> Iterator[tuple[tuple[Sample, ...], dict[Part, NDArray[Any]]]]:
        """The samples in batches, in their order, each with what `batch` gives; `threads` batches are read ahead."""
        wanted = tuple(parts)

        def read(batch: tuple[Sample, ...]) -> tuple[tuple[Sample, ...], dict[Part, NDArray[Any]]]:
            return batch, self.batch(batch, wanted, dtype=dtype)

        return ahead(read, in_batches(samples, batch_size), threads=threads)

    def writer(
        self,
        *,
        on_sealed: Callable[[tuple[Record, ...]], None] | None = None,
        seal_bytes: int = SEAL_BYTES,
        seal_seconds: float = SEAL_SECONDS,
        patience: float = 0.0,
    ) -> AbstractContextManager[Writer]:
        """Add to the store: `with store.writer() as writer: writer.add(source, {part: array})`.

        `on_sealed` is called, from the sealing thread, with the records that have just become safe. Another writer is
        waited for as many seconds as `patience` says. Raises StoreLocked naming its host and process, StoreError where
        the folder cannot be written to.
        """

        def make(sealer: ThreadPoolExecutor) -> Writer:
            self.refresh()
            return Writer(
                self.folder,
                self.digest,
                self.spec,
                dtype=self.feature_dtype,
                sealer=sealer,
                held=self._has,
                committed=self._committed,
                on_sealed=on_sealed,
                seal_bytes=seal_bytes,
                seal_seconds=seal_seconds,
            )

        return open_writer(self.folder, make, patience=patience)

    def settle(self) -> None:
        """Force the names of what is here to the disk: a writer that was killed may not have come to that.

        Every writer begins with it; who reports as done what others wrote needs it too. Does nothing on a medium that
        cannot be written to. Raises StoreError where the disk fails.
        """
        try:
            sync_folder(self.folder / "segments")
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EINVAL):
                reason = f"{error.strerror}; mend it and run again"
                raise StoreError(f"cannot force {self.folder} to the disk: {reason}") from None

    def verify(self, progress: Progress | None = None) -> list[Problem]:
        """Read every byte again and compare it with what was written; the problems found, one for each file.

        Raises CorruptStore when store.json itself is damaged.
        """
        found = Store.open(self.folder, fingerprint=self.fingerprint)
        problems = list(found.problems)
        for done, (path, segment) in enumerate(sorted(found._segments.items()), start=1):
            try:
                verify_segment(segment)
            except (CorruptStore, UnreadableStore) as error:
                unreadable = isinstance(error, UnreadableStore)
                problems.append(Problem(path, str(error), segment.manifest.records, unreadable))
            if progress is not None:
                progress(done, len(found._segments))
        if (reason := found._readings.damage()) is not None:
            problems.append(Problem(found._readings.path, reason, ()))
        return problems

    def check_sources(self, progress: Progress | None = None) -> Iterator[SourceCheck]:
        """Read again each picture and mask that the store holds and knows a place of, whatever its times say."""
        found = Store.open(self.folder, fingerprint=self.fingerprint)
        return check_sources((known for known in found._readings if known[2].digest in found._places), progress)

    def repair(self, progress: Progress | None = None) -> list[Problem]:
        """Verify, and drop each segment that has a problem, so that the next run encodes its pictures again.

        Returns what was dropped; what is good at a second look is kept. Raises StoreLocked while another process
        writes, and UnreadableStore, before anything is dropped, for a file that the system does not let us read.
        """
        lock = WriterLock(self.folder / "writer.lock")
        try:
            suspects = [problem.path for problem in self.verify(progress)]
            problems = [problem for path in suspects if (problem := self._examined(path))]
            for problem in problems:
                drop_segment(problem.path)
            clear_leftovers(self.folder)
        finally:
            lock.release()
        with self._lock:
            self._forget_all()
            self.refresh()
        return problems

    def _examined(self, path: Path) -> Problem | None:
        """Look at one file by itself, all of it; raises UnreadableStore where that says nothing about its bytes."""
        if path == self._readings.path:
            reason = self._readings.damage()
            return Problem(path, reason, ()) if reason is not None else None
        records: tuple[Record, ...] | None = None
        try:
            manifest = Manifest.read(path, fingerprint=self.digest, spec=self.spec, dtype=self.feature_dtype)
            records = manifest.records
            check_frame(path.with_suffix(".h5"), manifest)
            verify_segment(Segment(path.with_suffix(".h5"), manifest))
        except UnreadableStore as error:
            raise UnreadableStore(f"{error}: nothing was dropped") from None
        except CorruptStore as error:
            return Problem(path, str(error), records)
        return None

    def _manifests(self) -> dict[Path, tuple[int, ...]]:
        """The manifests that are there now, each with what changes when another file takes its name."""
        found = {}
        try:
            with os.scandir(self.folder / "segments") as entries:
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
            raise refused_read(self.folder / "segments", error) from None
        return found

    def _forget_all(self) -> None:
        self._known: dict[Path, tuple[int, ...]] = {}
        self._segments: dict[Path, Segment] = {}
        self._problems: dict[Path, Problem] = {}
        self._places: dict[str, dict[Part, Place]] = {}
        self._damaged: dict[tuple[str, Part], StoreError] = {}
        self._lengths: set[int] = set()

    def _open_segment(self, path: Path) -> None:
        records: tuple[Record, ...] | None = None
        try:
            manifest = Manifest.read(path, fingerprint=self.digest, spec=self.spec, dtype=self.feature_dtype)
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

    def _committed(self, path: Path, manifest: Manifest) -> None:
        """Take in a segment that this process has just written."""
        manifest_path = path.with_suffix(".json")
        try:
            found = signature(manifest_path.stat())
        except OSError as error:
            raise refused_read(manifest_path, error) from None
        with self._lock:
            self._known[manifest_path] = found
            self._adopt(manifest_path, manifest)

    def _adopt(self, path: Path, manifest: Manifest) -> None:
        """Make a committed segment's records findable; those of later segments win."""
        with self._lock:
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

    def _has(self, digest: str, part: Part) -> bool:
        return part in self._places.get(digest, ())

    def _holdings(self, sample: Sample) -> frozenset[Part]:
        held = self._held_of(sample, CLS)
        if has_source(sample, "mask"):
            return held | self._held_of(sample, MASK)
        return held | _MASK_PARTS

    def _held_of(self, sample: Sample, part: Part) -> frozenset[Part]:
        with suppress(PictureError):  # it is told when the picture is encoded or read
            source = self._known_source(sample, part)
            with self._lock:
                return frozenset(self._places.get(source or "", ()))
        return frozenset()

    def _known_source(self, sample: Sample, part: Part) -> str | None:
        """The digest of the sample's content, or None where it cannot be in the store."""
        role = role_of(part)
        home = home_of(sample, role)
        files = state_of(home, role)
        digest = self._readings.digest(home, role, files)
        if digest is None and all(file.size in self._lengths for file in files):
            digest = self.source(sample, part).digest
        return digest

    def _locate(self, samples: Sequence[Sample], part: Part, sources: Sequence[str | None]) -> list[Place]:
        """Where the part of each sample is, whose content has these digests."""
        places, missing = [], []
        for sample, digest in zip(samples, sources, strict=True):
            place = self._places.get(digest or "", {}).get(part)
            if place is not None:
                places.append(place)
            elif (damage := self._damaged.get((digest or "", part))) is not None:
                with _telling_how_to_mend(self.folder):
                    raise type(damage)(f"{damage}; it holds {part} of {sample.key}")
            else:
                missing.append(sample)
        if missing:
            count = len(self._problems)
            problems = f" ({count} of its segments {agreed('are', count)} damaged or withheld)" if count else ""
            raise MissingParts(
                f"{self.folder.name}{problems} lacks {part} of {len(missing)} of {len(samples)} pictures, "
                f"{missing[0].key} among them. Run: stackclip cache-features --dataset {missing[0].dataset}, "
                "with --methods that read it"
            )
        return places

    def _room(self, rows: int, part: Part, dtype: DTypeLike | None) -> NDArray[Any]:
        if dtype is None:
            form = stored_form(part, self.spec, self.feature_dtype)
            return self.buffers.empty((rows, *form.shape), form.dtype)
        return self.buffers.empty((rows, *part_shape(part, self.spec)), dtype)


def find_store(parent: Path, fingerprint: Mapping[str, Any], *, dtype: FeatureDtype = "float16") -> Store | None:
    """The store below `parent` that keeps this fingerprint's features as `dtype`, or None.

    Raises what `Store.open` raises.
    """
    fingerprint = stored_as(fingerprint, dtype)
    folder = parent / store_name(fingerprint)
    return Store.open(folder, fingerprint=fingerprint) if _is_there(folder / "store.json") else None


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise refused_read(path, error) from None
    return True


def stores_in(parent: Path) -> tuple[Path, ...]:
    """The folders of the stores below `parent`, by name; raises UnreadableStore for what may not be looked into."""
    try:
        folders = sorted(parent.iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise refused_read(parent, error) from None
    return tuple(folder for folder in folders if _is_there(folder / "store.json"))


@contextmanager
def _telling_how_to_mend(folder: Path) -> Iterator[None]:
    try:
        yield
    except CorruptStore as error:
        raise CorruptStore(f"{error}. Run: stackclip repair {folder}") from None
