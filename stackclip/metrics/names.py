"""The metrics by name, what other projects call them, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any

__all__ = ["ALIASES", "FPR_LIMIT", "IMAGE_METRICS", "PIXEL_METRICS", "Measured"]

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
