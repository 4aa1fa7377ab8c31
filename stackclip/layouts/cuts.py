"""Pictures that are cut out of others once, and kept below the workspace."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stackclip.data.masks import anomalous_pixels
from stackclip.errors import PictureError
from stackclip.ops.files import canonical_json, content_hash, naming, sync_folder, sync_tree

__all__ = ["cut_once", "mask_of_size", "save_crop"]

logger = logging.getLogger(__name__)


def cut_once(
    folder: Path, name: str, facts: Mapping[str, Any], cut: Callable[[Path], None], *, what: str = "cutting pictures"
) -> Path:
    """The folder `name` with a hash of `facts` in `folder`, which `cut` fills unless it is there.

    It fills a hidden one that is then renamed, so what has the name is whole. `what` is said before.
    """
    place = folder / f"{name}-{content_hash(canonical_json(facts))[:12]}"
    if place.is_dir():
        return place
    logger.info("%s, once, into %s", what, place)
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=folder))
    try:
        draft.chmod(0o755)
        cut(draft)
        sync_tree(draft)  # else a loss of power could leave the name of what is whole around empty files
        try:
            draft.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder)
    return place


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
