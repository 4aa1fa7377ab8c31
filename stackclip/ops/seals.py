"""Facts on disk with their own checksum: what was not written so is not read as true."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackclip.errors import DamagedFile
from stackclip.ops.files import canonical_json, content_hash

__all__ = ["read_regular", "sealed", "unsealed"]


def sealed(content: Mapping[str, Any]) -> bytes:
    """The content as canonical JSON beside the blake3 of its canonical JSON: one byte string for equal contents."""
    data = canonical_json(content)
    return b'{"blake3":"%b","content":%b}\n' % (content_hash(data).encode(), data)


def unsealed(data: bytes) -> dict[str, Any]:
    """The content that `sealed` made `data` of; raises ValueError when a single byte is another."""
    try:
        content = dict(json.loads(data)["content"])
        intact = sealed(content) == data
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError("its checksum does not fit its content")
    return content


def read_regular(path: Path, *, largest: int) -> bytes:
    """The bytes of a regular file of at most `largest` bytes; it is not waited for, and no more is read.

    Raises DamagedFile for a pipe, a device, a larger file, and what cannot be read (the OSError is its cause).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
                raise DamagedFile(f"{path}: is no regular file of at most {largest} bytes")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(found.st_size + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DamagedFile(f"{path}: {error.strerror or error}") from error
    if len(data) > found.st_size:
        raise DamagedFile(f"{path}: grew while it was read")
    return data
