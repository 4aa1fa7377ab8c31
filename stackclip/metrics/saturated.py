"""Saturated region overlap (sPRO): a defect counts as found once enough of its pixels are. Bergmann et al., IJCV 2022.

The overlap of a defect at a threshold is min(positive pixels / saturation, 1). So of its pixels only the `saturation`
highest matter, and each adds 1 / saturation where its score is passed: a sum, as region overlap is, over fewer pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stackclip.metrics.bins import BUDGET, ScoreBins, areas_of_bins
from stackclip.metrics.exact import ThresholdSteps, overlap_area
from stackclip.metrics.names import SPRO_LIMITS, Measured, spro_name
from stackclip.metrics.pictures import flat_map

__all__ = ["KEPT", "SaturatedOverlap", "Saturating", "Weighed"]

KEPT = 1 << 22  # pixels whose scores are kept, 16 MB, before all are binned
_ROUNDING = 1e-12  # of the sums themselves, in every bound
_NAMES = tuple(map(spro_name, SPRO_LIMITS))

Numbers = NDArray[np.float64]
Pixels = NDArray[np.int64]


class Saturating(Protocol):
    """A defect: its pixels (M,) of a picture row by row, and how many of them have to be found."""

    @property
    def pixels(self) -> Pixels: ...

    @property
    def saturation(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Weighed:
    """A picture's scores (N,), where it is anomalous (M,), rising, and what each of these adds to the overlap (M,)."""

    scores: NDArray[Any]
    anomalous: Pixels
    shares: Numbers

    @classmethod
    def of(cls, scores: NDArray[Any], defects: Sequence[Saturating]) -> Weighed:
        """Weigh the pixels of defects, which may lie above each other: such a pixel adds to each of them."""
        found, adds = [np.empty(0, np.int64)], [np.empty(0)]
        for defect in defects:
            own = scores[defect.pixels]
            enough = own.size - defect.saturation
            share = np.zeros(own.size)
            share[np.argpartition(own, enough)[enough:] if enough > 0 else slice(None)] = 1 / defect.saturation
            found.append(defect.pixels)
            adds.append(share)
        anomalous, places = np.unique(np.concatenate(found), return_inverse=True)
        shares = np.bincount(places, np.concatenate(adds), minlength=anomalous.size).astype(np.float64)
        return cls(scores, anomalous, shares)


class SaturatedOverlap:
    """AUsPRO of one category at the limits of MVTec-LOCO, from pictures that come one by one at their own size.

    Exact for up to `keep` pixels, whose scores are kept. From more on they are counted in bins, in some 50 MB for any
    number of pictures, each value with the bound of its distance from the exact one: the width of a bin in
    false-positive rate times what its pixels add, summed (decision 0002). `budget` is the number of bins.
    """

    def __init__(self, keep: int = KEPT, budget: int = BUDGET) -> None:
        self._keep = keep
        self._bins = ScoreBins(budget)
        self._maps: list[Weighed] = []
        self._kept = 0
        self._defects = 0
        self._rounded = False

    def add(self, scores: Any, defects: Sequence[Saturating]) -> None:
        """Take a map (H, W), which must not be changed afterwards, and the defects of its picture; none if it is good.

        Raises NonFiniteScores for NaN or infinity and ValueError for a map of another form.
        """
        flat, _, _ = flat_map(scores)
        self._defects += len(defects)
        self._maps.append(Weighed.of(flat, defects))
        self._kept += flat.size
        if self._kept > self._keep or not self._bins.empty:
            self._count()

    def merge(self, other: SaturatedOverlap) -> None:
        """Take all pictures of another, as if they had been added here; the other one stays as it is."""
        self._defects += other._defects
        self._rounded |= other._rounded
        self._maps.extend(other._maps)
        self._kept += other._kept
        if self._kept > self._keep or not (self._bins.empty and other._bins.empty):
            self._count()
            self._bins.merge(other._bins)

    def compute(self) -> Measured:
        """The areas below the overlap up to each limit, over the limit; higher is better, and 1 is perfect.

        The overlap is the mean over defects, the false-positive rate that of all pixels without any. Points of the
        curve are joined by straight lines, so pixels of one score are one step. Undefined without a defect, and where
        no pixel is normal.
        """
        if not self._defects:
            return Measured({}, dict.fromkeys(_NAMES, "no anomalous pixel"))
        found = self._exact() if self._bins.empty else self._binned()
        return found or Measured({}, dict.fromkeys(_NAMES, "no normal pixel"))

    def _exact(self) -> Measured | None:
        normal = np.concatenate([np.delete(each.scores, each.anomalous) for each in self._maps])
        if not normal.size:
            return None
        normal.sort()
        anomalous = np.concatenate([each.scores[each.anomalous] for each in self._maps])
        shares = np.concatenate([each.shares for each in self._maps])
        order = np.argsort(anomalous)
        steps, shares = ThresholdSteps.count(normal, anomalous[order]), shares[order[::-1]] / self._defects
        return Measured({spro_name(limit): overlap_area(steps, shares, limit) for limit in SPRO_LIMITS}, {})

    def _binned(self) -> Measured | None:
        tied = (self._bins.sort() & (not self._rounded))[::-1]
        every, hits, shares = (
            counts[: tied.size][::-1].astype(np.float64)
            for counts in (self._bins.every, self._bins.hits, self._bins.shares)
        )
        alarms = np.cumsum(every - hits)
        normal = alarms[-1]
        if not normal:
            return None
        start, stop = (alarms - (every - hits)) / normal, alarms / normal
        values, bounds = {}, {}
        for limit in SPRO_LIMITS:
            low, even, high = areas_of_bins(start, stop, shares / self._defects, tied, limit) / limit
            values[spro_name(limit)] = float(even)
            bounds[spro_name(limit)] = float(max(even - low, high - even)) + _ROUNDING
        return Measured(values, {}, "streamed", bounds)

    def _count(self) -> None:
        """Count the maps that are kept, the first time all of them, for which the bins are laid out."""
        if not self._maps:
            return
        wider = [each.scores.dtype != np.float32 for each in self._maps]
        self._rounded |= any(wider)
        flats = [each.scores.astype(np.float32, copy=False) for each in self._maps]
        if self._bins.empty:
            seen = np.concatenate(flats)
            self._bins.admit(seen, np.array([seen.min(), seen.max()]))
        for each, flat in zip(self._maps, flats, strict=True):
            ends, ones = np.array([flat.min(), flat.max()]), np.ones_like(each.anomalous)
            self._bins.count(flat, ends, each.anomalous, ones, each.shares)
        self._maps.clear()
