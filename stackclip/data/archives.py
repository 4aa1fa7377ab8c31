"""The archives that lie where their contents should."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stackclip.data.finding import few_names

__all__ = ["packed", "packed_in"]

_ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".7z", ".rar")
_PARTIAL = (".part", ".crdownload", ".aria2", ".download", ".filepart")
_SHOWN, _FOLDERS = 3, 64


def packed(paths: Iterable[Path]) -> str:
    """What archives there are among files, and downloads that broke off, in words; empty for none."""
    files = sorted(paths)
    whole = [path.name for path in files if path.name.lower().endswith(_ENDINGS)]
    parts = [path.name for path in files if path.name.lower().endswith(_PARTIAL)]
    said = [f"archives that are not unpacked ({few_names(whole, _SHOWN)})"] if whole else []
    said += [f"downloads that are not whole ({few_names(parts, _SHOWN)})"] if parts else []
    return " and ".join(said)


def packed_in(folder: Path, *, inner: bool = False) -> str:
    """The same of the files directly in a folder, and with `inner` of those in up to 64 folders in it."""
    try:
        there = sorted(folder.iterdir())
        below = [place for place in there if place.is_dir()][:_FOLDERS] if inner else []
        return packed(
            path for files in (there, *(place.iterdir() for place in below)) for path in files if path.is_file()
        )
    except OSError:  # what cannot be listed is told where it is read
        return ""
