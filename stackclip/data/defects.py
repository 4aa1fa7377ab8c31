"""Defects one by one, at the size of their picture, each with the area from which on it counts as found.

A category of MVTec-LOCO has a `defects_config.json`; the masks of a picture are a folder with one file a defect, whose
pixels have the defect's value in that file. Bergmann et al., IJCV 2022; decision 0042.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.data.images import open_picture, picture_size, turned
from stackclip.data.masks import mask_files
from stackclip.errors import DamagedFile, DataError, PictureError
from stackclip.ops.seals import read_regular
from stackclip.types import Sample

__all__ = ["DEFECTS_CONFIG", "DefectKind", "DefectRegion", "read_defects", "read_kinds"]

DEFECTS_CONFIG = "defects_config.json"
_FIELDS = ("defect_name", "pixel_value", "saturation_threshold", "relative_saturation")
_LARGEST = 1 << 20  # bytes of such a file; the largest of MVTec-LOCO has 4 kB


@dataclass(frozen=True, slots=True)
class DefectKind:
    """A kind of defect: its name, and the area from which on it is found, a share of its own one or in pixels."""

    name: str
    threshold: float
    relative: bool

    def saturation(self, area: int) -> int:
        """The pixels of a defect of so many that have to be found: at least one, and no more than it has."""
        return max(1, int(self.threshold * area) if self.relative else min(int(self.threshold), area))


@dataclass(frozen=True, slots=True)
class DefectRegion:
    """One defect of a picture: its pixels (M,), rising, of the picture row by row, and how many have to be found."""

    pixels: NDArray[np.int64]
    saturation: int


def read_kinds(path: Path) -> dict[int, DefectKind]:
    """The kinds of defects of a category by the value that their pixels have in masks; raises DataError."""
    wanted = f"get it anew from the archive; wanted a list of {{{', '.join(_FIELDS)}}}"
    try:
        entries = json.loads(read_regular(path, largest=_LARGEST).decode("utf-8-sig"))
    except DamagedFile as error:
        raise DataError(f"{path}: cannot be read ({error.why(path)}); {wanted}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); {wanted}") from None
    if not isinstance(entries, list) or not entries:
        found = "an empty list" if entries == [] else f"a {type(entries).__name__}"
        raise DataError(f"{path}: holds {found}; {wanted}")
    kinds: dict[int, DefectKind] = {}
    for place, entry in enumerate(entries, 1):
        try:
            value, kind = _kind(entry)
        except ValueError as error:
            raise DataError(f"{path}: entry {place} {error}; {wanted}") from None
        if value in kinds:
            raise DataError(f"{path}: {kinds[value].name} and {kind.name} both have the pixel_value {value}; {wanted}")
        kinds[value] = kind
    return kinds


def _kind(entry: Any) -> tuple[int, DefectKind]:
    """The pixel value and the kind of one entry; raises ValueError."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"is a {type(entry).__name__}")
    if lacking := [name for name in _FIELDS if name not in entry]:
        raise ValueError(f"lacks {', '.join(lacking)}")
    name, value, threshold, relative = (entry[each] for each in _FIELDS)
    if not isinstance(name, str) or not isinstance(relative, bool):
        raise ValueError("has no text as defect_name, or neither true nor false as relative_saturation")
    if type(value) is not int or not 1 <= value <= 255:
        raise ValueError(f"({name}) has the pixel_value {value!r}, wanted a whole number from 1 to 255")
    if type(threshold) not in (int, float) or not 0 < threshold <= (1 if relative else 2**31):
        most = "1, a share of the defect" if relative else "any number of pixels"
        raise ValueError(f"({name}) has the saturation_threshold {threshold!r}, wanted more than 0, up to {most}")
    return value, DefectKind(name, float(threshold), relative)


def read_defects(sample: Sample) -> tuple[DefectRegion, ...]:
    """The defects of a picture at its own size, one a mask file; none of a picture that is good.

    Raises PictureError for a mask that lacks, has another size than its picture or no value of its category's file,
    and DataError for that file.
    """
    if sample.mask is None or sample.defects is None:
        return ()
    if not sample.defects.exists():
        raise DataError(f"{sample.defects}: missing; copy it from the archive, it says how much of a defect is enough")
    kinds, size = _kinds(sample.defects, sample.defects.stat().st_mtime_ns), picture_size(sample.image)
    return tuple(_defect(path, kinds, size, sample.defects.name) for path in mask_files(sample, sample.mask))


@cache
def _kinds(path: Path, changed: int) -> dict[int, DefectKind]:
    """The kinds of defects of a file as it was at a time; it is read once for all pictures of a category."""
    return read_kinds(path)


def _defect(path: Path, kinds: Mapping[int, DefectKind], size: Sequence[int], named: str) -> DefectRegion:
    with open_picture(path) as picture:
        values = np.asarray(turned(picture))
    if values.ndim != 2 or values.dtype != np.uint8:
        raise PictureError(path, "mask in colour or of more than 8 bits; wanted 8-bit grey, a defect's pixel_value")
    if values.shape != tuple(size):
        found, wanted = (f"{width} x {height}" for height, width in (values.shape, size))
        raise PictureError(path, f"mask of {found} pixels for a picture of {wanted}; it counts at the picture's size")
    pixels = np.flatnonzero(values)
    found_values = np.unique(values.reshape(-1)[pixels]).tolist()
    known = ", ".join(map(str, sorted(kinds, reverse=True)))
    if len(found_values) != 1:
        what = f"the values {', '.join(map(str, found_values))}" if found_values else "no pixel above 0"
        divided = "" if found_values else "; was it divided by 255?"
        raise PictureError(path, f"mask with {what}; wanted one defect's pixel_value of {named}, {known}{divided}")
    (value,) = found_values
    if value not in kinds:
        divided = "; was it divided by 255?" if value == 1 else ""
        raise PictureError(path, f"mask with the value {value}, which is not in {named}; it has {known}{divided}")
    return DefectRegion(pixels, kinds[value].saturation(pixels.size))
