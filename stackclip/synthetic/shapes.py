"""The shapes: what a product is, as a signed distance with a height and the parts painted on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from stackclip.synthetic.fields import (
    Field,
    both,
    bump,
    direction,
    dome,
    either,
    fold,
    length,
    lerp,
    ramp,
    segment,
    soft,
    wave,
)

__all__ = ["SHAPES", "Dress", "Paint", "Shape"]

Colour: TypeAlias = tuple[float, float, float]
Quirks: TypeAlias = tuple[float, ...]
"""Four numbers in [-1, 1] in which instances of one shape differ."""

COPPER: Colour = (0.80, 0.47, 0.26)
GOLD: Colour = (0.88, 0.72, 0.34)
SILVER: Colour = (0.80, 0.81, 0.83)
CHIP: Colour = (0.13, 0.13, 0.14)
TAPE: Colour = (0.80, 0.66, 0.44)
HOLLOW: Colour = (0.06, 0.06, 0.07)


@dataclass(frozen=True, slots=True)
class Paint:
    """A part in a colour of its own over the pattern: where it is, in [0, 1], and how glossy."""

    cover: Field
    colour: Colour
    gloss: float


@dataclass(frozen=True, slots=True)
class Dress:
    """What stands within a shape's outline: its height in frame units and its painted parts, the lowest first."""

    height: Field
    paints: tuple[Paint, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A named product: how far it is turned at most (radians), its outline and what stands within.

    `outline(u, v, quirks)` is the signed distance, negative inside, in frame units and for points of any number.
    `dress(u, v, quirks, distance, edge, contrast)` gets a pixel's width and a colour that stands out from the pattern.
    """

    name: str
    turn: float
    outline: Callable[[Field, Field, Quirks], Field]
    dress: Callable[[Field, Field, Quirks, Field, float, Colour], Dress]


def _box(u: Field, v: Field, half_u: float, half_v: float, corner: float = 0.0) -> Field:
    a, b = np.abs(u) - (half_u - corner), np.abs(v) - (half_v - corner)
    outside = length(np.maximum(a, 0.0), np.maximum(b, 0.0))
    return outside + np.minimum(np.maximum(a, b), 0.0) - corner


def _ellipse(u: Field, v: Field, half_u: float, half_v: float) -> Field:
    near = length(u / half_u, v / half_v)
    slope = length(u / (half_u * half_u), v / (half_v * half_v))
    return near * (near - 1.0) / np.maximum(slope, 1e-6)


def _inside(distance: Field, edge: float) -> Field:
    return ramp(distance, edge / 2.0, -edge / 2.0)


def _melt(one: Field, other: Field, width: float) -> Field:
    """The union of two distances with a fillet of `width` where they meet."""
    t = np.maximum(width - np.abs(one - other), 0.0) / width
    return np.minimum(one, other) - t * t * (width / 4.0)


def _surface(u: Field, v: Field, quirks: Quirks) -> Field:
    return np.full_like(u, -1.0)


def _dress_surface(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    return Dress(np.zeros_like(u))


def _disc(u: Field, v: Field, quirks: Quirks) -> Field:
    return length(u, v) - (0.69 + 0.03 * quirks[0])


def _dress_disc(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    return Dress(0.07 * dome(-distance / 0.07) - 0.035 * soft(distance, -0.09, -0.15))


def _ring(u: Field, v: Field, quirks: Quirks) -> Field:
    tube: Field = np.abs(length(u, v) - 0.50)
    return tube - (0.205 + 0.02 * quirks[0])


def _dress_ring(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    return Dress(0.20 * dome(-distance / 0.21))


def _carton(u: Field, v: Field, quirks: Quirks) -> Field:
    taper = 0.60 + 0.02 * quirks[0] - 0.17 * np.maximum(0.12 - v, 0.0)
    return _box(u / taper * 0.6, v, 0.60, 0.62 + 0.03 * quirks[1], 0.03)


def _dress_carton(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    # The lid lies flat; the front falls away towards the viewer, so the light leaves it darker.
    front = np.maximum(v - 0.12, 0.0)
    flaps = 0.02 * bump((v + 0.26) * (v + 0.26) / 0.0006) * ramp(v, 0.14, 0.10)
    strip = np.maximum(np.abs(v + 0.26) - 0.075, 0.0)
    tape = _inside(strip - edge, edge) * 0.85 * ramp(v, 0.14, 0.10)
    return Dress(0.03 * dome(-distance / 0.03) - 0.85 * front - flaps, (Paint(tape, TAPE, 0.7),))


def _capsule(u: Field, v: Field, quirks: Quirks) -> Field:
    reach = 0.42 + 0.02 * quirks[0]
    return segment(u, v, (-reach, 0.0), (reach, 0.0)) - np.where(u < 0.04, 0.30, 0.28).astype(np.float32)


def _dress_capsule(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    half = _inside(0.04 - u, edge)
    lip = 0.012 * bump((u - 0.05) * (u - 0.05) / 0.0009)
    return Dress(0.30 * dome(-distance / 0.30) - lip, (Paint(half, contrast, 0.9),))


def _pill(u: Field, v: Field, quirks: Quirks) -> Field:
    return _ellipse(u, v, 0.70 + 0.02 * quirks[0], 0.49 + 0.02 * quirks[1])


def _dress_pill(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    score = bump(u * u / 0.0036) * soft(np.abs(v), 0.46, 0.38)
    return Dress(0.16 * dome(-distance / 0.24) - 0.07 * score)


def _bottle(u: Field, v: Field, quirks: Quirks) -> Field:
    wide = _bottle_width(v, quirks)
    side = (np.abs(u) - wide) * 0.8
    foot = np.abs(u) - (wide - 0.10), v - 0.72
    corner = length(np.maximum(foot[0], 0.0), np.maximum(foot[1], 0.0)) - 0.10
    glass = np.maximum(np.maximum(side, corner), -0.68 - v)
    return either(glass, _bottle_cap(u, v))


def _bottle_width(v: Field, quirks: Quirks) -> Field:
    body = 0.38 + 0.02 * quirks[0]
    return 0.135 + (body - 0.135) * soft(v, -0.48, -0.06)


def _bottle_cap(u: Field, v: Field) -> Field:
    return _box(u, v + 0.71, 0.19, 0.13, 0.03)


def _dress_bottle(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    cap = _inside(_bottle_cap(u, v), edge)
    wide = _bottle_width(v, quirks)
    glass = wide * dome((wide - np.abs(u)) / wide) * dome((0.83 - v) / 0.14)
    lid = 0.19 * dome((0.19 - np.abs(u)) / 0.19) + 0.012 * wave(u * 14.0)
    collar = 0.5 * soft(v, -0.50, -0.58) * (1.0 - cap)
    return Dress(lerp(glass, lid, cap), (Paint(collar, HOLLOW, 0.0), Paint(cap, contrast, 0.4)))


def _screw(u: Field, v: Field, quirks: Quirks) -> Field:
    head = np.maximum(_ellipse(u, v + 0.42, 0.38, 0.36), v + 0.42)
    taper = ramp(v, 0.78, 0.46)
    ridge = _thread(u, v) * ramp(v, -0.22, -0.16)
    shank = (np.abs(u) - (0.165 + 0.035 * ridge) * (0.05 + 0.95 * taper)) * 0.85
    shank = np.maximum(shank, np.maximum(-0.45 - v, v - 0.80))
    return either(head, shank)


def _thread(u: Field, v: Field) -> Field:
    return wave(v / 0.135 + 1.1 * u)


def _dress_screw(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    head = ramp(v, -0.40, -0.42)
    shank = 0.17 * dome((0.19 - np.abs(u)) / 0.19) + 0.045 * _thread(u, v) * ramp(v, -0.22, -0.16)
    cap = 0.26 * dome(-distance / 0.34) + 0.02
    slot = _inside(_box(u, v + 0.76, 0.055, 0.10), edge)
    shadow = 0.75 * bump((v + 0.40) * (v + 0.40) / 0.0016) * ramp(v, -0.43, -0.40)
    return Dress(lerp(shank, cap, head) - 0.05 * slot, (Paint(0.8 * slot, HOLLOW, 0.0), Paint(shadow, HOLLOW, 0.0)))


def _nut(u: Field, v: Field, quirks: Quirks) -> Field:
    return both(_hexagon(u, v) - (0.62 + 0.02 * quirks[0]), 0.30 - length(u, v))


def _hexagon(u: Field, v: Field) -> Field:
    a, b = np.abs(u), np.abs(v)
    return np.maximum(b, 0.8660254 * a + 0.5 * b)


def _dress_nut(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    radius = length(u, v)
    chamfer = 0.45 * np.maximum(radius - 0.61, 0.0)
    thread = _inside(radius - 0.375, edge)
    turns = 0.03 * wave(radius / 0.055) * thread
    bore = 0.7 * np.maximum(0.39 - radius, 0.0)
    return Dress(0.05 * dome(-distance / 0.05) - chamfer - bore + turns, (Paint(0.45 * thread, HOLLOW, 0.4),))


_TEETH = 12


def _gear(u: Field, v: Field, quirks: Quirks) -> Field:
    radius = length(u, v)
    # Twelve teeth are mirror images of half a tooth: fold the plane into one twenty-fourth.
    a, b = np.abs(u), np.abs(v)
    a, b = np.maximum(a, b), np.minimum(a, b)
    for angle in (math.pi / 6.0, math.pi / 12.0):
        a, b = fold(a, b, angle)
    b = np.abs(b)
    tooth = np.maximum(b - (0.083 - 0.20 * (a - 0.55)), a - (0.73 + 0.015 * quirks[0]))
    wheel = _melt(radius - 0.555, tooth, 0.05)
    keyway = _box(u, v + 0.17, 0.045, 0.07)
    return both(wheel, -either(radius - 0.16, keyway))


def _dress_gear(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    radius = length(u, v)
    recess = soft(np.abs(radius - 0.37), 0.115, 0.075)
    return Dress(0.05 * dome(-distance / 0.05) - 0.05 * recess)


_STRANDS = (-0.115, -0.055, 0.0, 0.06, 0.118)


def _cable(u: Field, v: Field, quirks: Quirks) -> Field:
    distance = np.minimum(_jacket(u, v), _sleeve(u, v))
    return np.minimum(distance, _strands(u, v, quirks))


def _jacket(u: Field, v: Field) -> Field:
    return _box(u + 1.5, v, 1.56, 0.29, 0.03)


def _sleeve(u: Field, v: Field) -> Field:
    return _box(u, v, 0.32, 0.175, 0.02)


def _strands(u: Field, v: Field, quirks: Quirks) -> Field:
    wires = [
        segment(u, v, (0.25, at), (0.74 + 0.04 * quirks[i % 4] * (-1) ** i, at * 2.3)) - 0.034
        for i, at in enumerate(_STRANDS)
    ]
    return either(*wires)


def _dress_cable(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    jacket, sleeve, strands = _jacket(u, v), _sleeve(u, v), _strands(u, v, quirks)
    copper = _inside(strands, edge)
    on_sleeve, on_jacket = _inside(sleeve, edge), _inside(jacket, edge)
    height = 0.05 * dome(-strands / 0.034)
    height = lerp(height, 0.10 + 0.16 * dome((0.175 - np.abs(v)) / 0.175), on_sleeve)
    height = lerp(height, 0.18 + 0.27 * dome((0.29 - np.abs(v)) / 0.29), on_jacket)
    rest = 1.0 - on_jacket
    return Dress(
        height,
        (
            Paint(copper * rest, COPPER, 0.9),
            Paint(on_sleeve * rest, contrast, 0.4),
            Paint(0.6 * soft(u, 0.13, 0.06) * rest * on_sleeve, HOLLOW, 0.0),
        ),
    )


_BRACKET_HOLES = ((-0.37, -0.40), (-0.37, -0.03), (0.06, 0.39), (0.42, 0.39))


def _bracket(u: Field, v: Field, quirks: Quirks) -> Field:
    upright = _box(u + 0.37, v, 0.21, 0.60, 0.05)
    foot = _box(u - 0.02, v - 0.39, 0.60, 0.21, 0.05)
    holes = either(*(length(u - x, v - y) for x, y in _BRACKET_HOLES)) - 0.08
    return both(_melt(upright, foot, 0.12), -holes)


def _dress_bracket(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    holes = either(*(length(u - x, v - y) for x, y in _BRACKET_HOLES))
    countersink = 0.55 * np.maximum(0.135 - holes, 0.0)
    return Dress(0.05 * dome(-distance / 0.05) - countersink)


def _tube(u: Field, v: Field, quirks: Quirks) -> Field:
    wall = _box(u + 0.10, v, 0.62, 0.34)
    ends = np.minimum(_ellipse(u + 0.72, v, 0.13, 0.34), _tube_mouth(u, v))
    return np.minimum(wall, ends)


def _tube_mouth(u: Field, v: Field) -> Field:
    return _ellipse(u - 0.52, v, 0.17, 0.34)


def _dress_tube(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    mouth = _inside(_tube_mouth(u, v), edge)
    inner = _ellipse(u - 0.53, v, 0.125, 0.27)
    hollow = _inside(inner, edge)
    height = lerp(0.34 * dome((0.34 - np.abs(v)) / 0.34), np.full_like(u, 0.30), mouth)
    depth = 0.55 + 0.45 * soft(u, 0.64, 0.46)
    return Dress(height, (Paint(0.45 * mouth, SILVER, 0.1), Paint(hollow * depth, HOLLOW, 0.0)))


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


def _board(u: Field, v: Field, quirks: Quirks) -> Field:
    corners = length(np.abs(u) - 0.67, np.abs(v) - 0.49) - 0.045
    return both(_box(u, v, *_BOARD, 0.04), -corners)


def _dress_board(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    u, v = u * (1.0 if quirks[0] > 0 else -1.0), v * (1.0 if quirks[1] > 0 else -1.0)
    lines = [segment(u, v, start, stop) for path in _TRACES for start, stop in pairwise(path)]
    ends = [length(u - path[-1][0], v - path[-1][1]) for path in _TRACES]
    drill = either(*ends)
    traces = np.minimum(either(*lines) - 0.024, drill - 0.058)
    chip = _box(u + 0.06, v, 0.21, 0.15, 0.01)
    legs = np.minimum.reduce(
        [_box(u - at, np.abs(v) - 0.19, 0.024, 0.05) for at in (-0.18, -0.06, 0.06)]
        + [_box(np.abs(u + 0.06) - 0.25, v - at, 0.06, 0.022) for at in (-0.06, 0.06)]
    )
    parts = np.minimum(_box(u - 0.42, v + 0.10, 0.10, 0.055, 0.01), _box(u - 0.42, v - 0.12, 0.10, 0.055, 0.01))
    caps = np.minimum.reduce([_box(np.abs(u - 0.42) - 0.085, v - at, 0.028, 0.06, 0.01) for at in (-0.10, 0.12)])
    mark = _inside(length(u + 0.21, v + 0.09) - 0.025, edge)
    on_chip, on_parts = _inside(chip, edge), _inside(parts, edge)
    height = 0.03 * dome(-distance / 0.03) + 0.012 * _inside(traces, edge)
    height = height + on_chip * 0.08 * dome(-chip / 0.03) + on_parts * 0.05 * dome(-parts / 0.03)
    return Dress(
        height,
        (
            Paint(_inside(traces, edge), GOLD, 0.7),
            Paint(_inside(drill - 0.024, edge), HOLLOW, 0.0),
            Paint(_inside(legs, edge), SILVER, 0.9),
            Paint(on_chip, CHIP, 0.3),
            Paint(on_parts, (0.32, 0.24, 0.18), 0.3),
            Paint(_inside(caps, edge), SILVER, 0.9),
            Paint(mark, SILVER, 0.0),
        ),
    )


def _cross(u: Field, v: Field, quirks: Quirks) -> Field:
    arm, reach = 0.235 + 0.015 * quirks[0], 0.70
    return np.minimum(_box(u, v, reach, arm, 0.04), _box(u, v, arm, reach, 0.04))


def _dress_cross(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    return Dress(0.09 * dome(-distance / 0.10))


def _star(u: Field, v: Field, quirks: Quirks) -> Field:
    # Five points are mirror images of half a point: fold the plane twice, then measure to one side of the tip.
    a, b, (cosine, sine) = np.abs(u), -v, direction(math.pi / 5.0)
    for across in (cosine, -cosine):
        beyond = 2.0 * np.maximum(across * a - sine * b, 0.0)
        a, b = a - beyond * across, b + beyond * sine
    tip = 0.80 + 0.02 * quirks[0]
    a, b = np.abs(a), b - tip
    side_a, side_b = 0.47 * sine, 0.47 * cosine - 1.0
    along = np.clip((a * side_a + b * side_b) / (side_a * side_a + side_b * side_b), 0.0, tip)
    away = length(a - side_a * along, b - side_b * along)
    return np.where(b * side_a - a * side_b > 0.0, away, -away) - 0.02


def _dress_star(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    return Dress(0.55 * np.maximum(-distance, 0.0))


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("surface", 0.35, _surface, _dress_surface),
        Shape("disc", math.pi, _disc, _dress_disc),
        Shape("ring", math.pi, _ring, _dress_ring),
        Shape("box", 0.22, _carton, _dress_carton),
        Shape("capsule", math.pi, _capsule, _dress_capsule),
        Shape("pill", math.pi, _pill, _dress_pill),
        Shape("bottle", 0.30, _bottle, _dress_bottle),
        Shape("screw", math.pi, _screw, _dress_screw),
        Shape("nut", math.pi, _nut, _dress_nut),
        Shape("gear", math.pi, _gear, _dress_gear),
        Shape("cable", 0.35, _cable, _dress_cable),
        Shape("bracket", math.pi, _bracket, _dress_bracket),
        Shape("tube", math.pi, _tube, _dress_tube),
        Shape("board", 0.30, _board, _dress_board),
        Shape("cross", math.pi, _cross, _dress_cross),
        Shape("star", math.pi, _star, _dress_star),
    )
}
"""Every shape by its name; `surface` fills the frame, the others lie on a backdrop."""
