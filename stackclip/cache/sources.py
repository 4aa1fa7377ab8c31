"""The files whose bytes decide a record, and the digest by which they are known wherever they lie."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stackclip.cache.shapes import is_mask
from stackclip.data.listing import pictures_in
from stackclip.errors import DataError, PictureError
from stackclip.ops.files import content_hash, file_hash
from stackclip.types import ANOMALOUS, Part, Sample

__all__ = [
    "Role",
    "Source",
    "Stamps",
    "has_source",
    "hash_source",
    "home_of",
    "recorded_key",
    "role_of",
    "stamp_source",
]

Role = Literal["picture", "mask"]
Stamps = tuple[tuple[int, int], ...]
"""Size in bytes and time of change in nanoseconds of each file, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a sample's picture or mask: `digest` names it, `stamps` tell cheaply that it did not change."""

    key: str
    role: Role
    path: Path
    digest: str
    stamps: Stamps


def role_of(part: Part) -> Role:
    """Which of the sample's files the part is made from."""
    return "mask" if is_mask(part) else "picture"


def has_source(sample: Sample, role: Role) -> bool:
    """Whether there is a file to read: a normal sample, or one whose defect is not localised, has no mask."""
    return role == "picture" or (sample.label == ANOMALOUS and sample.mask is not None)


def recorded_key(sample: Sample) -> str:
    """The sample's key as JSON can hold it; bytes of a name that are no text are written as escapes."""
    return sample.key.encode("utf-8", "backslashreplace").decode()


def stamp_source(sample: Sample, role: Role) -> Stamps:
    """The size and time of each file of the sample's picture or mask.

    Raises PictureError for a file that is missing, cannot be reached or is no regular file (a pipe would block).
    """
    return tuple(_stamp(path) for path in _files(sample, role))


def hash_source(sample: Sample, role: Role) -> Source:
    """Read the sample's picture or mask and name it by its content.

    A picture's digest is the blake3 of its bytes; a mask's is the blake3 of the sorted digests of its files, since
    their union counts. Raises PictureError for what cannot be read.
    """
    stamps = stamp_source(sample, role)
    digests = [_hash(path) for path in _files(sample, role)]
    digest = digests[0] if role == "picture" else content_hash("\n".join(sorted(digests)).encode())
    return Source(recorded_key(sample), role, home_of(sample, role), digest, stamps)


def home_of(sample: Sample, role: Role) -> Path:
    """The picture, or the mask's file or folder; raises PictureError for a sample without a mask."""
    if role == "picture":
        return sample.image
    if sample.mask is None:
        raise PictureError(sample.image, "has no mask")
    return sample.mask


def _files(sample: Sample, role: Role) -> tuple[Path, ...]:
    home = home_of(sample, role)
    if role != "picture" and not home.exists():
        raise PictureError(home, f"is missing: the mask of {sample.image} was expected here")
    if role == "picture" or not home.is_dir():
        return (home,)
    try:
        return tuple(pictures_in(home))
    except DataError as error:
        raise PictureError(sample.image, str(error)) from None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 -- Path.stat is the same call, slower
    except (OSError, ValueError) as error:
        raise PictureError(path, getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(found.st_mode):
        raise PictureError(path, "is no regular file")
    return found.st_size, found.st_mtime_ns


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise PictureError(path, error.strerror or str(error)) from None
