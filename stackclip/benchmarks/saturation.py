"""sPRO of a category: maps at the size of their pictures, defects one by one, kinds of anomalies apart (decision 0042).

Absolute saturation areas count pixels of the picture as it is, so maps are scaled up to it, never masks down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch.nn import functional

from stackclip.data import picture_size
from stackclip.data.defects import DefectRegion, read_defects
from stackclip.errors import DataError
from stackclip.metrics import KINDS, SPRO_LIMITS, Measured, named_for_kind, spro_name
from stackclip.metrics.saturated import KEPT, SaturatedOverlap
from stackclip.ops.words import agreed, counted
from stackclip.types import ANOMALOUS, NORMAL, Sample

__all__ = ["Native", "Saturation", "anomaly_kinds", "read_native"]

_SPRO = tuple(map(spro_name, SPRO_LIMITS))
_KEPT = {"exact": 2**62, "auto": KEPT, "streamed": 0}


class Native(NamedTuple):
    """The (height, width) of a picture as it is, and its defects."""

    size: tuple[int, int]
    defects: Sequence[DefectRegion]


def read_native(sample: Sample) -> Native:
    """What sPRO has to know of a picture; raises DataError for a mask or a file of defects that is none."""
    return Native(picture_size(sample.image), read_defects(sample))


def anomaly_kinds(samples: Iterable[Sample]) -> tuple[str, ...]:
    """The kinds of anomalies that a category tells apart as MVTec-LOCO does; none where its defects are called else."""
    found = {sample.defect for sample in samples if sample.label == ANOMALOUS}
    of_loco = {f"{kind}_anomalies": kind for kind in KINDS}
    return tuple(kind for name, kind in of_loco.items() if name in found) if found <= of_loco.keys() else ()


class Saturation:
    """AUsPRO of one method on one category, from maps that come one by one.

    `read` gives what is to be known of a picture; what it raises is why there is no value. `metrics` is what the bench
    was asked for: `exact` keeps all scores, `streamed` none, `auto` those of few pixels.
    """

    def __init__(self, samples: Sequence[Sample], read: Callable[[Sample], Native], metrics: str = "auto") -> None:
        self._read = read
        self._kinds = anomaly_kinds(samples)
        self._of = {kind: SaturatedOverlap(_KEPT[metrics]) for kind in self._kinds or ("",)}
        without = sum(sample.label == ANOMALOUS and sample.mask is None for sample in samples)
        self._why = f"{counted(without, 'defective picture')} {agreed('have', without)} no mask" if without else ""

    @classmethod
    def of(
        cls, samples: Sequence[Sample], read: Callable[[Sample], Native], metrics: str = "auto"
    ) -> Saturation | None:
        """For a category whose defects have saturation areas, of which some are tested; None for any other."""
        some = any(sample.defects is not None and sample.label == ANOMALOUS for sample in samples)
        return cls(samples, read, metrics) if some else None

    def add(self, sample: Sample, scores: NDArray[Any]) -> None:
        """Take the map (H, W) of a picture, of any size; it is scaled bilinearly to that of the picture."""
        if self._why:
            return
        try:
            size, defects = self._read(sample)
        except DataError as error:
            self._why = str(error)
            self._of.clear()
            return
        native = functional.interpolate(torch.from_numpy(scores)[None, None], size=size, mode="bilinear")[0, 0].numpy()
        for kind, overlap in self._of.items():
            if sample.label == NORMAL or not kind or sample.defect == f"{kind}_anomalies":
                overlap.add(native, defects)

    def compute(self) -> Measured:
        """The areas at each limit: of each kind, with all good pictures, and their mean, or of all defects alike."""
        if self._why:
            return self.undefined(self._why)
        found = {kind: overlap.compute() for kind, overlap in self._of.items()}
        if not self._kinds:
            return found[""]
        if lacking := next((each.undefined for each in found.values() if each.undefined), None):
            return self.undefined(next(iter(lacking.values())))
        values = {name: fmean(each.values[name] for each in found.values()) for name in _SPRO}
        bounds = {name: max(each.bounds.get(name, 0.0) for each in found.values()) for name in _SPRO}
        for kind, each in found.items():
            values |= {named_for_kind(name, kind): value for name, value in each.values.items()}
            bounds |= {named_for_kind(name, kind): bound for name, bound in each.bounds.items()}
        form = "streamed" if any(each.bounds for each in found.values()) else "exact"
        return Measured(values, {}, form, bounds if form == "streamed" else {})

    def undefined(self, why: str) -> Measured:
        """No values, for a reason."""
        of_kinds = (named_for_kind(name, kind) for kind in self._kinds for name in _SPRO)
        return Measured({}, dict.fromkeys((*_SPRO, *of_kinds), why))
