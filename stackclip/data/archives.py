"""The archives that lie where their contents should."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stackclip.data.finding import few_names

__all__ = ["packed", "packed_in"]

_ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst", ".7z", ".rar")
_PARTIAL = (".part", ".crdownload", ".aria2", ".download", ".filepart")
_SHOWN = 3


def packed(paths: Iterable[Path]) -> str:
    """What archives there are among files, and downloads that broke off, in words; empty for none."""
    files = sorted(paths)
    whole = [path.name for path in files if path.name.lower().endswith(_ENDINGS)]
    parts = [path.name for path in files if path.name.lower().endswith(_PARTIAL)]
    said = [f"archives that are not unpacked ({few_names(whole, _SHOWN)})"] if whole else []
    said += [f"downloads that are not whole ({few_names(parts, _SHOWN)})"] if parts else []
    return " and ".join(said)


def packed_in(folder: Path) -> str:
    """The same of the files directly in a folder; empty where it cannot be listed."""
    try:
        return packed(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return ""
