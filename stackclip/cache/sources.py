"""The files whose bytes decide a record, and the digest by which they are known wherever they lie."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Literal, NamedTuple

from stackclip.cache.shapes import is_mask
from stackclip.data.listing import pictures_in
from stackclip.errors import DataError, PictureError
from stackclip.ops.files import content_hash, file_hash
from stackclip.ops.states import FileState
from stackclip.types import ANOMALOUS, Part, Sample

__all__ = [
    "Reading",
    "Role",
    "Source",
    "Stamps",
    "has_source",
    "home_of",
    "read_again",
    "recorded_key",
    "role_of",
    "stamps_of",
    "state_of",
]

Role = Literal["picture", "mask"]
Stamps = tuple[tuple[int, int], ...]
"""Size in bytes and time of modification in nanoseconds of each file, in the order of their names."""


class Reading(NamedTuple):
    """The digest of a source, the state of its files when they were read, and the moment before that (ns)."""

    digest: str
    files: tuple[FileState, ...]
    moment: int


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


def state_of(home: Path, role: Role) -> tuple[FileState, ...]:
    """The state of each file of a picture, or of a mask's file or folder, in the order of their names.

    Raises PictureError for a file that is missing, cannot be reached or is no regular file (a pipe would block).
    """
    found = _look(home, role)
    if stat.S_ISREG(found.st_mode):
        return (FileState.of(found),)
    if role == "mask" and stat.S_ISDIR(found.st_mode):
        return tuple(_state(path) for path in _pictures(home))
    raise PictureError(home, "is no regular file")


def stamps_of(files: tuple[FileState, ...]) -> Stamps:
    """Sizes and times as manifests have them."""
    return tuple((file.size, file.modified) for file in files)


def read_again(home: Path, role: Role) -> Reading:
    """Read a picture, or a mask's file or folder, and name it by its content.

    A picture's digest is the blake3 of its bytes; a mask's is the blake3 of the sorted digests of its files, since
    their union counts. Raises PictureError for what cannot be read, or changes meanwhile.
    """
    moment, files = time_ns(), state_of(home, role)
    digests = [_hash(path) for path in _files(home, role)]
    if state_of(home, role) != files:
        raise PictureError(home, "was changed while it was read; run again")
    digest = digests[0] if role == "picture" else content_hash("\n".join(sorted(digests)).encode())
    return Reading(digest, files, moment)


def home_of(sample: Sample, role: Role) -> Path:
    """The picture, or the mask's file or folder; raises PictureError for a sample without a mask."""
    if role == "picture":
        return sample.image
    if sample.mask is None:
        raise PictureError(sample.image, "has no mask")
    return sample.mask


def _files(home: Path, role: Role) -> tuple[Path, ...]:
    return _pictures(home) if role == "mask" and stat.S_ISDIR(_look(home, role).st_mode) else (home,)


def _look(path: Path, role: Role) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116 -- Path.stat is the same call, slower
    except FileNotFoundError as error:
        missing = "is missing: a mask was expected here" if role == "mask" else str(error.strerror)
        raise PictureError(path, missing) from None
    except (OSError, ValueError) as error:
        raise PictureError(path, getattr(error, "strerror", None) or str(error)) from None


def _pictures(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(pictures_in(folder))
    except DataError as error:
        raise PictureError(folder, str(error)) from None


def _state(path: Path) -> FileState:
    [state] = state_of(path, "picture")
    return state


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise PictureError(path, error.strerror or str(error)) from None
