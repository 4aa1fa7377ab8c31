"""Reads the mask of a sample at the side of a tower's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data.images import open_picture, picture_size, turned
from stackclip.data.listing import pictures_in
from stackclip.errors import PictureError
from stackclip.types import NORMAL, Sample

__all__ = ["anomalous_pixels", "read_mask"]

_RULES = {"bilinear": (Image.Resampling.BILINEAR, 127), "nearest": (Image.Resampling.NEAREST, 0)}  # of 255


def read_mask(sample: Sample, side: int, *, rule: Literal["bilinear", "nearest"] = "bilinear") -> NDArray[np.bool_]:
    """The anomalous pixels of a sample, (side, side).

    A pixel is anomalous where its value is above 0, so that 0/1 equals 0/255 and defect numbers need no list. `rule`
    is how the mask is scaled: `bilinear`, Pillow's filter (which widens when it shrinks, as torchvision's Resize on a
    picture) and then more than one half (APRIL-GAN, CLIP-AD, AnomalyCLIP, AdaCLIP), or `nearest` and not 0 (AA-CLIP).
    Nothing is anomalous in a normal sample, nor in one whose defect is not localised (`sample.mask` is None).
    Raises PictureError where the mask is missing, unreadable or of another size than its picture.
    """
    if sample.label == NORMAL or sample.mask is None:
        return np.zeros((side, side), dtype=np.bool_)
    size = picture_size(sample.image)
    anomalous = np.zeros(size, dtype=np.bool_)
    for path in _mask_files(sample, sample.mask):
        pixels = anomalous_pixels(path)
        if pixels.shape != size:
            found, wanted = (f"{width} x {height}" for height, width in (pixels.shape, size))
            raise PictureError(path, f"mask of {found} pixels for a picture of {wanted} ({sample.image.name})")
        anomalous |= pixels
    if not anomalous.any():
        return np.zeros((side, side), dtype=np.bool_)
    return _scaled(anomalous, side, rule)


def anomalous_pixels(path: Path) -> NDArray[np.bool_]:
    """Where the mask file has values above 0, (H, W): any colour, or a palette's index; what is fully clear has none.

    Raises PictureError for a file that cannot be read, and for a float mask with NaN.
    """
    with open_picture(path) as picture:
        mask = turned(picture)
        if mask.mode not in ("1", "L", "P", "F", "RGB", "RGBA", "LA", "PA") and not mask.mode.startswith("I"):
            mask = mask.convert("RGB")
        values = np.asarray(mask)
        if mask.mode == "F" and np.isnan(values).any():
            raise PictureError(path, "float mask with NaN")
        if mask.mode in ("RGBA", "LA", "PA"):
            colours, alpha = values[..., :-1], values[..., -1]
            return np.asarray((colours > 0).any(axis=2) & (alpha > 0))
        return np.asarray((values > 0).any(axis=2) if values.ndim == 3 else values > 0)


def _mask_files(sample: Sample, mask: Path) -> tuple[Path, ...]:
    """The file itself, or all files of a folder (MVTec-LOCO gives each region its own)."""
    if not mask.is_dir():
        if not mask.exists():
            raise PictureError(sample.image, f"missing mask: expected {mask}")
        return (mask,)
    files = tuple(pictures_in(mask))
    if not files:
        raise PictureError(sample.image, f"missing mask: no mask file in {mask}")
    return files


def _scaled(anomalous: NDArray[np.bool_], side: int, rule: Literal["bilinear", "nearest"]) -> NDArray[np.bool_]:
    mask = Image.fromarray(anomalous.astype(np.uint8) * 255)
    resample, threshold = _RULES[rule]
    return np.asarray(mask.resize((side, side), resample)) > threshold
