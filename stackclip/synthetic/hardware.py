"""Hardware of metal: a screw, a nut, a gear, a bracket and a tube."""

from __future__ import annotations

import math

import numpy as np

from stackclip.synthetic.dress import HOLLOW, SILVER, Colour, Dress, Paint, Quirks, Shape
from stackclip.synthetic.fields import (
    Field,
    both,
    box,
    bump,
    dome,
    either,
    ellipse,
    fold,
    inside,
    length,
    lerp,
    melt,
    ramp,
    soft,
    wave,
)

__all__ = ["BRACKET", "GEAR", "NUT", "SCREW", "TUBE"]

_BRACKET_HOLES = ((-0.37, -0.40), (-0.37, -0.03), (0.06, 0.39), (0.42, 0.39))


def _screw(u: Field, v: Field, quirks: Quirks) -> Field:
    head = np.maximum(ellipse(u, v + 0.42, 0.38, 0.36), v + 0.42)
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
    slot = inside(box(u, v + 0.76, 0.055, 0.10), edge)
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
    thread = inside(radius - 0.375, edge)
    turns = 0.03 * wave(radius / 0.055) * thread
    bore = 0.7 * np.maximum(0.39 - radius, 0.0)
    return Dress(0.05 * dome(-distance / 0.05) - chamfer - bore + turns, (Paint(0.45 * thread, HOLLOW, 0.4),))


def _gear(u: Field, v: Field, quirks: Quirks) -> Field:
    radius = length(u, v)
    # Twelve teeth are mirror images of half a tooth: fold the plane into one twenty-fourth.
    a, b = np.abs(u), np.abs(v)
    a, b = np.maximum(a, b), np.minimum(a, b)
    for angle in (math.pi / 6.0, math.pi / 12.0):
        a, b = fold(a, b, angle)
    b = np.abs(b)
    tooth = np.maximum(b - (0.083 - 0.20 * (a - 0.55)), a - (0.73 + 0.015 * quirks[0]))
    wheel = melt(radius - 0.555, tooth, 0.05)
    keyway = box(u, v + 0.17, 0.045, 0.07)
    return both(wheel, -either(radius - 0.16, keyway))


def _dress_gear(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    radius = length(u, v)
    recess = soft(np.abs(radius - 0.37), 0.115, 0.075)
    return Dress(0.05 * dome(-distance / 0.05) - 0.05 * recess)


def _bracket(u: Field, v: Field, quirks: Quirks) -> Field:
    upright = box(u + 0.37, v, 0.21, 0.60, 0.05)
    foot = box(u - 0.02, v - 0.39, 0.60, 0.21, 0.05)
    holes = either(*(length(u - x, v - y) for x, y in _BRACKET_HOLES)) - 0.08
    return both(melt(upright, foot, 0.12), -holes)


def _dress_bracket(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    holes = either(*(length(u - x, v - y) for x, y in _BRACKET_HOLES))
    countersink = 0.55 * np.maximum(0.135 - holes, 0.0)
    return Dress(0.05 * dome(-distance / 0.05) - countersink)


def _tube(u: Field, v: Field, quirks: Quirks) -> Field:
    wall = box(u + 0.10, v, 0.62, 0.34)
    ends = np.minimum(ellipse(u + 0.72, v, 0.13, 0.34), _tube_mouth(u, v))
    return np.minimum(wall, ends)


def _tube_mouth(u: Field, v: Field) -> Field:
    return ellipse(u - 0.52, v, 0.17, 0.34)


def _dress_tube(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    mouth = inside(_tube_mouth(u, v), edge)
    inner = ellipse(u - 0.53, v, 0.125, 0.27)
    hollow = inside(inner, edge)
    height = lerp(0.34 * dome((0.34 - np.abs(v)) / 0.34), np.full_like(u, 0.30), mouth)
    depth = 0.55 + 0.45 * soft(u, 0.64, 0.46)
    return Dress(height, (Paint(0.45 * mouth, SILVER, 0.1), Paint(hollow * depth, HOLLOW, 0.0)))


SCREW = Shape("screw", math.pi, _screw, _dress_screw)
NUT = Shape("nut", math.pi, _nut, _dress_nut)
GEAR = Shape("gear", math.pi, _gear, _dress_gear)
BRACKET = Shape("bracket", math.pi, _bracket, _dress_bracket)
TUBE = Shape("tube", math.pi, _tube, _dress_tube)
