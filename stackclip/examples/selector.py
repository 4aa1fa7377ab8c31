"""A selector in one file: it turns the text features of all phrases about one side into one vector.

Try it:

    stackclip check trimmed-mean
    stackclip bench --methods "winclip,winclip[select=trimmed-mean]"
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stackclip.errors import BadOption
from stackclip.ops.maps import unit
from stackclip.registry import selectors


@selectors.register("trimmed-mean")
@dataclass(frozen=True, kw_only=True)
class TrimmedMean:
    """The mean of the unit features without the extremes of each number.

    `cut` is the part of the phrases that is left out at either end, from 0 to below 0.5.
    """

    cut: float = 0.1

    def __post_init__(self) -> None:
        """Raise BadOption for a part that leaves nothing."""
        if not 0 <= self.cut < 0.5:
            raise BadOption(f"trimmed-mean: cut={self.cut}; wanted 0 to below 0.5")

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length; of a single feature its direction, in whatever order the phrases come."""
        left_out = int(self.cut * len(features))
        ordered = unit(features).sort(dim=0).values  # (N, D)
        return unit(ordered[left_out : len(features) - left_out].mean(0))
