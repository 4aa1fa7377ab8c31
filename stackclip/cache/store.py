"""The store of one tower's features: reading them with every byte checked, and the way to write and to mend them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stackclip.cache import mend
from stackclip.cache.buffers import Buffers
from stackclip.cache.check import Problem, Progress, SourceCheck
from stackclip.cache.fingerprint import store_name, stored_as
from stackclip.cache.header import Header, has_header, header_made, read_header
from stackclip.cache.holdings import Holdings
from stackclip.cache.manifest import Record
from stackclip.cache.prefetch import in_batches, prefetch
from stackclip.cache.reader import STORED, RowToRead, read_rows
from stackclip.cache.refusals import refused_read, telling_how_to_mend
from stackclip.cache.shapes import FeatureDtype, StoredForm, is_mask, part_shape, stored_form
from stackclip.cache.sources import has_source, recorded_key, role_of
from stackclip.cache.writer import SEAL_BYTES, SEAL_SECONDS, Sealing, Writer, open_writer
from stackclip.errors import CorruptStore
from stackclip.ops.regions import Runs, paint_mask
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec

__all__ = ["Store", "find_store", "stores_in"]


class Store(Holdings):
    """The features of one tower for any number of pictures, by the pictures' content.

    Opening reads the manifests and checks them and the segments' metadata; a segment that fails is in `problems` and
    the rest serves. A store can be pickled, forked and read by many threads and processes while others write.
    `buffers` lends memory to its batches, and to those that others make of its rows. `recorded` is what the store's
    maker recorded; each segment has what its writer gave to `create`.
    """

    def __init__(self, folder: Path, header: Header, *, recorded: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, header)
        self._header, self._adds, self.buffers = header, recorded or {}, Buffers()
        self.fingerprint, self.digest, self.feature_dtype = header.fingerprint, header.digest, header.dtype
        self.spec, self.recorded = header.spec, header.recorded

    @classmethod
    def open(cls, folder: Path, *, fingerprint: Mapping[str, Any] | None = None) -> Store:
        """Open a store that exists; a fingerprint that is given must be its own.

        Raises StoreError where there is none or its format is newer, CorruptStore for a damaged store.json,
        UnreadableStore for one that the system withholds, FingerprintMismatch naming each input that differs.
        """
        return cls(folder, read_header(folder, fingerprint=fingerprint))

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

        `recorded` is kept for the reader, in a new store and in each segment that is added, and decides nothing. A
        store that keeps patch parts as int8 is another than the one of float16. Raises FingerprintMismatch for a tower
        of other sizes.
        """
        fingerprint = stored_as(fingerprint, dtype)
        folder = parent / store_name(fingerprint)
        return cls(folder, header_made(folder, fingerprint, spec, recorded), recorded=recorded)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.folder,)

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
        forms = {part: _form_of(part, self._header, dtype) for part in wanted if not is_mask(part)}
        read = {part: self.buffers.empty((len(samples), *form.shape), form.dtype) for part, form in forms.items()}
        digests = self._contents_to_read(samples, CLS) if read else []
        rows = [
            RowToRead(part, place, recorded_key(sample), array)
            for part, arrays in read.items()
            for place, sample, array in zip(self._locate(samples, part, digests), samples, arrays, strict=True)
        ]
        with telling_how_to_mend(self.folder):
            read_rows(rows)
        return {part: self.masks(samples, part) if is_mask(part) else read[part] for part in wanted}

    def runs(self, sample: Sample, part: Part = MASK) -> Runs:
        """The labelled runs (R, 3) of the sample's mask at the tower's picture size; none without a mask file."""
        if not has_source(sample, role_of(part)):
            return np.empty((0, 3), np.uint32)
        [place] = self._locate([sample], part, self._contents_to_read([sample], part))
        with telling_how_to_mend(self.folder):
            return place.segment.read_runs(part, place, recorded_key(sample))

    def masks(self, samples: Sequence[Sample], part: Part = MASK) -> NDArray[np.uint8]:
        """The samples' masks (B, H, W) at the tower's picture size: 1 where a pixel is anomalous."""
        size = self.spec.frame.size
        painted = np.zeros((len(samples), *size), np.uint8)
        for mask, sample in zip(painted, samples, strict=True):
            if len(runs := self.runs(sample, part)):
                try:
                    mask[...] = paint_mask(runs, size)
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
        wanted, in_order = tuple(parts), in_batches(samples, batch_size)
        return prefetch(lambda batch: (batch, self.batch(batch, wanted, dtype=dtype)), in_order, threads=threads)

    def writer(
        self,
        *,
        on_sealed: Callable[[tuple[Record, ...]], None] | None = None,
        seal_bytes: int = SEAL_BYTES,
        seal_seconds: float = SEAL_SECONDS,
        patience: float = 0.0,
    ) -> AbstractContextManager[Writer]:
        """Add to the store: `with store.writer() as writer: writer.add(source, {part: array})`.

        Other processes may add at the same time, and what they bring is not stored twice. `on_sealed` is called, from
        the sealing thread, with the records that have just become safe. One who repairs the store is waited for
        `patience` seconds. Raises StoreLocked naming its host and process, and StoreError.
        """
        sealing = Sealing(seal_bytes, seal_seconds, on_sealed, self._adds)
        return open_writer(self.folder, self._header, self._index, sealing, patience=patience)

    def verify(self, progress: Progress | None = None) -> list[Problem]:
        """Read every byte again and compare it with what was written; the problems found, one for each file.

        Raises CorruptStore when store.json itself is damaged.
        """
        return mend.verify(self.folder, self._header, progress)

    def check_sources(self, progress: Progress | None = None) -> Iterator[SourceCheck]:
        """Read again each picture and mask that the store holds and knows a place of, whatever its times say."""
        return mend.sources_again(self.folder, self._header, progress)

    def repair(self, progress: Progress | None = None) -> list[Problem]:
        """Verify, and drop each segment that has a problem, so that the next run encodes its pictures again.

        Returns what was dropped. Raises StoreLocked while another process writes, and UnreadableStore, before anything
        is dropped, for a file that the system does not let us read.
        """
        problems = mend.repair(self.folder, self._header, progress)
        self._index.read_again()
        return problems


def find_store(parent: Path, fingerprint: Mapping[str, Any], *, dtype: FeatureDtype = "float16") -> Store | None:
    """The store below `parent` that keeps this fingerprint's features as `dtype`, or None.

    Raises what `Store.open` raises.
    """
    fingerprint = stored_as(fingerprint, dtype)
    folder = parent / store_name(fingerprint)
    return Store.open(folder, fingerprint=fingerprint) if has_header(folder) else None


def stores_in(parent: Path) -> tuple[Path, ...]:
    """The folders of the stores below `parent`, by name; raises UnreadableStore for what may not be looked into."""
    try:
        folders = sorted(parent.iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise refused_read(parent, error) from None
    return tuple(folder for folder in folders if has_header(folder))


def _form_of(part: Part, header: Header, dtype: DTypeLike | None) -> StoredForm:
    """What a row of a part is to be: the numbers asked for, or with None what lies on the disk."""
    if dtype is None:
        return stored_form(part, header.spec, header.dtype)
    return StoredForm(np.dtype(dtype), part_shape(part, header.spec))
