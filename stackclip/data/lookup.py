"""Finds the picture that a table or an annotation names, wherever below the root it lies now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from stackclip.data.labels import composed
from stackclip.errors import DataError

__all__ = ["PictureFinder", "path_parts"]


class PictureFinder:
    """The pictures below a root, by the names that files of others give them.

    A name is a path from another machine as often as one from the root: the picture with the longest end of it in
    common is meant, and of several the nearest to the file that names it. Accents count in either form.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in paths:
            self._by_name.setdefault(composed(path.name), []).append(path)
            self._by_stem.setdefault(composed(path.stem), []).append(path)

    def find(self, text: str, where: Path) -> Path | None:
        """The picture that the file `where` calls `text`, or None; raises DataError where it could be several."""
        parts = path_parts(text)
        if not parts:
            return None
        ranked = [(_common(path, parts), path) for path in self._by_name.get(parts[-1], ())]
        longest = max((length for length, _ in ranked), default=0)
        return _nearest([path for length, path in ranked if length == longest], where, text)

    def beside(self, where: Path, stem: str) -> Path | None:
        """The picture of a stem that is nearest to the file `where`; raises DataError where it could be several."""
        return _nearest(self._by_stem.get(composed(stem), []), where, stem)


def path_parts(text: str) -> tuple[str, ...]:
    """The folders and the name in a path of any system, composed, without its beginning and without steps up."""
    path = PureWindowsPath(text) if "\\" in text else PurePosixPath(text)
    return tuple(composed(part) for part in path.parts if part not in (path.anchor, "..", "."))


def _common(path: Path, parts: tuple[str, ...]) -> int:
    """How many parts from the end a path and a name have in common."""
    length = 0
    for own, other in zip(reversed(path.parts), reversed(parts), strict=False):
        if composed(own) != other:
            break
        length += 1
    return length


def _nearest(paths: list[Path], where: Path, text: str) -> Path | None:
    """The path that shares most folders with `where`, None of no path."""
    shared = {path: _shared(path.parent, where.parent) for path in paths}
    most = max(shared.values(), default=0)
    nearest = [path for path in paths if shared[path] == most]
    if len(nearest) > 1:
        raise DataError(f"{where}: names {text!r}, which may be {nearest[0]} or {nearest[1]}: give its folder too")
    return nearest[0] if nearest else None


def _shared(left: Path, right: Path) -> int:
    """How many folders two places have in common from the root on, less one for each step between them."""
    both = 0
    for one, other in zip(left.parts, right.parts, strict=False):
        if one != other:
            break
        both += 1
    return 2 * both - len(left.parts)
