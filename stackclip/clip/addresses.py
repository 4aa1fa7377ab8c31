"""Weights that open_clip gets from a plain address, as they are on no hub: no tag of its version 3.3 is one."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["fetch_by_address", "file_by_address", "hash_in_address"]


def file_by_address(model: str, tag: str) -> Path:
    """Where open_clip keeps what it got from an address."""
    return Path.home() / ".cache" / "clip" / _address(model, tag).rpartition("/")[2]


def hash_in_address(model: str, tag: str) -> str:
    """The beginning of the sha256 that an address names, as a folder or at the end of the file's name."""
    folder, _, file = _address(model, tag).rpartition("/")
    named = re.search(r"(?<=/)[0-9a-f]{64}$", folder) or re.search(r"(?<=-)[0-9a-f]{8,64}(?=\.\w+$)", file)
    return named[0] if named else ""


def fetch_by_address(model: str, tag: str) -> Path:
    """Have open_clip get weights that are on no hub; nothing is left of what did not come whole."""
    import open_clip  # here, since it takes seconds

    file = file_by_address(model, tag) if _address(model, tag) else None  # a program may name a file of its own
    if file is not None:
        file.unlink(missing_ok=True)
    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(model, tag)))
    except BaseException:
        if file is not None:
            file.unlink(missing_ok=True)
        raise


def _address(model: str, tag: str) -> str:
    """Where open_clip gets weights from that are on no hub; empty for those that are."""
    import open_clip  # here, since it takes seconds

    facts = open_clip.get_pretrained_cfg(model, tag)
    return "" if facts.get("hf_hub") else str(facts.get("url", ""))
