"""What a detector is worth: ranking metrics of picture scores and of score maps, in [0, 1], exact or with a bound."""

from stackclip.metrics.choose import EXACT_UP_TO, FORMS, Form, PixelAccumulator, choose_form, pixel_metrics
from stackclip.metrics.exact import PixelMetrics, image_metrics
from stackclip.metrics.kinds import PixelMetricsByKind
from stackclip.metrics.names import (
    ALIASES,
    AUPRO_LIMITS,
    FPR_LIMIT,
    IMAGE_METRICS,
    KINDS,
    ON_REQUEST,
    PIXEL_METRICS,
    SAMPLE_METRICS,
    SPRO_LIMITS,
    Measured,
    aupro_name,
    named_for_kind,
    spro_name,
)
from stackclip.metrics.saturated import SaturatedOverlap
from stackclip.metrics.streamed import TOLERANCE, StreamedPixelMetrics

__all__ = [
    "ALIASES",
    "AUPRO_LIMITS",
    "EXACT_UP_TO",
    "FORMS",
    "FPR_LIMIT",
    "IMAGE_METRICS",
    "KINDS",
    "ON_REQUEST",
    "PIXEL_METRICS",
    "SAMPLE_METRICS",
    "SPRO_LIMITS",
    "TOLERANCE",
    "Form",
    "Measured",
    "PixelAccumulator",
    "PixelMetrics",
    "PixelMetricsByKind",
    "SaturatedOverlap",
    "StreamedPixelMetrics",
    "aupro_name",
    "choose_form",
    "image_metrics",
    "named_for_kind",
    "pixel_metrics",
    "spro_name",
]
