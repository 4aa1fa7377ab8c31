"""Reads the mask of a sample at the size of a tower's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data.images import picture_size
from stackclip.data.listing import pictures_in
from stackclip.data.paint import anomalous_pixels
from stackclip.errors import PictureError
from stackclip.sizes import Side, Size, size_of
from stackclip.types import NORMAL, Sample

__all__ = ["anomalous_pixels", "is_black", "mask_files", "read_mask", "whole_mask"]

_RULES = {"bilinear": (Image.Resampling.BILINEAR, 127), "nearest": (Image.Resampling.NEAREST, 0)}  # of 255


def read_mask(sample: Sample, side: Side, *, rule: Literal["bilinear", "nearest"] = "bilinear") -> NDArray[np.bool_]:
    """The anomalous pixels of a sample at a `side`, or size: (H, W).

    What a file's pixels mean is said by `anomalous_pixels`. `rule` is how the mask is scaled: `bilinear`, Pillow's
    filter (which widens when it shrinks, as torchvision's Resize on a picture) and then more than one half (APRIL-GAN,
    CLIP-AD, AnomalyCLIP, AdaCLIP), or `nearest` and not 0 (AA-CLIP). Nothing is anomalous in a normal sample, nor in
    one whose defect is not localised (`sample.mask` is None).
    Raises PictureError where the mask is missing, unreadable or of another size than its picture.
    """
    if sample.label == NORMAL or sample.mask is None:
        return np.zeros(size_of(side), dtype=np.bool_)
    anomalous = whole_mask(sample)
    if not anomalous.any():
        return np.zeros(size_of(side), dtype=np.bool_)
    return _scaled(anomalous, size_of(side), rule)


def whole_mask(sample: Sample) -> NDArray[np.bool_]:
    """The anomalous pixels of a sample at its picture's own size, (H, W); none where nothing is localised.

    Raises PictureError where the mask is missing, unreadable or of another size than its picture.
    """
    size = picture_size(sample.image)
    anomalous = np.zeros(size, dtype=np.bool_)
    for path in () if sample.mask is None else mask_files(sample, sample.mask):
        pixels = anomalous_pixels(path)
        if pixels.shape != size:
            found, wanted = (f"{width} x {height}" for height, width in (pixels.shape, size))
            raise PictureError(path, f"mask of {found} pixels for a picture of {wanted} ({sample.image.name})")
        anomalous |= pixels
    return anomalous


def is_black(sample: Sample) -> bool:
    """Whether the mask of a sample has no anomalous pixel before it is scaled; raises PictureError."""
    return sample.mask is not None and not any(anomalous_pixels(path).any() for path in mask_files(sample, sample.mask))


def mask_files(sample: Sample, mask: Path) -> tuple[Path, ...]:
    """The file itself, or all files of a folder (MVTec-LOCO gives each region its own)."""
    if not mask.is_dir():
        if not mask.exists():
            raise PictureError(sample.image, f"missing mask: expected {mask}")
        return (mask,)
    files = tuple(pictures_in(mask))
    if not files:
        raise PictureError(sample.image, f"missing mask: no mask file in {mask}")
    return files


def _scaled(anomalous: NDArray[np.bool_], size: Size, rule: Literal["bilinear", "nearest"]) -> NDArray[np.bool_]:
    mask = Image.fromarray(anomalous.astype(np.uint8) * 255)
    resample, threshold = _RULES[rule]
    return np.asarray(mask.resize((size.width, size.height), resample)) > threshold
