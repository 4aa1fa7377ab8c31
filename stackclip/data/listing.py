"""Lists pictures and folders in a fixed order, without what systems leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from stackclip.data.images import EXTENSIONS
from stackclip.errors import DataError
from stackclip.ops.outputs import is_output

__all__ = ["files_below", "folders_in", "is_picture", "pictures_below", "pictures_in", "place_below"]

_LITTER = ("__MACOSX", "@eaDir")  # folders that archives and network disks leave; hidden files go by their dot


def pictures_in(folder: Path) -> list[Path]:
    """The files directly in `folder` whose extension is a picture's, sorted by name.

    Hidden files are left out. Files are not opened: a pipe or a broken link with a picture's name is listed, so that
    reading it names it. Raises DataError for a folder that cannot be listed.
    """
    return [folder / name for name, is_folder in _entries(folder) if not is_folder and is_picture(name)]


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted by name; raises DataError.

    Hidden ones are left out, and those that stackclip filled: a heat map is no picture of a product. A link is followed
    unless it leads to `folder`, to what lies in it or to what it lies in; of several links to one folder the first is
    followed. So no picture is read twice, and no link leads in a circle.
    """
    return _folders(folder, _entries(folder))


def _folders(folder: Path, entries: list[tuple[str, bool]]) -> list[Path]:
    """The same, of what `_entries` found in the folder."""
    named = (folder / name for name, is_folder in entries if is_folder and name not in _LITTER)
    found = [child for child in named if not is_output(child)]
    links = [path for path in found if path.is_symlink()]
    repeated = _repeated(folder, links) if links else set()
    return [path for path in found if path not in repeated]


def pictures_below(folder: Path) -> Iterator[Path]:
    """The pictures of `folder` and of the folders below it, each folder's own first; links as `folders_in` has it."""
    for place, files, _ in files_below(folder):
        yield from (place / name for name in files if is_picture(name))


def files_below(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder from `folder` down, the names of its files, and those of the folders in it that are not entered.

    These are links, which are followed once, and what stackclip filled. Hidden files and folders are left out.
    """
    return _walk(folder, os.path.realpath(folder), set(), linked=False)


def _walk(folder: Path, top: str, reached: set[str], *, linked: bool) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`top` is the true place of where the walk began, `reached` are those of the folders behind a link."""
    entries = _entries(folder)
    files = [name for name, is_folder in entries if not is_folder]
    wanted = _folders(folder, entries)
    left = {name for name, is_folder in entries if is_folder and name not in _LITTER} - {path.name for path in wanted}
    followed = []
    for child in wanted:
        behind = linked or child.is_symlink()
        place = os.path.realpath(child) if behind else ""
        if behind and (place in reached or _within(place, top) or _within(top, place)):
            left.add(child.name)
            continue
        reached.add(place)
        followed.append((child, behind))
    yield folder, files, sorted(left)
    for child, behind in followed:
        yield from _walk(child, top, reached, linked=behind)


def _repeated(folder: Path, links: list[Path]) -> set[Path]:
    """The links in a folder that lead to where a walk comes anyway, or came from."""
    top, places, repeated = os.path.realpath(folder), set[str](), set[Path]()
    for link in links:
        place = os.path.realpath(link)
        if place in places or _within(place, top) or _within(top, place):
            repeated.add(link)
        places.add(place)
    return repeated


def _within(place: str | Path, top: str | Path) -> bool:
    return PurePath(place).is_relative_to(top)


def place_below(path: Path, folder: Path) -> str:
    """Where a path lies below a folder, with forward slashes; raises ValueError for one that does not.

    It is `path.relative_to(folder).as_posix()`, as text: there are 200 000 of them.
    """
    place, top = os.fspath(path), os.path.join(folder, "")  # noqa: PTH118 - text
    if place.startswith(top) and len(place) > len(top):
        return place[len(top) :].replace(os.sep, "/")
    return path.relative_to(folder).as_posix()


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
        if not name.isascii():
            _check_text(folder, name)
    return found


def _check_text(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"{folder}: the name {os.fsencode(name)!r} in it is not UTF-8: rename it") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
