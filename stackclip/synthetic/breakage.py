"""Defects of a product itself: what is scratched, cracked, dented, bent, broken off or cut out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stackclip.synthetic.body import Body
from stackclip.synthetic.damage import Damage, Spot, away_from, on_body, painted
from stackclip.synthetic.dress import Colour, Paint
from stackclip.synthetic.fields import (
    Field,
    Line,
    Point,
    between,
    bump,
    direction,
    lerp,
    noise,
    pick,
    ramp,
    soft,
    strokes,
    wave,
)

__all__ = ["crack", "cut", "deformation", "dent", "hole", "missing_part", "scratch"]


def scratch(body: Body, site: Spot) -> Damage:
    """Two or three bowed lines side by side, bright with dark burrs."""
    centre, angle = site.inside(0.12), between(site.rng, -math.pi, math.pi)
    bend, reach = between(site.rng, -0.22, 0.22), site.extent(0.34, 0.52)
    (cosine, sine), lines, shift = direction(angle), [], 0.0
    for number in range(2 + pick(site.rng, 2)):
        begin, end = (between(site.rng, 0.6, 1.0) * reach * (1.0 - 0.25 * number) * sign for sign in (-1.0, 1.0))
        line = []
        for step in range(11):
            t = begin + (end - begin) * step / 10.0
            s = bend * t * t + shift + 0.03 * t * number
            width = (0.016 - 0.004 * number) * min(1.0, 0.2 + 3.0 * (0.5 - abs(step / 10.0 - 0.5)))
            line.append((centre[0] + t * cosine - s * sine, centre[1] + t * sine + s * cosine, width))
        lines.append(line)
        shift += between(site.rng, 0.065, 0.10)
    away = strokes(site.size, lines, reach=0.08)
    burr = on_body(body, ramp(away, 0.026, 0.004), site.edge)
    core = on_body(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    dark: Colour = (0.30 * site.base[0], 0.30 * site.base[1], 0.30 * site.base[2])
    scratched = painted(body, Paint(0.7 * burr, dark, 0.0), Paint(core, (1.0, 1.0, 0.98), 0.3))
    return Damage(scratched, on_body(body, ramp(away, 0.034, 0.010), site.edge))


def crack(body: Body, site: Spot) -> Damage:
    """A dark line to both sides of a point, with branches."""
    centre, heading = site.inside(0.20), between(site.rng, -math.pi, math.pi)
    trunk = _walk(site.rng, centre, heading, 7, 0.075 * site.scale, 0.026 * site.scale, 0.006)
    lines = [trunk, _walk(site.rng, centre, heading + math.pi, 5, 0.075 * site.scale, 0.026 * site.scale, 0.006)]
    for turn in (-1.0, 1.0, -0.8):
        x, y, width = trunk[1 + pick(site.rng, 4)]
        lines.append(
            _walk(
                site.rng,
                (x, y),
                heading + turn * between(site.rng, 0.7, 1.2),
                4,
                0.065 * site.scale,
                0.75 * width,
                0.005,
            )
        )
    away = strokes(site.size, lines, reach=0.08)
    gap = on_body(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    lip = 0.03 * soft(away, 0.05, 0.0)
    dark: Colour = (0.05, 0.045, 0.04) if site.brightness > 0.25 else (0.01, 0.01, 0.01)
    cracked = painted(replace(body, height=body.height + lip), Paint(0.95 * gap, dark, 0.0))
    return Damage(cracked, on_body(body, ramp(away, 0.040, 0.0), site.edge))


def dent(body: Body, site: Spot) -> Damage:
    """A bowl in the surface."""
    centre, radius = site.inside(0.14), site.extent(0.22, 0.30)
    x, y = (site.x - centre[0]) / radius, (site.y - centre[1]) / radius
    tilt = between(site.rng, -0.3, 0.3)
    bowl = bump(x * x + y * y + tilt * x * y)
    dented = replace(
        body,
        height=body.height - 0.95 * radius * bowl,
        colour=body.colour * (1.0 - 0.42 * bowl),
        gloss=body.gloss + 0.7 * bowl,
    )
    return Damage(dented, on_body(body, soft(bowl, 0.0, 0.16), site.edge))


def missing_part(body: Body, site: Spot) -> Damage:
    """A piece broken off at the outline."""
    centre, radius = site.border(), site.extent(0.27, 0.36)
    rough = noise(site.rng, site.x, site.y, 0.15) + 0.4 * noise(site.rng, site.x, site.y, 0.06)
    away = away_from(site, centre)
    bite = radius + 0.055 * site.scale * rough - away
    distance = np.maximum(body.distance, bite)
    # The fresh break is a dark, rough strip along the new edge.
    fracture = ramp(bite, -0.06, -0.045)
    colour = lerp(body.colour, body.colour * (0.42 + 0.10 * rough) + 0.02, fracture)
    height = body.height - 0.03 * ramp(bite, -0.06, 0.0)
    pit = np.where(body.distance < 0.0, 0.62 * ramp(bite, -0.02, 0.02), 0.0).astype(np.float32) if site.whole else None
    broken = replace(body, distance=distance, colour=colour, height=height, pit=pit)
    return Damage(broken, None)


def deformation(body: Body, site: Spot) -> Damage:
    """A part pushed in or out."""
    centre, radius = site.border(), site.extent(0.46, 0.58)
    push = site.extent(0.17, 0.23) * (1.0 if site.rng.random() < 0.5 else -1.0)
    outward = direction(between(site.rng, -math.pi, math.pi)) if site.whole else site.outward(centre)
    x, y = site.x - centre[0], site.y - centre[1]
    bell = bump((x * x + y * y) / (radius * radius))
    bent = site.form(site.x - push * outward[0] * bell, site.y - push * outward[1] * bell)
    if site.whole:
        across = x * outward[0] + y * outward[1]
        bent = replace(bent, height=bent.height + 0.11 * bell * wave(across / 0.34 + 0.5))
        return Damage(bent, soft(bell, 0.0, 0.16))
    return Damage(bent, None)


def hole(body: Body, site: Spot) -> Damage:
    """A bore through the product."""
    centre, radius = site.inside(0.13), site.extent(0.11, 0.16)
    rough = 0.012 * noise(site.rng, site.x, site.y, 0.08)
    bore = radius + rough - away_from(site, centre)
    return _opened(body, bore, site, lip=0.05)


def cut(body: Body, site: Spot) -> Damage:
    """A slit from the outline inwards."""
    start = site.border()
    outward = site.outward(start)
    turn = between(site.rng, -0.6, 0.6)
    cosine, sine = direction(turn)
    inward = (-(outward[0] * cosine - outward[1] * sine), -(outward[0] * sine + outward[1] * cosine))
    reach, wide = site.extent(0.42, 0.66), site.extent(0.034, 0.046)
    mouth = 0.005 if site.whole else wide
    behind = 0.0 if site.whole else 0.10
    line = [
        (start[0] - behind * inward[0], start[1] - behind * inward[1], mouth),
        (start[0] + 0.45 * reach * inward[0], start[1] + 0.45 * reach * inward[1], wide if site.whole else 0.7 * wide),
        (start[0] + reach * inward[0], start[1] + reach * inward[1], 0.004),
    ]
    return _opened(body, -strokes(site.size, [line], reach=0.12), site, lip=0.045)


def _walk(rng: Generator, start: Point, heading: float, steps: int, stride: float, wide: float, narrow: float) -> Line:
    line = [(start[0], start[1], wide)]
    for step in range(steps):
        heading += between(rng, -0.75, 0.75)
        cosine, sine = direction(heading)
        stretch = stride * between(rng, 0.6, 1.4)
        x, y, _ = line[-1]
        line.append((x + stretch * cosine, y + stretch * sine, wide + (narrow - wide) * (step + 1) / steps))
    return line


def _opened(body: Body, depth: Field, site: Spot, *, lip: float) -> Damage:
    """The body without what lies where `depth` is above 0, its new rim raised."""
    ridge = lip * bump((depth + 0.5 * lip) * (depth + 0.5 * lip) / (lip * lip))
    pit = 0.86 * on_body(body, ramp(depth, -0.02, 0.01), site.edge)
    opened = replace(body, distance=np.maximum(body.distance, depth), height=body.height + ridge, pit=pit)
    return Damage(opened, on_body(body, ramp(depth, -0.040, -0.015), site.edge))
