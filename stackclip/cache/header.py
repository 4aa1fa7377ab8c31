"""What the features of a store were made with: its store.json, which everything else is checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackclip.cache.fingerprint import (
    FORMATS,
    differences,
    feature_dtype,
    fingerprint_digest,
    format_number,
)
from stackclip.cache.folders import make_folder
from stackclip.cache.manifest import Manifest, read_sealed
from stackclip.cache.refusals import refused_read
from stackclip.cache.shapes import FeatureDtype
from stackclip.errors import CorruptStore, FingerprintMismatch, StoreError, UsageError
from stackclip.ops.files import write_atomically
from stackclip.ops.seals import sealed
from stackclip.ops.words import few_of
from stackclip.sizes import said_size
from stackclip.types import TowerSpec, spec_of

__all__ = ["Header", "has_header", "header_made", "read_header"]

_NAME = "store.json"
_SIZES = ("image_size", "grid", "depth", "width", "joint")


@dataclass(frozen=True, slots=True)
class Header:
    """The inputs of a store's features, their digest, how patch parts are kept, and the sizes of the tower.

    `recorded` (library versions, device) is kept for the reader and decides nothing.
    """

    fingerprint: Mapping[str, Any]
    digest: str
    dtype: FeatureDtype
    spec: TowerSpec
    recorded: Mapping[str, Any]

    def manifest(self, path: Path) -> Manifest:
        """The manifest of one of the store's segments; raises what `Manifest.read` raises."""
        return Manifest.read(path, fingerprint=self.digest, spec=self.spec, dtype=self.dtype)


def has_header(folder: Path) -> bool:
    """Whether the folder is a store; raises UnreadableStore where the system does not tell."""
    path = folder / _NAME
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise refused_read(path, error) from None
    return True


def read_header(folder: Path, *, fingerprint: Mapping[str, Any] | None = None) -> Header:
    """Read and check the store.json of a folder; a fingerprint that is given must be its own.

    Raises StoreError where there is none or its format is newer, CorruptStore for a damaged one, UnreadableStore for
    one that the system withholds, FingerprintMismatch naming each input that differs.
    """
    path = folder / _NAME
    if not has_header(folder):
        raise StoreError(f"{folder} is no feature store: it has no {_NAME}. Run: stackclip cache-features")
    try:
        content = read_sealed(path)
        if content.get("format") not in FORMATS:
            found = content.get("format")
            raise StoreError(f"{folder} has the format {found!r}, this stackclip reads {few_of(map(str, FORMATS))}")
        return _header(path, content, fingerprint)
    except CorruptStore as error:
        raise CorruptStore(f"{error}. Delete that file and run stackclip cache-features: the rest is kept") from None
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise CorruptStore(f"{path}: its facts do not fit together ({error!r})") from None


def header_made(folder: Path, fingerprint: Mapping[str, Any], spec: TowerSpec, recorded: Mapping[str, Any]) -> Header:
    """Make a folder the store of a tower, if it is none yet, and read its header.

    Raises StoreError where it cannot be written, FingerprintMismatch for a tower of other sizes, what `read_header`
    raises.
    """
    if not has_header(folder):
        _write(folder, fingerprint, spec, recorded)
    header = read_header(folder, fingerprint=fingerprint)
    for name in _SIZES:
        if (found := getattr(header.spec, name)) != (wanted := getattr(spec, name)):
            raise FingerprintMismatch(f"{folder} holds a tower whose {name} is {found}, wanted {wanted}")
    return header


def _write(folder: Path, fingerprint: Mapping[str, Any], spec: TowerSpec, recorded: Mapping[str, Any]) -> None:
    """Make a folder a store, unless another process is faster."""
    make_folder(folder / "segments")
    content = {
        "format": format_number(fingerprint),
        "fingerprint": dict(fingerprint),
        "digest": fingerprint_digest(fingerprint),
        "tower": _tower_facts(spec),
        "recorded": dict(recorded),
    }
    try:
        write_atomically(folder / _NAME, sealed(content))
    except OSError as error:
        if not has_header(folder):
            raise StoreError(f"cannot write {folder / _NAME}: {error.strerror or error}") from None


def _tower_facts(spec: TowerSpec) -> dict[str, Any]:
    """The sizes of a tower as JSON has them; what it lacks only where it lacks something."""
    facts = {**asdict(spec), **{name: said_size(getattr(spec, name)) for name in ("image_size", "grid")}}
    return {name: fact for name, fact in facts.items() if fact or name != "lacks"}


def _header(path: Path, content: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> Header:
    fingerprint = dict(content["fingerprint"])
    digest = fingerprint_digest(fingerprint)
    if content["format"] != format_number(fingerprint):
        raise CorruptStore(f"{path}: its format is not that of its fingerprint")
    if content["digest"] != digest:
        raise CorruptStore(f"{path}: its digest is not that of its fingerprint")
    if wanted is not None and (differing := differences(fingerprint, wanted)):
        raise FingerprintMismatch(f"{path.parent} was made with another tower: {'; '.join(differing)}")
    spec = spec_of(content["tower"])
    return Header(fingerprint, digest, feature_dtype(fingerprint), spec, content["recorded"])
