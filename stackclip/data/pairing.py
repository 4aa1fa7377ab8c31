"""Pairs pictures with their masks by file stem, never by position."""

from __future__ import annotations

from pathlib import Path

from stackclip.data.listing import folders_in, pictures_in
from stackclip.errors import DataError

__all__ = ["MaskFolder"]


class MaskFolder:
    """The masks of one defect: a file, or a folder of files whose union counts, named by the stem of its picture.

    Each of `endings` may stand behind the stem: `STEM_mask.png` or `STEM.png`, unless others are named.
    A folder that is not there says that the defect is not localised; a mask that lacks in a folder that is there is
    a gap, and the path at which it was expected stands in for it, so that whoever reads it can name it.
    Raises DataError where two files claim one stem.
    """

    def __init__(self, folder: Path, *, endings: tuple[str, ...] = ("_mask", "")) -> None:
        self.folder = folder
        self.endings = endings
        self._by_stem: dict[str, Path] | None = _by_stem(folder) if folder.is_dir() else None

    def find(self, picture: Path) -> Path | None:
        """The mask of a picture that is there, or None."""
        masks = self._by_stem or {}
        return next((masks[stem] for ending in self.endings if (stem := picture.stem + ending) in masks), None)

    def of(self, picture: Path) -> Path | None:
        """The mask of a picture; where it lacks, the path it should have; None where nothing is localised."""
        if self._by_stem is None:
            return None
        return self.find(picture) or self.folder / f"{picture.stem}{self._usual_ending()}.png"

    def _usual_ending(self) -> str:
        """The ending that the masks in the folder have; the first where they have none or there are no masks."""
        named = [ending for ending in self.endings if ending]
        bare = self._by_stem and not any(stem.endswith(tuple(named)) for stem in self._by_stem)
        return "" if bare and "" in self.endings else self.endings[0]


def _by_stem(folder: Path) -> dict[str, Path]:
    found = {path.name: path for path in folders_in(folder)}
    files: dict[str, Path] = {}
    for path in pictures_in(folder):
        if path.stem in files:
            raise DataError(f"{folder}: both {files[path.stem].name} and {path.name} claim to be one mask: remove one")
        files[path.stem] = path
    return {**found, **files}
