"""The colours of heat maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEAT_COLOURS", "HEAT_STOPS"]

HEAT_STOPS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], np.float64
)
"""Dark violet over red to pale yellow, (6, 3) from 0 to 255; even steps look evenly brighter."""


def _between(stops: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    places = np.linspace(0, 1, count)
    return np.stack([np.interp(places, np.linspace(0, 1, len(stops)), channel) for channel in stops.T], -1)


HEAT_COLOURS = _between(HEAT_STOPS, 256)
"""The colours (256, 3) of even steps from the coldest to the hottest."""
