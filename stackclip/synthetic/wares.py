"""Wares as they are sold: a box, a capsule, a pill and a bottle."""

from __future__ import annotations

import math

import numpy as np

from stackclip.synthetic.dress import HOLLOW, Colour, Dress, Paint, Quirks, Shape
from stackclip.synthetic.fields import (
    Field,
    box,
    bump,
    dome,
    either,
    ellipse,
    inside,
    length,
    lerp,
    ramp,
    segment,
    soft,
    wave,
)

__all__ = ["BOTTLE", "CAPSULE", "CARTON", "PILL"]

_TAPE: Colour = (0.80, 0.66, 0.44)


def _carton(u: Field, v: Field, quirks: Quirks) -> Field:
    taper = 0.60 + 0.02 * quirks[0] - 0.17 * np.maximum(0.12 - v, 0.0)
    return box(u / taper * 0.6, v, 0.60, 0.62 + 0.03 * quirks[1], 0.03)


def _dress_carton(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    # The lid lies flat; the front falls away towards the viewer, so the light leaves it darker.
    front = np.maximum(v - 0.12, 0.0)
    flaps = 0.02 * bump((v + 0.26) * (v + 0.26) / 0.0006) * ramp(v, 0.14, 0.10)
    strip = np.maximum(np.abs(v + 0.26) - 0.075, 0.0)
    tape = inside(strip - edge, edge) * 0.85 * ramp(v, 0.14, 0.10)
    return Dress(0.03 * dome(-distance / 0.03) - 0.85 * front - flaps, (Paint(tape, _TAPE, 0.7),))


def _capsule(u: Field, v: Field, quirks: Quirks) -> Field:
    reach = 0.42 + 0.02 * quirks[0]
    return segment(u, v, (-reach, 0.0), (reach, 0.0)) - np.where(u < 0.04, 0.30, 0.28).astype(np.float32)


def _dress_capsule(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    half = inside(0.04 - u, edge)
    lip = 0.012 * bump((u - 0.05) * (u - 0.05) / 0.0009)
    return Dress(0.30 * dome(-distance / 0.30) - lip, (Paint(half, contrast, 0.9),))


def _pill(u: Field, v: Field, quirks: Quirks) -> Field:
    return ellipse(u, v, 0.70 + 0.02 * quirks[0], 0.49 + 0.02 * quirks[1])


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
    return box(u, v + 0.71, 0.19, 0.13, 0.03)


def _dress_bottle(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    cap = inside(_bottle_cap(u, v), edge)
    wide = _bottle_width(v, quirks)
    glass = wide * dome((wide - np.abs(u)) / wide) * dome((0.83 - v) / 0.14)
    lid = 0.19 * dome((0.19 - np.abs(u)) / 0.19) + 0.012 * wave(u * 14.0)
    collar = 0.5 * soft(v, -0.50, -0.58) * (1.0 - cap)
    return Dress(lerp(glass, lid, cap), (Paint(collar, HOLLOW, 0.0), Paint(cap, contrast, 0.4)))


CARTON = Shape("box", 0.22, _carton, _dress_carton)
CAPSULE = Shape("capsule", math.pi, _capsule, _dress_capsule)
PILL = Shape("pill", math.pi, _pill, _dress_pill)
BOTTLE = Shape("bottle", 0.30, _bottle, _dress_bottle)
