"""Facts on disk with their own checksum, and the manifest that makes a segment part of its store."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from stackclip.cache.fingerprint import FORMAT
from stackclip.cache.refusals import refused_read
from stackclip.cache.shapes import FeatureDtype, StoredForm, is_mask, stored_form
from stackclip.cache.sources import Role, Stamps
from stackclip.errors import CorruptStore, DamagedFile, StoreError
from stackclip.ops.seals import read_regular, sealed, unsealed
from stackclip.types import Part, TowerSpec

__all__ = ["Extent", "Manifest", "Record", "read_sealed"]

_LARGEST = 1 << 28  # bytes of JSON that are read at all; a manifest of ten thousand pictures has about 4e6
_HEX, _ROW_HASH = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


def read_sealed(path: Path) -> dict[str, Any]:
    """Read facts of a store that `sealed` made.

    Raises CorruptStore when a single byte is another or the file is gone, UnreadableStore where it cannot be read.
    """
    try:
        return unsealed(read_regular(path, largest=_LARGEST))
    except DamagedFile as error:
        if isinstance(error.__cause__, OSError):
            raise refused_read(path, error.__cause__) from None
        raise CorruptStore(str(error)) from None
    except ValueError as error:
        raise CorruptStore(f"{path}: {error}") from None


@dataclass(frozen=True, slots=True)
class Record:
    """What a segment holds of one source: the parts, each with the xxh3 (16 hex digits) of its bytes."""

    key: str
    role: Role
    digest: str
    stamps: Stamps
    hashes: Mapping[Part, str]

    def facts(self) -> dict[str, Any]:
        """The record as the manifest writes it."""
        return {
            "key": self.key,
            "role": self.role,
            "source": self.digest,
            "stamps": [list(stamp) for stamp in self.stamps],
            "xxh3": {str(part): digest for part, digest in sorted(self.hashes.items())},
        }


@dataclass(frozen=True, slots=True)
class Extent:
    """Where an array lies in its segment: the first byte, the shape with its rows first, and the type."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one segment; its file is the commit point, without it the segment does not exist.

    `frame` is the blake3 of all bytes of the segment that lie in no extent. Row i of a part belongs to the i-th record
    that has the part. `recorded` are facts of who wrote it: they decide nothing, and older segments have none.
    """

    fingerprint: str
    size: int
    frame: str
    records: tuple[Record, ...]
    extents: Mapping[Part, Extent]
    recorded: Mapping[str, Any] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the manifest's file."""
        return sealed(
            {
                **({"recorded": dict(self.recorded)} if self.recorded else {}),
                "format": FORMAT,
                "fingerprint": self.fingerprint,
                "size": self.size,
                "frame": self.frame,
                "records": [record.facts() for record in self.records],
                "parts": {
                    str(part): {"offset": extent.offset, "shape": list(extent.shape)}
                    for part, extent in self.extents.items()
                },
            }
        )

    @classmethod
    def read(cls, path: Path, *, fingerprint: str, spec: TowerSpec, dtype: FeatureDtype = "float16") -> Manifest:
        """Read and check the manifest's file of a store that keeps features as `dtype`.

        Raises CorruptStore for a damaged one, and for one whose facts contradict each other or the store.
        """
        content = read_sealed(path)
        if content.get("format") != FORMAT:
            raise CorruptStore(f"{path}: has the format {content.get('format')!r}, wanted {FORMAT}")
        if content.get("fingerprint") != fingerprint:
            raise CorruptStore(f"{path}: belongs to another store")
        try:
            return cls._parsed(content, spec, dtype)
        except (ValueError, KeyError, TypeError, AttributeError, StoreError) as error:
            raise CorruptStore(f"{path}: its facts do not fit together ({error})") from None

    @classmethod
    def _parsed(cls, content: Mapping[str, Any], spec: TowerSpec, dtype: FeatureDtype = "float16") -> Manifest:
        records = tuple(_record(facts) for facts in content["records"])
        extents = {
            Part.parse(name): _extent(Part.parse(name), facts, spec, dtype)
            for name, facts in sorted(content["parts"].items(), key=lambda item: int(item[1]["offset"]))
        }
        rows = Counter(part for record in records for part in record.hashes)
        if rows.keys() != extents.keys():
            raise ValueError("its records have other parts than its segment")
        for part, extent in extents.items():
            if not is_mask(part) and extent.shape[0] != rows[part]:
                raise ValueError(f"{part} has {extent.shape[0]} rows for {rows[part]} records")
        end, size = 0, _natural(content["size"])
        for extent in extents.values():
            if extent.offset < end or extent.offset + extent.size > size:
                raise ValueError("its arrays overlap or leave the file")
            end = extent.offset + extent.size
        recorded = dict(content.get("recorded", {}))
        return cls(_digest(content["fingerprint"]), size, _digest(content["frame"]), records, extents, recorded)


def _record(facts: Mapping[str, Any]) -> Record:
    role = facts["role"]
    if role not in ("picture", "mask"):
        raise ValueError(f"unknown role {role!r}")
    hashes = {_part(name): _row_hash(digest) for name, digest in facts["xxh3"].items()}
    if any(is_mask(part) != (role == "mask") for part in hashes):
        raise ValueError(f"a {role} has the parts {', '.join(facts['xxh3'])}")
    stamps = tuple((int(size), int(time)) for size, time in facts["stamps"])
    return Record(str(facts["key"]), cast(Role, role), _digest(facts["source"]), stamps, hashes)


_part = lru_cache(1024)(Part.parse)  # the same few in every record


def _row_hash(value: Any) -> str:
    if not isinstance(value, str) or not _ROW_HASH.fullmatch(value):
        raise ValueError(f"{value!r} is no xxh3")
    return value


def _extent(part: Part, facts: Mapping[str, Any], spec: TowerSpec, dtype: FeatureDtype) -> Extent:
    shape = tuple(_natural(side) for side in facts["shape"])
    form = StoredForm(np.dtype("<u4"), (3,)) if is_mask(part) else stored_form(part, spec, dtype, found=shape[1:])
    if shape[1:] != form.shape:
        raise ValueError(f"{part} has the shape {shape}")
    return Extent(_natural(facts["offset"]), shape, form.dtype)


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"{value!r} is no digest")
    return value
