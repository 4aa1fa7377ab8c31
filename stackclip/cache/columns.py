"""Derived files of columns: arrays of plain types behind a few facts, with a checksum over every byte."""

from __future__ import annotations

import json
import mmap
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64, xxh3_64_intdigest

from stackclip.errors import DamagedFile
from stackclip.ops.files import canonical_json, write_pieces

__all__ = ["first_rows", "read_columns", "write_columns"]


_MAGIC = b"STKCOLS1"
_HEAD = 24  # bytes: the magic, the xxh3 (64 bits) of all that follows it, and how long the facts are
_ALIGNMENT = 64
_LARGEST_FACTS = 1 << 24
_MAPPED = 1 << 26
"""Larger files are mapped: they come as they are asked for, and processes share them. Smaller ones are read: then
nothing that becomes of the file, or of the disk, can end a process that looks into it."""


def write_columns(path: Path, facts: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write one-dimensional arrays, or rows of one length, in place of what is at `path`; raises OSError."""
    shapes = [[name, column.dtype.str, *column.shape] for name, column in columns.items()]
    text = canonical_json({"facts": dict(facts), "columns": shapes})
    pieces: list[memoryview | bytes] = [len(text).to_bytes(8, "little"), text, _gap(_HEAD + len(text))]
    for column in columns.values():
        data = np.ascontiguousarray(column).reshape(-1).view(np.uint8).data
        pieces += [data, _gap(len(data))]
    digest = xxh3_64()
    for piece in pieces:
        digest.update(piece)
    write_pieces(path, (_MAGIC, digest.intdigest().to_bytes(8, "little"), *filter(len, pieces)))


def read_columns(
    path: Path, wanted: Mapping[str, str], *, largest: int
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts and the columns of a file of at most `largest` bytes; `wanted` are their names and types in order.

    Raises DamagedFile for other bytes than were written, and for what cannot be read (the OSError is its cause).
    """
    try:
        data = _bytes_of(path, largest)
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else None
        raise DamagedFile(f"{path}: {getattr(error, 'strerror', None) or error}") from cause
    try:
        return _parsed(data, wanted)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise DamagedFile(f"{path}: its columns are not what was written ({error})") from None


def first_rows(column: NDArray[Any], keys: NDArray[Any]) -> NDArray[np.intp]:
    """The first row of a sorted column that is each of the keys (m,), -1 where none is."""
    order = np.argsort(keys)  # a search that goes on where the last one ended has its memory near: four times as fast
    rows = np.empty(len(keys), np.intp)
    rows[order] = column.searchsorted(keys[order])
    there = rows < len(column)
    there[there] = column[rows[there]] == keys[there]
    return np.where(there, rows, -1)


def _bytes_of(path: Path, largest: int) -> NDArray[np.uint8]:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _HEAD <= found.st_size <= largest:
            raise ValueError(f"is no regular file of {_HEAD} to {largest} bytes")
        if found.st_size > _MAPPED:
            return np.frombuffer(mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ), np.uint8)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return np.frombuffer(file.read(found.st_size), np.uint8)
    finally:
        os.close(descriptor)


def _parsed(data: NDArray[np.uint8], wanted: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    head = data[:_HEAD].tobytes()
    if head[:8] != _MAGIC or int.from_bytes(head[8:16], "little") != xxh3_64_intdigest(data[16:].data):
        raise ValueError("its checksum does not fit")
    length = int.from_bytes(head[16:], "little")
    if length > min(_LARGEST_FACTS, len(data) - _HEAD):
        raise ValueError(f"facts of {length} bytes")
    content = json.loads(data[_HEAD : _HEAD + length].tobytes())
    if [column[:2] for column in content["columns"]] != [[name, dtype] for name, dtype in wanted.items()]:
        raise ValueError("it has other columns")
    end, columns = _up(_HEAD + length), dict[str, NDArray[Any]]()
    for name, dtype, *shape in content["columns"]:
        if not shape or not all(type(side) is int and 0 <= side < 1 << 48 for side in shape):
            raise ValueError(f"{name} has the shape {shape}")
        size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object))
        if end + size > len(data):
            raise ValueError(f"{name} leaves the file")
        columns[name] = data[end : end + size].view(dtype).reshape(shape)
        end += _up(size)
    if end != len(data):
        raise ValueError("it has bytes of no column")
    return dict(content["facts"]), columns


def _gap(end: int) -> bytes:
    return bytes(_up(end) - end)


def _up(size: int) -> int:
    return -size % _ALIGNMENT + size
