"""What the server of MVTec AD 2 takes of pictures whose labels it keeps: written, and checked as its utility does."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data.images import picture_size, png_of
from stackclip.errors import PictureError, UsageError
from stackclip.ops.files import write_atomically
from stackclip.ops.words import counted, few_of

__all__ = ["MAPS", "THRESHOLDED", "Wanted", "problems_of", "write_maps"]

MAPS, THRESHOLDED = "anomaly_images", "anomaly_images_thresholded"
_ENDINGS = {MAPS: ".tiff", THRESHOLDED: ".png"}

Wanted = Mapping[str, Mapping[str, Collection[str]]]
"""The stems of the pictures of each split of each category."""


def write_maps(output: Path, category: str, maps: Mapping[Path, Path], threshold: float | None) -> None:
    """Write the maps of the pictures of a category, `maps` of which are .npy files (H, W) by their pictures.

    Each is stretched to its picture's size and kept as float16, 0 to 1 from the lowest to the highest score of the
    category, which keeps their order: float16 has no scores above 65504 and few below 0.0001. With a `threshold` what
    lies above it is kept as 0 and 255 beside it. Raises OSError, PictureError and UsageError.
    """
    tifffile = _tifffile()
    ends = [(float(scores.min()), float(scores.max())) for scores in map(_read, maps.values())]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    for picture, path in maps.items():
        height, width = picture_size(picture)
        scores = np.asarray(Image.fromarray(_read(path)).resize((width, height), Image.Resampling.BILINEAR))
        place = Path(category, picture.parent.name, picture.stem)
        buffer = io.BytesIO()
        shares = ((scores - low) / ((high - low) or 1.0)).astype(np.float16)
        tifffile.imwrite(buffer, shares, photometric="minisblack", compression="zlib")
        _write(output / MAPS / f"{place}.tiff", buffer.getvalue())
        if threshold is not None:
            _write(output / THRESHOLDED / f"{place}.png", png_of(Image.fromarray((scores > threshold) * np.uint8(255))))


def problems_of(submission: Path, wanted: Wanted) -> Iterator[str]:
    """What the server would refuse in a folder, a line each: other names, other kinds of files, other values.

    Thresholded pictures may be missing as a whole. Raises UsageError.
    """
    tifffile = _tifffile()
    checks: dict[str, Callable[[Path], str]] = {MAPS: lambda path: _odd_map(path, tifffile), THRESHOLDED: _odd_mask}
    there = [name for name in checks if name == MAPS or (submission / name).is_dir()]
    yield from _odd_names(submission, {*there})
    for name in there:
        yield from _odd_names(submission / name, wanted)
        for category, splits in wanted.items():
            yield from _odd_names(submission / name / category, splits)
            for split, stems in splits.items():
                place = submission / name / category / split
                yield from _odd_names(place, {f"{stem}{_ENDINGS[name]}" for stem in stems})
                files = [place / f"{stem}{_ENDINGS[name]}" for stem in sorted(stems)]
                found = [said for path in files if path.is_file() and (said := checks[name](path))]
                yield from [f"{found[0]}{f' (and {len(found) - 1} more there)' if found[1:] else ''}"] if found else []


def _odd_names(folder: Path, wanted: Collection[str]) -> Iterator[str]:
    """What is missing in a folder, and what there is too much."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for what, names in (("missing", set(wanted) - there), ("superfluous", there - set(wanted))):
        if names:
            yield f"{folder}: {counted(len(names), f'{what} name')}: {few_of(sorted(names))}"


def _odd_map(path: Path, tifffile: Any) -> str:
    """Why a map would be refused; empty where it would not."""
    try:
        scores = tifffile.imread(path)
    except Exception as error:  # its reader raises many kinds for damaged files
        return f"{path}: cannot be read ({error})"
    if scores.ndim != 2 or scores.dtype != np.float16:
        return f"{path}: {scores.dtype} of shape {scores.shape}; wanted one channel of float16"
    return "" if np.isfinite(scores).all() else f"{path}: has NaN or infinity"


def _odd_mask(path: Path) -> str:
    """Why a thresholded map would be refused; empty where it would not."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            values = np.asarray(picture)
    except OSError as error:
        return f"{path}: cannot be read ({error})"
    fits = values.ndim == 2 and bool(np.isin(values, (0, 255)).all()) and values.dtype == np.uint8
    return "" if fits else f"{path}: {values.dtype} of shape {values.shape}; wanted one channel of 0 and 255"


def _read(path: Path) -> NDArray[np.float32]:
    """A map (H, W); raises PictureError."""
    try:
        scores: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PictureError(path, f"cannot be read ({error})") from None
    return scores


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError:
        what = "a submission needs tifffile, which is not installed"
        raise UsageError(f'{what}: pip install "stackclip[submission]"') from None
    return tifffile
