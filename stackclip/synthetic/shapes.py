"""The shapes by name: plain ones, and those of wares, hardware and electronics."""

from __future__ import annotations

import math

import numpy as np

from stackclip.synthetic.dress import Colour, Dress, Quirks, Shape
from stackclip.synthetic.electronics import BOARD, CABLE
from stackclip.synthetic.fields import Field, box, direction, dome, length, soft
from stackclip.synthetic.hardware import BRACKET, GEAR, NUT, SCREW, TUBE
from stackclip.synthetic.wares import BOTTLE, CAPSULE, CARTON, PILL

__all__ = ["SHAPES"]


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


def _cross(u: Field, v: Field, quirks: Quirks) -> Field:
    arm, reach = 0.235 + 0.015 * quirks[0], 0.70
    return np.minimum(box(u, v, reach, arm, 0.04), box(u, v, arm, reach, 0.04))


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
        CARTON,
        CAPSULE,
        PILL,
        BOTTLE,
        SCREW,
        NUT,
        GEAR,
        CABLE,
        BRACKET,
        TUBE,
        BOARD,
        Shape("cross", math.pi, _cross, _dress_cross),
        Shape("star", math.pi, _star, _dress_star),
    )
}
"""Every shape by its name; `surface` fills the frame, the others lie on a backdrop."""
