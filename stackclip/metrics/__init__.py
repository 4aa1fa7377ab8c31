"""What a detector is worth: ranking metrics of picture scores and of score maps, in [0, 1], exact or with a bound."""

from stackclip.metrics.choose import EXACT_UP_TO, FORMS, Form, PixelAccumulator, choose_form, pixel_metrics
from stackclip.metrics.exact import PixelMetrics, image_metrics
from stackclip.metrics.names import ALIASES, FPR_LIMIT, IMAGE_METRICS, PIXEL_METRICS, Measured
from stackclip.metrics.streamed import TOLERANCE, StreamedPixelMetrics

__all__ = [
    "ALIASES",
    "EXACT_UP_TO",
    "FORMS",
    "FPR_LIMIT",
    "IMAGE_METRICS",
    "PIXEL_METRICS",
    "TOLERANCE",
    "Form",
    "Measured",
    "PixelAccumulator",
    "PixelMetrics",
    "StreamedPixelMetrics",
    "choose_form",
    "image_metrics",
    "pixel_metrics",
]
