"""Lists pictures and folders in a fixed order, without what systems leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stackclip.data.images import EXTENSIONS
from stackclip.errors import DataError
from stackclip.ops.outputs import is_output
from stackclip.types import GOOD

__all__ = ["GOOD_FOLDERS", "folders_in", "is_picture", "pictures_below", "pictures_in"]

GOOD_FOLDERS = (GOOD, "normal", "ok")  # what a folder of normal pictures is called, in any case

_LITTER = ("__MACOSX", "@eaDir")  # folders that archives and network disks leave; hidden files go by their dot


def pictures_in(folder: Path) -> list[Path]:
    """The files directly in `folder` whose extension is a picture's, sorted by name.

    Hidden files are left out. Files are not opened: a pipe or a broken link with a picture's name is listed, so that
    reading it names it. Raises DataError for a folder that cannot be listed.
    """
    return [folder / name for name, is_folder in _entries(folder) if not is_folder and is_picture(name)]


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted by name; raises DataError.

    Hidden ones are left out, and those that stackclip filled: a heat map is no picture of a product.
    """
    named = (folder / name for name, is_folder in _entries(folder) if is_folder and name not in _LITTER)
    return [child for child in named if not is_output(child)]


def pictures_below(folder: Path) -> Iterator[Path]:
    """The pictures of `folder` and of the folders below it, each folder's own first.

    Links to folders are not followed below `folder`, so a link cannot lead in a circle.
    """
    yield from pictures_in(folder)
    for child in folders_in(folder):
        if not child.is_symlink():
            yield from pictures_below(child)


def is_picture(name: str) -> bool:
    """Whether a file name ends as a picture's does, in either case."""
    return name.lower().endswith(EXTENSIONS)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """(name, is a folder) of what is not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    for name, _ in found:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(f"{folder}: the name {os.fsencode(name)!r} in it is not UTF-8: rename it") from None
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
