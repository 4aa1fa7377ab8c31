"""The files that a person looks at, written as a method predicts: heat maps, and the parts that it found."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from PIL import Image

from stackclip.data import read_picture
from stackclip.data.images import png_of
from stackclip.errors import PictureError
from stackclip.inspection.overlays import beside, overlay
from stackclip.inspection.part_masks import PartMasks, draw_parts, part_masks_of
from stackclip.inspection.regions import regions_of
from stackclip.inspection.sheet import fitted_size
from stackclip.inspection.tables import verdict_word
from stackclip.inspection.worst import MOST, TILE, Tile, worst_first
from stackclip.inspection.written import CONTACT, Written
from stackclip.methods import Inspector
from stackclip.ops.files import write_atomically
from stackclip.types import Features, Prediction, Sample

__all__ = ["Drawing"]

logger = logging.getLogger(__name__)


@dataclass
class Drawing:
    """Writes the pictures of one method as they come; one that can no longer be read is named once for all."""

    written: Written
    broken: set[str]
    picture_range: str
    note: str = ""
    refused: set[int | None] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    tiles: dict[str, Image.Image] = field(default_factory=dict)

    def __call__(self, sample: Sample, scores: np.ndarray, runs: np.ndarray) -> None:
        """Draw a picture beside itself with its map laid over, and keep the map as it is where that is asked for."""
        self._keep(sample, self.written.heat_map_of(sample), partial(self._drawn, sample, scores))
        if self.written.maps:
            self._write(sample, self.written.map_of(sample), _as_it_is(scores, self.written.maps))

    def _drawn(self, sample: Sample, scores: np.ndarray, picture: Image.Image) -> Image.Image:
        written, scale = self.written, self.written.scale
        assert scale is not None
        written.sizes[sample.id] = picture.size
        found = [] if scale.threshold is None else regions_of(scores, scale.threshold, picture.size)
        if scale.threshold is not None:
            written.regions[sample.id] = found
        if sample.id in self._worst:
            self.tiles[sample.id] = overlay(picture, scores, scale, found, fitted_size(picture.size, TILE))
        return beside(picture, scores, scale, found)

    @cached_property
    def _worst(self) -> dict[str, int]:
        """The places, among all, of the pictures of the contact sheet by their ids, the most anomalous first."""
        return {self.written.samples[row].id: row for row in self.written.ranked[:MOST]}

    def contact_sheet(self) -> None:
        """Draw the most anomalous pictures on one sheet; where there are no maps there is none."""
        written, judged = self.written, self.written.judgement
        said = written.peaks if written.scores is None else written.scores
        if not self.tiles or said is None:
            return
        tiles = [
            Tile(
                self.tiles[name],
                name,
                f"{float(said[row]):.4g}" + ("" if judged is None else f", p {judged.p_value[row]:.2g}"),
                "" if judged is None else verdict_word(bool(judged.anomalous[row])),
            )
            for name, row in self._worst.items()
            if name in self.tiles
        ]
        assert written.scale is not None
        count, buffer = len(written.samples), io.BytesIO()
        sheet = worst_first(tiles, of=count, title=written.method, scale=written.scale, note=self.note)
        sheet.save(buffer, "JPEG", quality=92)
        self._written(CONTACT, buffer.getvalue())

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
            self._write(sample, name, png_of(drawn(read_picture(sample.image, self.picture_range)), compress_level=1))
        except PictureError as error:
            self.written.missing.add(sample.id)
            if sample.id not in self.broken:
                logger.error("failed: %s (its scores are from before)", error)
            self.broken.add(sample.id)

    def _write(self, sample: Sample, name: str, data: bytes) -> None:
        if not self._written(name, data):
            self.written.missing.add(sample.id)

    def _written(self, name: str, data: bytes) -> bool:
        """Write a file beside the scores; what hinders that is said once."""
        try:
            write_atomically(self.written.place / name, data)
        except OSError as error:
            if error.errno not in self.refused:  # a full disk refuses all that follow
                logger.error("%s: a picture cannot be written: %s", self.written.method, error)
            self.refused.add(error.errno)
            return False
        return True


class _Watched(Inspector):
    """An inspector that has its part masks drawn whenever it predicts."""

    def __init__(self, inspector: Inspector, part_masks: PartMasks, drawing: Drawing) -> None:
        self.inspector, self.part_masks, self.drawing = inspector, part_masks, drawing

    def predict(self, features: Features) -> Prediction:
        """What the inspector predicts."""
        self.drawing.draw_parts(features, self.part_masks)
        return self.inspector.predict(features)


def _as_it_is(scores: np.ndarray, maps: str) -> bytes:
    """A map (H, W) as float32, in a file that programs read: of numpy, or a TIFF of one channel."""
    buffer = io.BytesIO()
    plain = np.ascontiguousarray(scores, np.float32)
    if maps == "npy":
        np.save(buffer, plain, allow_pickle=False)
    else:
        Image.fromarray(plain).save(buffer, "TIFF")
    return buffer.getvalue()
