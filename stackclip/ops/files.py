"""Files that are either whole or absent: atomic writes, content hashes, canonical JSON."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

__all__ = ["WRITE_PROTECTED", "canonical_json", "content_hash", "file_hash", "sync_folder", "write_atomically"]

WRITE_PROTECTED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Why nothing can be written to a folder with which nothing is wrong."""


def canonical_json(facts: Mapping[str, Any]) -> bytes:
    """One byte string for equal facts: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(data: bytes) -> str:
    """The blake3 of `data`, in hex."""
    return blake3(data).hexdigest()


def file_hash(path: Path) -> str:
    """The blake3 of a file's content, in hex."""
    hasher = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash or a full disk leaves the old file or the new one, never a part.

    The data and then the folder's entry are forced to the disk before this returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can (Windows cannot open a folder)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
