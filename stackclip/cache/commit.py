"""How a segment becomes part of its store, whoever else adds to it at that moment."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from stackclip.cache.folders import segment_numbers
from stackclip.cache.manifest import Manifest, Record
from stackclip.cache.segment import compose
from stackclip.ops.drafts import Draft
from stackclip.ops.files import sync_folder, written_draft
from stackclip.types import Part

__all__ = ["Gathered", "commit_segment"]

Gathered = tuple[Record, dict[Part, NDArray[Any]]]
"""A record and the arrays of its parts, as they lie on the disk."""


def commit_segment(
    folder: Path, gathered: Iterable[Gathered], *, fingerprint: str, recorded: Mapping[str, Any]
) -> tuple[Path, Manifest]:
    """Write one segment of the store in `folder` and, when it is on the disk for good, its manifest.

    The segment is written under a name of its own and then claims the next number that nobody has: many processes may
    do so at once, and none ever takes a name that another has. The manifest keeps what is `recorded` of the writer, and
    its host. Returns the segment's path. Raises OSError, StoreError.
    """
    gathered = list(gathered)
    rows: dict[Part, list[NDArray[Any]]] = {}
    for _, arrays in gathered:
        for part, array in arrays.items():
            rows.setdefault(part, []).append(array)
    recorded = {**recorded, "host": socket.gethostname()}
    composition = compose([record for record, _ in gathered], rows, fingerprint=fingerprint, recorded=recorded)
    with written_draft(folder / "segments", composition.pieces, size=composition.manifest.size) as draft:
        path = _claimed(draft, folder)
        try:
            sync_folder(path.parent)
            _commit(path.with_suffix(".json"), composition.manifest.encoded())
        except BaseException:
            with suppress(OSError):  # no part of the store, unless its manifest is there though it could not be forced
                if not os.path.lexists(path.with_suffix(".json")):
                    path.unlink()
            raise
    return path, composition.manifest


def _claimed(draft: Draft, folder: Path) -> Path:
    """Give a segment the next number; one that is lost leaves a manifest behind, whose number is not free."""
    number = max(segment_numbers(folder), default=0) + 1
    while True:
        path = folder / "segments" / f"{number:06d}.h5"
        if not os.path.lexists(path.with_suffix(".json")) and draft.claims(path):
            return path
        number += 1


def _commit(manifest: Path, data: bytes) -> None:
    """Make the manifest be there: until then the segment is none."""
    with written_draft(manifest.parent, (data,)) as draft:
        if not draft.claims(manifest, reserved=True):
            raise FileExistsError(errno.EEXIST, "another writer's manifest has the number that this one claimed")
    sync_folder(manifest.parent)
