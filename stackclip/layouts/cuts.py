"""Pictures that are cut out of others once, and kept below the workspace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stackclip.data.masks import anomalous_pixels
from stackclip.errors import PictureError
from stackclip.ops.files import canonical_json, content_hash, written_once
from stackclip.ops.named_errors import naming

__all__ = ["cut_once", "mask_of_size", "save_crop"]

logger = logging.getLogger(__name__)


def cut_once(
    folder: Path, name: str, facts: Mapping[str, Any], cut: Callable[[Path], None], *, what: str = "cutting pictures"
) -> Path:
    """The folder `name` with a hash of `facts` in `folder`, which `cut` fills unless it is there.

    It is `written_once`; `what` is said before.
    """
    place = folder / f"{name}-{content_hash(canonical_json(facts))[:12]}"
    if not place.is_dir():
        logger.info("%s, once, into %s", what, place)
    return written_once(place, cut)


def mask_of_size(mask: Path, image: Path, picture: Image.Image) -> Image.Image:
    """What is anomalous by a mask, 0 and 255; raises PictureError where its size is not that of its picture."""
    anomalous = anomalous_pixels(mask)
    if anomalous.shape != (picture.height, picture.width):
        found, wanted = (f"{width} x {height}" for height, width in (anomalous.shape, picture.size[::-1]))
        raise PictureError(mask, f"label of {found} pixels for a picture of {wanted} ({image.name})")
    return Image.fromarray(anomalous.astype(np.uint8) * 255)


def save_crop(picture: Image.Image, box: tuple[int, int, int, int], path: Path) -> None:
    """Write what lies in `box` (left, top, right, bottom) of a picture, as PNG; raises OSError that names the file."""
    with naming(path):
        picture.crop(box).save(path)
