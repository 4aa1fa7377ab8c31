"""Pairs pictures with their masks by file stem, never by position."""

from __future__ import annotations

from pathlib import Path

from stackclip.data.listing import folders_in, pictures_in
from stackclip.errors import DataError

__all__ = ["MaskFolder"]


class MaskFolder:
    """The masks of one defect: `STEM_mask.png`, `STEM.png`, or a folder `STEM` of files whose union counts.

    A folder that is not there says that the defect is not localised; a mask that lacks in a folder that is there is
    a gap, and the path at which it was expected stands in for it, so that whoever reads it can name it.
    Raises DataError where two files claim one stem.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_stem: dict[str, Path] | None = _by_stem(folder) if folder.is_dir() else None

    def of(self, picture: Path) -> Path | None:
        """The mask of a picture; where it lacks, the path it should have; None where nothing is localised."""
        if self._by_stem is None:
            return None
        for stem in (f"{picture.stem}_mask", picture.stem):
            if stem in self._by_stem:
                return self._by_stem[stem]
        bare = self._by_stem and not any(stem.endswith("_mask") for stem in self._by_stem)
        return self.folder / (f"{picture.stem}.png" if bare else f"{picture.stem}_mask.png")


def _by_stem(folder: Path) -> dict[str, Path]:
    found = {path.name: path for path in folders_in(folder)}
    files: dict[str, Path] = {}
    for path in pictures_in(folder):
        if path.stem in files:
            raise DataError(f"{folder}: both {files[path.stem].name} and {path.name} claim to be one mask: remove one")
        files[path.stem] = path
    return {**found, **files}
