"""The metrics by name, what other projects call them, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any

__all__ = [
    "ALIASES",
    "AUPRO_LIMITS",
    "FPR_LIMIT",
    "IMAGE_METRICS",
    "KINDS",
    "ON_REQUEST",
    "PIXEL_METRICS",
    "SAMPLE_METRICS",
    "SPRO_LIMITS",
    "Measured",
    "aupro_name",
    "named_for_kind",
    "spro_name",
]

IMAGE_METRICS = ("image_AUROC", "image_AP", "image_F1max")
PIXEL_METRICS = ("pixel_AUROC", "pixel_AP", "pixel_F1max", "pixel_AUPRO", "pixel_AUPRO_cflow200")

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        # APRIL-GAN and CLIP-AD; their AUPRO is the 200-threshold script's
        "auroc_sp": "image_AUROC",
        "ap_sp": "image_AP",
        "f1_sp": "image_F1max",
        "auroc_px": "pixel_AUROC",
        "ap_px": "pixel_AP",
        "f1_px": "pixel_F1max",
        "aupro": "pixel_AUPRO_cflow200",
        # AnomalyCLIP; the same script
        "image_auroc": "image_AUROC",
        "image_ap": "image_AP",
        "pixel_auroc": "pixel_AUROC",
        "pixel_aupro": "pixel_AUPRO_cflow200",
        # ADer, whose configurations ask for adeval's AUPRO, within 1e-5 of the exact one
        "mAUROC_sp_max": "image_AUROC",
        "mAP_sp_max": "image_AP",
        "mF1_max_sp_max": "image_F1max",
        "mAUROC_px": "pixel_AUROC",
        "mAP_px": "pixel_AP",
        "mF1_max_px": "pixel_F1max",
        "mAUPRO_px": "pixel_AUPRO",
    }
)
"""Other projects' names of the same numbers, and ours."""

SAMPLE_METRICS = ("sample_AUROC", "sample_AP", "sample_F1max")
"""The image metrics of objects that are seen in several pictures, by the highest score of their views (Real-IAD)."""

KINDS = ("structural", "logical")
"""The kinds of anomalies that MVTec-LOCO tells apart, as metrics of one of them are called."""

SPRO_LIMITS = (0.01, 0.05, 0.1, 0.3, 1.0)  # of MVTec-LOCO's evaluation; the one in the article's tables is 0.05


def spro_name(limit: float) -> str:
    """What the area below the saturated overlap up to a false-positive rate is called: `pixel_AUsPRO@0.05`."""
    return f"pixel_AUsPRO@{limit:g}"


AUPRO_LIMITS = (0.05,)  # of MVTec AD 2's evaluation (Heckler-Kram et al., 2025)


def aupro_name(limit: float) -> str:
    """What AUPRO up to another false-positive rate than 0.3 is called: `pixel_AUPRO@0.05`."""
    return f"pixel_AUPRO@{limit:g}"


def named_for_kind(name: str, kind: str) -> str:
    """What a metric of the anomalies of one kind, and of all good pictures, is called: `image_AUROC_logical`."""
    return f"{name}_{kind}"


_SPRO = tuple(spro_name(limit) for limit in SPRO_LIMITS)
ON_REQUEST = (
    *SAMPLE_METRICS,
    *(aupro_name(limit) for limit in AUPRO_LIMITS),
    *(named_for_kind("image_AUROC", kind) for kind in KINDS),
    *_SPRO,
    *(named_for_kind(name, kind) for name in _SPRO for kind in KINDS),
)
"""What rows of data sets of several views, of MVTec AD 2 and of MVTec-LOCO have too; shown where asked for."""

FPR_LIMIT = 0.3  # AUPRO is integrated up to here and divided by it (MVTec AD, Bergmann et al. 2021)


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics by name, as fractions, and for those that are undefined the reason.

    `form` says how the pixel metrics were computed, `exact` or `streamed`; `bounds` how far each streamed value may be
    from the exact one at most, infinity where only the exact form can tell. `refused` is the bound of streamed values
    that these exact ones stand for because it was too large.
    """

    values: Mapping[str, float]
    undefined: Mapping[str, str]
    form: str = "exact"
    bounds: Mapping[str, float] = field(default_factory=dict)
    refused: float | None = None

    @property
    def bound(self) -> float:
        """How far the least certain value may be from the exact one."""
        return max(self.bounds.values(), default=0.0)

    @property
    def how(self) -> dict[str, Any]:
        """The form of the pixel metrics and what is known of their error, as JSON can hold it."""
        facts: dict[str, Any] = {"form": self.form}
        if self.bounds:
            facts["bounds"] = dict(self.bounds)
        if self.refused is not None:
            facts["refused_streamed_bound"] = self.refused if isfinite(self.refused) else "unknown"
        return facts
