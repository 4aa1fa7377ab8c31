"""What AA-CLIP says of the pictures of one category: maps under its anchors, and the score that they settle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stackclip.methods.method import Inspector
from stackclip.ops.maps import LOGIT_SCALE, min_max, on_grid, smooth_in_window, upsample
from stackclip.types import ANOMALOUS, NORMAL, Features, Prediction

if TYPE_CHECKING:
    from stackclip.methods.aa_clip import AaClipDetector

__all__ = ["AaClipInspector", "logit_differences"]

_BLUR = {"industrial": (1.0, 7), "medical": (1.5, 9)}  # sigma and window of the Gaussian on the patch grid


class AaClipInspector(Inspector):
    """The trained towers under the anchors of one category.

    The released score scales all maps of a category by their least and largest value, so the least is kept here.
    """

    def __init__(self, detector: AaClipDetector, anchors: Tensor) -> None:
        self.detector, self.anchors, self.scored = detector, anchors, detector.method.scored
        self.blur, self.lowest = _BLUR[detector.method.variant], float("inf")

    @torch.no_grad()
    def predict(self, features: Features) -> Prediction:
        """Maps, summed over the taps; scores: the largest of the map, or (1 + the cosine with ANOMALOUS) / 2."""
        levels, tokens = self.detector.see(features, self.anchors)
        patches, frame = ((1 + logit_differences(levels, self.anchors)) / 2).sum(0), self.detector.frame  # (B, P)
        maps = upsample(smooth_in_window(on_grid(patches, frame.grid), *self.blur), frame.size)
        if not torch.compiler.is_exporting():  # what is kept for `settle` is no part of a graph
            self.lowest = min(self.lowest, float(maps.min()))
        scores = maps.amax((1, 2)) if self.scored == "map" else (tokens @ self.anchors[ANOMALOUS] + 1) / 2
        return Prediction(scores, maps)

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """Half the min-maxed scores and half the peaks, scaled as all maps are, where that is asked for."""
        if self.scored != "text+map" or peaks is None:
            return scores
        lowest = min(self.lowest, float(peaks.min()))
        return (min_max(scores) + (peaks - lowest) / max(float(peaks.max()) - lowest, 1e-12)) / 2


def logit_differences(patches: Tensor, anchors: Tensor) -> Tensor:
    """100 (cos with ANOMALOUS - cos with NORMAL) of unit patches (..., P, D), anchors (2, D) or (B, 2, D): (..., P)."""
    return LOGIT_SCALE * (patches @ (anchors[..., ANOMALOUS, :] - anchors[..., NORMAL, :])[..., None])[..., 0]
