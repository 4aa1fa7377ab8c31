"""Encode once, compare many: CLIP-based anomaly detectors over cached patch tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackclip.version import VERSION

if TYPE_CHECKING:
    from stackclip.session import Session, TowerRecipe

__all__ = ["Session", "TowerRecipe", "__version__"]

__version__ = VERSION


def __getattr__(name: str) -> Any:
    """`Session` and `TowerRecipe`, with torch behind them, when they are first asked for."""
    if name not in ("Session", "TowerRecipe"):
        raise AttributeError(f"module 'stackclip' has no attribute {name!r}")
    from stackclip import session

    return getattr(session, name)
