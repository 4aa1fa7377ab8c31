"""Electronics: a cable and a board."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stackclip.synthetic.dress import HOLLOW, SILVER, Colour, Dress, Paint, Quirks, Shape
from stackclip.synthetic.fields import Field, both, box, dome, either, inside, length, lerp, segment, soft

__all__ = ["BOARD", "CABLE"]

_COPPER: Colour = (0.80, 0.47, 0.26)
_GOLD: Colour = (0.88, 0.72, 0.34)
_CHIP: Colour = (0.13, 0.13, 0.14)
_STRANDS = (-0.115, -0.055, 0.0, 0.06, 0.118)
_BOARD = (0.76, 0.58)
_TRACES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-0.18, -0.20), (-0.18, -0.34), (-0.28, -0.44), (-0.52, -0.44)),
    ((-0.06, -0.20), (-0.06, -0.38), (0.0, -0.44), (0.22, -0.44)),
    ((0.06, -0.20), (0.06, -0.26), (0.12, -0.32), (0.56, -0.32)),
    ((-0.18, 0.20), (-0.18, 0.30), (-0.30, 0.42), (-0.50, 0.42)),
    ((-0.06, 0.20), (-0.06, 0.34), (0.02, 0.42), (0.30, 0.42)),
    ((0.06, 0.20), (0.06, 0.24), (0.14, 0.30), (0.58, 0.30)),
    ((-0.36, -0.06), (-0.60, -0.06), (-0.60, -0.26)),
    ((-0.36, 0.10), (-0.48, 0.10), (-0.58, 0.20)),
)


def _cable(u: Field, v: Field, quirks: Quirks) -> Field:
    distance = np.minimum(_jacket(u, v), _sleeve(u, v))
    return np.minimum(distance, _strands(u, v, quirks))


def _jacket(u: Field, v: Field) -> Field:
    return box(u + 1.5, v, 1.56, 0.29, 0.03)


def _sleeve(u: Field, v: Field) -> Field:
    return box(u, v, 0.32, 0.175, 0.02)


def _strands(u: Field, v: Field, quirks: Quirks) -> Field:
    wires = [
        segment(u, v, (0.25, at), (0.74 + 0.04 * quirks[i % 4] * (-1) ** i, at * 2.3)) - 0.034
        for i, at in enumerate(_STRANDS)
    ]
    return either(*wires)


def _dress_cable(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    jacket, sleeve, strands = _jacket(u, v), _sleeve(u, v), _strands(u, v, quirks)
    copper = inside(strands, edge)
    on_sleeve, on_jacket = inside(sleeve, edge), inside(jacket, edge)
    height = 0.05 * dome(-strands / 0.034)
    height = lerp(height, 0.10 + 0.16 * dome((0.175 - np.abs(v)) / 0.175), on_sleeve)
    height = lerp(height, 0.18 + 0.27 * dome((0.29 - np.abs(v)) / 0.29), on_jacket)
    rest = 1.0 - on_jacket
    return Dress(
        height,
        (
            Paint(copper * rest, _COPPER, 0.9),
            Paint(on_sleeve * rest, contrast, 0.4),
            Paint(0.6 * soft(u, 0.13, 0.06) * rest * on_sleeve, HOLLOW, 0.0),
        ),
    )


def _board(u: Field, v: Field, quirks: Quirks) -> Field:
    corners = length(np.abs(u) - 0.67, np.abs(v) - 0.49) - 0.045
    return both(box(u, v, *_BOARD, 0.04), -corners)


def _dress_board(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    u, v = u * (1.0 if quirks[0] > 0 else -1.0), v * (1.0 if quirks[1] > 0 else -1.0)
    lines = [segment(u, v, start, stop) for path in _TRACES for start, stop in pairwise(path)]
    ends = [length(u - path[-1][0], v - path[-1][1]) for path in _TRACES]
    drill = either(*ends)
    traces = np.minimum(either(*lines) - 0.024, drill - 0.058)
    chip = box(u + 0.06, v, 0.21, 0.15, 0.01)
    legs = np.minimum.reduce(
        [box(u - at, np.abs(v) - 0.19, 0.024, 0.05) for at in (-0.18, -0.06, 0.06)]
        + [box(np.abs(u + 0.06) - 0.25, v - at, 0.06, 0.022) for at in (-0.06, 0.06)]
    )
    parts = np.minimum(box(u - 0.42, v + 0.10, 0.10, 0.055, 0.01), box(u - 0.42, v - 0.12, 0.10, 0.055, 0.01))
    caps = np.minimum.reduce([box(np.abs(u - 0.42) - 0.085, v - at, 0.028, 0.06, 0.01) for at in (-0.10, 0.12)])
    mark = inside(length(u + 0.21, v + 0.09) - 0.025, edge)
    on_chip, on_parts = inside(chip, edge), inside(parts, edge)
    height = 0.03 * dome(-distance / 0.03) + 0.012 * inside(traces, edge)
    height = height + on_chip * 0.08 * dome(-chip / 0.03) + on_parts * 0.05 * dome(-parts / 0.03)
    return Dress(
        height,
        (
            Paint(inside(traces, edge), _GOLD, 0.7),
            Paint(inside(drill - 0.024, edge), HOLLOW, 0.0),
            Paint(inside(legs, edge), SILVER, 0.9),
            Paint(on_chip, _CHIP, 0.3),
            Paint(on_parts, (0.32, 0.24, 0.18), 0.3),
            Paint(inside(caps, edge), SILVER, 0.9),
            Paint(mark, SILVER, 0.0),
        ),
    )


CABLE = Shape("cable", 0.35, _cable, _dress_cable)
BOARD = Shape("board", 0.30, _board, _dress_board)
