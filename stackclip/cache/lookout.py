"""Which contents files have now: by a look where that tells, and by reading where it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.index import Index
from stackclip.cache.looks import Looks, look_at
from stackclip.cache.readings import Readings
from stackclip.cache.sources import Reading, Role, Stamps, read_again, stamps_of
from stackclip.errors import PictureError

__all__ = ["Lookout", "in_hex"]

_HEX = 64  # digits of a digest


class _Seen(threading.local):
    """What was seen within `once`, by the thread that is in it; None outside."""

    digests: dict[Role, dict[str, bytes]] | None = None


class Lookout:
    """The digests of sources (n,), 32 bytes each, zeros where there is none; what is read is added to `readings`."""

    def __init__(self, readings: Readings, index: Index) -> None:
        self._readings, self._index, self._seen = readings, index, _Seen()

    @contextmanager
    def once(self) -> Iterator[None]:
        """Within, `planned` looks at no file again whose content it knows, until `look_again`."""
        outer = self._seen.digests
        self._seen.digests = {"picture": {}, "mask": {}} if outer is None else outer
        try:
            yield
        finally:
            self._seen.digests = outer

    def look_again(self) -> None:
        """Let go of what was seen."""
        for seen in (self._seen.digests or {}).values():
            seen.clear()

    def planned(self, homes: Sequence[Path | None], role: Role, *, hopeless: bool = False) -> NDArray[np.bytes_]:
        """What something is decided by; nothing of what cannot be read, nor of what the store cannot hold.

        With `hopeless` that is read too.
        """
        seen = (self._seen.digests or {}).get(role, {})
        known = [seen.get(str(home), b"") if home else b"" for home in homes]
        new = [at for at, home in enumerate(homes) if home and not known[at]]
        digests = np.array(known, "S32") if known else np.empty(0, "S32")
        looks = look_at([home for at in new if (home := homes[at])], role)
        digests[new] = found = self._contents(looks, hopeless=hopeless)
        if self._seen.digests is not None:
            seen.update((str(home), digest) for home, digest in zip(looks.homes, found.tolist(), strict=True) if digest)
        return digests

    def to_read(self, homes: Sequence[Path], role: Role) -> NDArray[np.bytes_]:
        """What rows are read by, of files as they are at this moment; raises PictureError."""
        return self._contents(look_at(homes, role), strict=True)

    def source(self, home: Path, role: Role) -> tuple[str, Stamps]:
        """The digest of what is at one place at this moment, and the stamps of its files; raises PictureError."""
        looks = look_at([home], role)
        [digest], files = in_hex(self._readings.digests(looks)), looks.states(0)
        if digest is None or files is None:
            digest, files, _ = self._read(home, role)
        return digest, stamps_of(files)

    def _contents(self, looks: Looks, *, hopeless: bool = False, strict: bool = False) -> NDArray[np.bytes_]:
        digests = self._readings.digests(looks)
        unknown = np.flatnonzero(digests == b"")
        if not hopeless and len(unknown):
            unknown = unknown[looks.where_all(self._index.may_hold(looks.sizes))[unknown]]
        for at in unknown.tolist():
            with nullcontext() if strict else suppress(PictureError):
                digests[at] = bytes.fromhex(self._read(looks.homes[at], looks.role).digest)
        return digests

    def _read(self, home: Path, role: Role) -> Reading:
        reading = read_again(home, role)
        self._readings.add(home, role, reading)
        return reading


def in_hex(digests: NDArray[np.bytes_]) -> list[str | None]:
    """Digests (n,) as they are written, None for zeros."""
    text = digests.tobytes().hex()
    starts = range(0, len(text), _HEX)
    return [
        text[at : at + _HEX] if there else None for at, there in zip(starts, (digests != b"").tolist(), strict=True)
    ]
