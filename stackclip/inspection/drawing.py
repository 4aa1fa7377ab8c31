"""The files that a person looks at, written as a method predicts: heat maps, and the parts that it found."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from stackclip.data import read_picture
from stackclip.errors import PictureError
from stackclip.inspection.part_masks import PartMasks, draw_parts, part_masks_of
from stackclip.inspection.sheet import heat_map
from stackclip.inspection.written import Written
from stackclip.methods import Inspector
from stackclip.ops.files import write_atomically
from stackclip.types import Features, Prediction, Sample

__all__ = ["Drawing", "png"]

logger = logging.getLogger(__name__)


@dataclass
class Drawing:
    """Writes the pictures of one method as they come; one that can no longer be read is named once for all."""

    written: Written
    broken: set[str]
    picture_range: str
    refused: set[int | None] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def __call__(self, sample: Sample, scores: np.ndarray, runs: np.ndarray) -> None:
        """Draw a picture beside its heat map."""
        scale = self.written.scale
        assert scale is not None
        self._keep(sample, self.written.heat_map_of(sample), lambda picture: _beside(picture, heat_map(scores, scale)))

    def watching(self, inspector: Inspector) -> Inspector:
        """The inspector, whose part masks are drawn of every batch that it predicts; itself where it has none."""
        part_masks = part_masks_of(inspector)
        return inspector if part_masks is None else _Watched(inspector, part_masks, self)

    def draw_parts(self, features: Features, part_masks: PartMasks) -> None:
        """Draw the parts of each picture of a batch."""
        for sample, mask in zip(features.samples, part_masks(features), strict=True):
            self._keep(sample, self.written.parts_of(sample), partial(draw_parts, mask=mask))

    def _keep(self, sample: Sample, name: str, drawn: Callable[[Image.Image], Image.Image]) -> None:
        self.done.add(sample.id)
        try:
            write_atomically(self.written.place / name, png(drawn(read_picture(sample.image, self.picture_range))))
        except PictureError as error:
            self.written.missing.add(sample.id)
            if sample.id not in self.broken:
                logger.error("failed: %s (its scores are from before)", error)
            self.broken.add(sample.id)
        except OSError as error:
            self.written.missing.add(sample.id)
            if error.errno not in self.refused:  # a full disk refuses all that follow
                logger.error("%s: a picture cannot be written: %s", self.written.method, error)
            self.refused.add(error.errno)


class _Watched(Inspector):
    """An inspector that has its part masks drawn whenever it predicts."""

    def __init__(self, inspector: Inspector, part_masks: PartMasks, drawing: Drawing) -> None:
        self.inspector, self.part_masks, self.drawing = inspector, part_masks, drawing

    def predict(self, features: Features) -> Prediction:
        """What the inspector predicts."""
        self.drawing.draw_parts(features, self.part_masks)
        return self.inspector.predict(features)


def png(image: Image.Image) -> bytes:
    """The bytes of a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _beside(picture: Image.Image, heat: Image.Image) -> Image.Image:
    """A picture and its heat map, at the picture's size."""
    canvas = Image.new("RGB", (2 * picture.width, picture.height))
    canvas.paste(picture, (0, 0))
    canvas.paste(heat.resize(picture.size, Image.Resampling.BILINEAR), (picture.width, 0))
    return canvas
