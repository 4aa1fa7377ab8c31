"""What lies in an assembly: pens, an eraser, a sharpener, washers, terminals, plugs and fuses."""

from __future__ import annotations

import math

import numpy as np

from stackclip.synthetic.dress import HOLLOW, SILVER, Colour, Dress, Paint, Quirks, Shape
from stackclip.synthetic.fields import Field, both, box, bump, dome, either, inside, length, ramp, soft, wave

__all__ = ["GOODS"]

_GOLD: Colour = (0.86, 0.70, 0.36)
_STEEL: Colour = (0.62, 0.64, 0.67)
_SLEEVE: Colour = (0.90, 0.89, 0.86)
_GRIP: Colour = (0.13, 0.13, 0.15)


def _pen(u: Field, v: Field, quirks: Quirks) -> Field:
    barrel: Field = np.abs(u) - _pen_width(v)
    return both(barrel, np.abs(v) - 0.84) * 0.9


def _pen_width(v: Field) -> Field:
    tip = 0.018 + 0.067 * ramp(v, 0.84, 0.60)
    button = 0.045 + 0.040 * ramp(v, -0.765, -0.755)
    return either(tip, button)


def _dress_pen(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    wide = _pen_width(v)
    barrel = wide * dome((wide - np.abs(u)) / wide)
    grip = ramp(v, 0.26, 0.27) * ramp(v, 0.59, 0.58)
    rings = 0.006 * wave(v / 0.045) * grip
    clip = inside(box(u - 0.004, v + 0.52, 0.024, 0.20, 0.02), edge)
    button, collar = ramp(v, -0.755, -0.765), ramp(v, -0.04, -0.03) * ramp(v, 0.01, 0.0)
    metal = np.maximum(np.maximum(ramp(v, 0.60, 0.61), button), collar)
    return Dress(
        barrel + rings + 0.02 * clip,
        (Paint(grip, _GRIP, 0.15), Paint(metal, SILVER, 0.95), Paint(clip, SILVER, 0.9)),
    )


def _eraser(u: Field, v: Field, quirks: Quirks) -> Field:
    return box(u, v, 0.36, 0.62, 0.07)


def _dress_eraser(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    sleeve = ramp(v, -0.20 - edge, -0.20)
    stripe = sleeve * inside(np.abs(v - 0.16) - 0.13, edge)
    lettering = stripe * inside(box(u, v - 0.16, 0.20, 0.045), edge) * soft(wave(u / 0.085), -0.1, 0.1)
    worn = 0.05 * bump(((u - 0.3 * quirks[1]) * (u - 0.3 * quirks[1]) + (v + 0.62) * (v + 0.62)) / 0.04)
    height = 0.10 * dome(-distance / 0.10) + 0.012 * sleeve - worn
    return Dress(
        height,
        (
            Paint(sleeve, _SLEEVE, 0.25),
            Paint(stripe, (0.13, 0.24, 0.47), 0.3),
            Paint(lettering, _SLEEVE, 0.3),
        ),
    )


def _sharpener(u: Field, v: Field, quirks: Quirks) -> Field:
    waist = 0.44 - 0.07 * bump(v * v / 0.09)
    return both(np.abs(u) - waist, np.abs(v) - 0.58) * 0.95


def _dress_sharpener(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    a, b = 0.966 * u + 0.259 * v, 0.966 * v - 0.259 * u
    blade = inside(box(a + 0.04, b, 0.20, 0.50), edge)
    bevel = blade * ramp(a, 0.08, 0.10)
    head = length(a + 0.05, b)
    screw, slot = inside(head - 0.12, edge), inside(box(a + 0.05, b, 0.10, 0.022), edge)
    gap = inside(box(a - 0.20, b, 0.035, 0.46), edge)
    ribs = 0.012 * wave(v / 0.09) * ramp(np.abs(u), 0.30, 0.34)
    height = 0.07 * dome(-distance / 0.06) + ribs + 0.02 * blade + 0.05 * screw * dome((0.13 - head) / 0.13)
    return Dress(
        height - 0.03 * slot,
        (
            Paint(gap, HOLLOW, 0.0),
            Paint(blade, _STEEL, 0.8),
            Paint(bevel, SILVER, 1.0),
            Paint(screw, SILVER, 0.9),
            Paint(0.8 * slot, HOLLOW, 0.0),
        ),
    )


def _washer(u: Field, v: Field, quirks: Quirks) -> Field:
    radius = length(u, v)
    return both(radius - 0.66, 0.31 - radius)


def _dress_washer(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    turned = 0.004 * wave(length(u, v) / 0.05)
    return Dress(0.045 * dome(-distance / 0.045) + turned)


def _terminal(u: Field, v: Field, quirks: Quirks) -> Field:
    return box(u, v, 0.30, 0.80, 0.05)


def _dress_terminal(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    bore = length(u, np.abs(v) - 0.36)
    sunk, head = inside(bore - 0.205, edge), inside(bore - 0.17, edge)
    cross = head * inside(np.minimum(np.abs(u), np.abs(np.abs(v) - 0.36)) - 0.028, edge)
    mouth = inside(box(u, np.abs(v) - 0.68, 0.15, 0.065, 0.02), edge)
    label = inside(box(u, v, 0.20, 0.085, 0.01), edge)
    height = 0.07 * dome(-distance / 0.06) - 0.05 * sunk + 0.05 * head * dome((0.18 - bore) / 0.09)
    return Dress(
        height - 0.02 * cross,
        (
            Paint(sunk, HOLLOW, 0.0),
            Paint(head, SILVER, 0.9),
            Paint(0.85 * cross, HOLLOW, 0.0),
            Paint(mouth, HOLLOW, 0.0),
            Paint(label, _SLEEVE, 0.2),
        ),
    )


def _plug(u: Field, v: Field, quirks: Quirks) -> Field:
    housing = box(u, v + 0.16, 0.52, 0.46, 0.05)
    latch = box(u, v + 0.60, 0.16, 0.12, 0.03)
    return either(housing, latch, _leads(u, v))


def _leads(u: Field, v: Field) -> Field:
    gap = np.abs(np.abs(u) - 0.255) - 0.125
    return box(np.abs(gap), v - 0.50, 0.058, 0.34, 0.02)


def _dress_plug(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    housing = either(box(u, v + 0.16, 0.52, 0.46, 0.05), box(u, v + 0.60, 0.16, 0.12, 0.03))
    bare = ramp(housing, 0.0, edge)
    leads = _leads(u, v)
    across = np.abs(np.abs(u) - 0.255) - 0.125
    rails = box(np.abs(across), v + 0.10, 0.062, 0.24, 0.01)
    cavity = inside(rails, edge)
    pin = inside(box(np.abs(across), v + 0.08, 0.030, 0.20), edge)
    ridge = inside(box(u, v + 0.60, 0.12, 0.08, 0.02), edge)
    height = 0.09 * dome(-housing / 0.07) * (1.0 - bare) + 0.058 * dome(-leads / 0.058) * bare
    red = bare * ramp(u, -0.255 - edge, -0.255 + edge)
    return Dress(
        height - 0.05 * cavity + 0.03 * ridge,
        (
            Paint(bare, (0.70, 0.13, 0.11), 0.5),
            Paint(red, (0.12, 0.12, 0.13), 0.5),
            Paint(cavity, HOLLOW, 0.0),
            Paint(pin, _GOLD, 0.9),
        ),
    )


def _fuse(u: Field, v: Field, quirks: Quirks) -> Field:
    return either(box(u, v, 0.205, 0.74, 0.03), box(u, np.abs(v) - 0.60, 0.225, 0.16, 0.03))


def _dress_fuse(u: Field, v: Field, quirks: Quirks, distance: Field, edge: float, contrast: Colour) -> Dress:
    cap = ramp(np.abs(v), 0.44, 0.44 + edge)
    band = inside(np.abs(v) - 0.14, edge)
    mark = inside(np.abs(np.abs(v) - 0.29) - 0.025, edge)
    height = 0.21 * dome((0.22 - np.abs(u)) / 0.22) + 0.012 * cap
    return Dress(
        height,
        (Paint(0.85 * band, _SLEEVE, 0.5), Paint(0.8 * mark, HOLLOW, 0.4), Paint(cap, SILVER, 1.0)),
    )


GOODS: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("pen", math.pi, _pen, _dress_pen),
        Shape("eraser", math.pi, _eraser, _dress_eraser),
        Shape("sharpener", math.pi, _sharpener, _dress_sharpener),
        Shape("washer", math.pi, _washer, _dress_washer),
        Shape("terminal", math.pi, _terminal, _dress_terminal),
        Shape("plug", math.pi, _plug, _dress_plug),
        Shape("fuse", math.pi, _fuse, _dress_fuse),
    )
}
"""Every one of them by its name; training never shows any."""
