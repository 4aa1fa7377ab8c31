"""Selectors turn the text features of an ensemble into one representative vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackclip.registry import selectors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Mean", "MeanOfUnit"]


@selectors.register("mean")
class Mean:
    """The mean of the raw features, made unit (anomalib and Accurate-WinCLIP ensemble so)."""

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        from stackclip.ops.maps import unit

        return unit(features.mean(0))


@selectors.register("mean-of-unit")
class MeanOfUnit:
    """The mean of the unit features, made unit again (APRIL-GAN, CLIP-AD and AA-CLIP ensemble so)."""

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        from stackclip.ops.maps import unit

        return unit(unit(features).mean(0))
