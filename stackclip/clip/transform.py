"""What happens to a picture before the tower sees it, as facts that can be compared and stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import UsageError
from stackclip.ops.levels import RANGES, parse_range
from stackclip.sizes import Side, said_size, side_of, size_of

__all__ = ["CLIP_MEAN", "CLIP_STD", "ImageTransform"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's pictures; nearly all open_clip weights share it
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True)
class ImageTransform:
    """Squash a picture to the tower's size, then normalise its channels: the transform of the field's dense methods.

    `size` is the side of a square in pixels, else height and width. `resize`, `antialias` and `crop` have one value
    each today; they stand here because each of them would change the features, and so belongs to the fingerprint.
    `mean` and `std` are per channel, for values in [0, 1]. `picture_range` names black and white of pictures of more
    than 8 bits, for whoever reads them; it is a fact only where it is MIN:MAX, as the others leave that to the file.
    Instances hold no state: any number of threads may share one.
    """

    size: Side
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["squash"] = "squash"
    antialias: Literal[True] = True
    crop: Literal["none"] = "none"
    picture_range: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", side_of(self.size))
        parse_range(self.picture_range)

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """A picture in mode RGB as (3, H, W), equal to the last bit to open_clip's `image_resize_mode="squash"`.

        Raises UsageError for another mode: how a grey, 16-bit or transparent picture becomes RGB is its reader's
        decision.
        """
        squashed = np.asarray(self.squashed(picture))  # (H, W, 3)
        levels = _levels(self.mean, self.std)
        pixels = np.empty((3, *squashed.shape[:2]), np.float32)
        for channel in range(3):
            np.take(levels[channel], squashed[..., channel], out=pixels[channel])
        return pixels

    def squashed(self, picture: Image.Image) -> Image.Image:
        """The picture at the tower's size, in 8 bits still. Raises UsageError for a mode other than RGB."""
        if picture.mode != "RGB":
            raise UsageError(f"a picture of mode {picture.mode} came to the tower, wanted RGB: convert it when reading")
        height, width = size_of(self.size)
        return picture.resize((width, height), _FILTERS[self.interpolation])

    @property
    def facts(self) -> dict[str, Any]:
        """Every field under its name, as JSON has it; `size` is called `image_size` there."""
        fields = asdict(self)
        size = fields.pop("size")
        if self.picture_range in RANGES:
            del fields["picture_range"]
        return {"image_size": said_size(size), **fields, "mean": list(self.mean), "std": list(self.std)}


@cache
def _levels(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """The normalised value of each of the 256 levels, (3, 256): a look-up is faster than arithmetic and as exact."""
    level = np.arange(256, dtype=np.float32) / np.float32(255)
    return (level - np.asarray(mean, np.float32)[:, None]) / np.asarray(std, np.float32)[:, None]
