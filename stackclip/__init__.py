"""Encode once, compare many: CLIP-based anomaly detectors over cached patch tokens."""

__all__ = ["__version__"]

__version__ = "0.1.0"
