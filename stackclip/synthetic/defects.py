"""The defects: each changes a product's outline, height or colour, or lies on it, and says where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from stackclip.synthetic.body import Body
from stackclip.synthetic.fields import (
    Field,
    Line,
    Point,
    between,
    bump,
    direction,
    length,
    lerp,
    noise,
    pick,
    ramp,
    soft,
    strokes,
    wave,
)
from stackclip.synthetic.shapes import Colour, Paint

__all__ = ["DEFECTS", "Damage", "Site"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a defect is painted: the pixels' frame coordinates, a pixel's width, the product and its shape.

    `outline(x, y)` is the product's signed distance at frame coordinates; `form(x, y)` is the whole product as drawn at
    those coordinates. `base` and `second` are its pattern's colours; `whole` is true of a surface that fills the frame.
    """

    rng: Generator
    x: Field
    y: Field
    edge: float
    base: Colour
    second: Colour
    whole: bool
    outline: Callable[[Field, Field], Field]
    form: Callable[[Field, Field], Body]

    @property
    def size(self) -> int:
        """The picture's side in pixels."""
        return int(self.x.shape[0])

    @property
    def brightness(self) -> float:
        """How bright the first colour is, 0 to 1."""
        return _brightness(self.base)

    def inside(self, depth: float) -> Point:
        """A point of the product at least `depth` below its outline, where there is one."""
        return self._candidate(lambda away: away + depth)

    def border(self) -> Point:
        """A point close to the product's outline (anywhere on a surface)."""
        return self.inside(0.0) if self.whole else self._candidate(lambda away: np.abs(away) - 0.02)

    def _candidate(self, excess: Callable[[Field], Field]) -> Point:
        reach = 0.62 if self.whole else 0.86
        points = ((2.0 * self.rng.random((2, 96)) - 1.0) * reach).astype(np.float32)
        value = excess(self.outline(points[0], points[1]))
        fitting = np.flatnonzero(value <= 0.0)
        best = int(fitting[0]) if fitting.size else int(np.argmin(value))
        return float(points[0, best]), float(points[1, best])

    def outward(self, point: Point) -> Point:
        """The unit vector away from the product at a point of its outline."""
        step = 0.02
        x = np.array([point[0] - step, point[0] + step, point[0], point[0]], np.float32)
        y = np.array([point[1], point[1], point[1] - step, point[1] + step], np.float32)
        left, right, above, below = self.outline(x, y).tolist()
        along_x, along_y = right - left, below - above
        norm = math.sqrt(along_x * along_x + along_y * along_y)
        return (along_x / norm, along_y / norm) if norm > 1e-6 else direction(between(self.rng, -math.pi, math.pi))


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged product, and where the defect is.

    `region` (S, S) is 1 on the defect, visible or not. None says that it moved or took away something, so that it is
    where the picture changed and nowhere else.
    """

    body: Body
    region: Field | None


Defect: TypeAlias = Callable[[Body, Site], Damage]


def _painted(body: Body, *paints: Paint) -> Body:
    colour, gloss = body.colour, body.gloss
    for paint in paints:
        colour = lerp(colour, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
        gloss = lerp(gloss, np.full_like(gloss, paint.gloss), paint.cover)
    return replace(body, colour=colour, gloss=gloss)


def _on(body: Body, cover: Field, edge: float) -> Field:
    return cover * ramp(body.distance, edge / 2.0, -edge / 2.0)


def _away(site: Site, centre: Point) -> Field:
    return length(site.x - centre[0], site.y - centre[1])


def _blot(site: Site, centre: Point, radius: float) -> Field:
    """The signed distance to an uneven blot."""
    rough = noise(site.rng, site.x, site.y, 0.24) + 0.45 * noise(site.rng, site.x, site.y, 0.10)
    stretch = direction(between(site.rng, -math.pi, math.pi))
    x, y = site.x - centre[0], site.y - centre[1]
    across = x * stretch[1] - y * stretch[0]
    return np.sqrt(x * x + y * y + 0.7 * across * across) - radius * (1.0 + 0.36 * rough)


def _scratch(body: Body, site: Site) -> Damage:
    centre, angle = site.inside(0.12), between(site.rng, -math.pi, math.pi)
    bend, reach = between(site.rng, -0.22, 0.22), between(site.rng, 0.34, 0.52)
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
    burr = _on(body, ramp(away, 0.026, 0.004), site.edge)
    core = _on(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    dark: Colour = (0.30 * site.base[0], 0.30 * site.base[1], 0.30 * site.base[2])
    scratched = _painted(body, Paint(0.7 * burr, dark, 0.0), Paint(core, (1.0, 1.0, 0.98), 0.3))
    return Damage(scratched, _on(body, ramp(away, 0.034, 0.010), site.edge))


def _walk(rng: Generator, start: Point, heading: float, steps: int, stride: float, wide: float, narrow: float) -> Line:
    line = [(start[0], start[1], wide)]
    for step in range(steps):
        heading += between(rng, -0.75, 0.75)
        cosine, sine = direction(heading)
        stretch = stride * between(rng, 0.6, 1.4)
        x, y, _ = line[-1]
        line.append((x + stretch * cosine, y + stretch * sine, wide + (narrow - wide) * (step + 1) / steps))
    return line


def _crack(body: Body, site: Site) -> Damage:
    centre, heading = site.inside(0.20), between(site.rng, -math.pi, math.pi)
    trunk = _walk(site.rng, centre, heading, 7, 0.075, 0.026, 0.006)
    lines = [trunk, _walk(site.rng, centre, heading + math.pi, 5, 0.075, 0.026, 0.006)]
    for turn in (-1.0, 1.0, -0.8):
        x, y, width = trunk[1 + pick(site.rng, 4)]
        lines.append(
            _walk(site.rng, (x, y), heading + turn * between(site.rng, 0.7, 1.2), 4, 0.065, 0.75 * width, 0.005)
        )
    away = strokes(site.size, lines, reach=0.08)
    gap = _on(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    lip = 0.03 * soft(away, 0.05, 0.0)
    dark: Colour = (0.05, 0.045, 0.04) if site.brightness > 0.25 else (0.01, 0.01, 0.01)
    cracked = _painted(replace(body, height=body.height + lip), Paint(0.95 * gap, dark, 0.0))
    return Damage(cracked, _on(body, ramp(away, 0.040, 0.0), site.edge))


_SPILLS: tuple[Colour, ...] = ((0.17, 0.10, 0.05), (0.76, 0.73, 0.64), (0.40, 0.05, 0.12), (0.09, 0.11, 0.30))


def _stain(body: Body, site: Site) -> Damage:
    centre, radius = site.inside(0.16), between(site.rng, 0.20, 0.28)
    drops: list[Line] = []
    for _ in range(3 + pick(site.rng, 3)):
        cosine, sine = direction(between(site.rng, -math.pi, math.pi))
        far = radius * between(site.rng, 1.1, 1.6)
        drops.append([(centre[0] + far * cosine, centre[1] + far * sine, between(site.rng, 0.025, 0.055))])
    away = np.minimum(_blot(site, centre, radius), strokes(site.size, drops, reach=0.08))
    wet = _on(body, soft(away, 0.022, -0.022), site.edge)
    tide = soft(np.abs(away + 0.02), 0.045, 0.0) * wet
    colour = _unlike(site, _SPILLS)
    stained = _painted(body, Paint(0.66 * wet, colour, 0.8), Paint(0.55 * tide, colour, 0.8))
    return Damage(stained, wet)


def _dent(body: Body, site: Site) -> Damage:
    centre, radius = site.inside(0.14), between(site.rng, 0.22, 0.30)
    x, y = (site.x - centre[0]) / radius, (site.y - centre[1]) / radius
    tilt = between(site.rng, -0.3, 0.3)
    bowl = bump(x * x + y * y + tilt * x * y)
    dented = replace(
        body,
        height=body.height - 0.95 * radius * bowl,
        colour=body.colour * (1.0 - 0.42 * bowl),
        gloss=body.gloss + 0.7 * bowl,
    )
    return Damage(dented, _on(body, soft(bowl, 0.0, 0.16), site.edge))


_SOILS: tuple[Colour, ...] = ((0.13, 0.10, 0.07), (0.84, 0.78, 0.62), (0.47, 0.60, 0.12))


def _contamination(body: Body, site: Site) -> Damage:
    centre, spread = site.inside(0.12), between(site.rng, 0.16, 0.24)
    grains: list[Line] = []
    for _ in range(12 + pick(site.rng, 10)):
        x = centre[0] + spread * (between(site.rng, -1.0, 1.0) + between(site.rng, -1.0, 1.0)) * 0.7
        y = centre[1] + spread * (between(site.rng, -1.0, 1.0) + between(site.rng, -1.0, 1.0)) * 0.7
        grains.append([(x, y, between(site.rng, 0.022, 0.056))])
    rough = 0.016 * noise(site.rng, site.x, site.y, 0.035)
    away = strokes(site.size, grains, reach=0.08) + rough
    cover = _on(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    shadow = _on(body, 0.4 * soft(away, 0.03, -0.02), site.edge)
    soil = _unlike(site, _SOILS)
    height = body.height + 0.05 * soft(away, 0.0, -0.05)
    dirty = _painted(replace(body, height=height), Paint(shadow, (0.05, 0.05, 0.05), 0.0), Paint(cover, soil, 0.1))
    return Damage(dirty, cover)


def _missing_part(body: Body, site: Site) -> Damage:
    centre, radius = site.border(), between(site.rng, 0.27, 0.36)
    rough = noise(site.rng, site.x, site.y, 0.15) + 0.4 * noise(site.rng, site.x, site.y, 0.06)
    away = _away(site, centre)
    bite = radius + 0.055 * rough - away
    distance = np.maximum(body.distance, bite)
    # The fresh break is a dark, rough strip along the new edge.
    fracture = ramp(bite, -0.06, -0.045)
    colour = lerp(body.colour, body.colour * (0.42 + 0.10 * rough) + 0.02, fracture)
    height = body.height - 0.03 * ramp(bite, -0.06, 0.0)
    pit = np.where(body.distance < 0.0, 0.62 * ramp(bite, -0.02, 0.02), 0.0).astype(np.float32) if site.whole else None
    broken = replace(body, distance=distance, colour=colour, height=height, pit=pit)
    return Damage(broken, None)


_GLYPHS = {
    "A": "01110100011000111111100011000110001",
    "B": "11110100011000111110100011000111110",
    "E": "11111100001000011110100001000011111",
    "H": "10001100011000111111100011000110001",
    "K": "10001100101010011000101001001010001",
    "N": "10001110011010110011100011000110001",
    "R": "11110100011000111110101001001010001",
    "X": "10001100010101000100010101000110001",
    "2": "01110100010000100110010001000011111",
    "3": "11110000010000101110000010000111110",
    "4": "00010001100101010010111110001000010",
    "5": "11111100001111000001000011000101110",
    "7": "11111000010001000100010000100001000",
    "8": "01110100011000101110100011000101110",
}
_INKS: tuple[Colour, ...] = ((0.08, 0.08, 0.10), (0.70, 0.08, 0.10), (0.08, 0.14, 0.55), (0.96, 0.96, 0.94))


def _misprint(body: Body, site: Site) -> Damage:
    count, tall = 3 + pick(site.rng, 2), between(site.rng, 0.25, 0.31)
    text = [list(_GLYPHS.values())[pick(site.rng, len(_GLYPHS))] for _ in range(count)]
    page = np.zeros((9, 6 * count + 1), np.float32)
    for number, glyph in enumerate(text):
        page[1:8, 6 * number + 1 : 6 * number + 6] = np.array(list(glyph), np.float32).reshape(7, 5)
    centre, (cosine, sine) = site.inside(0.22), direction(between(site.rng, -0.35, 0.35))
    x, y = site.x - centre[0], site.y - centre[1]
    dot = tall / 7.0
    u, v = (x * cosine + y * sine) / dot + page.shape[1] / 2.0, (y * cosine - x * sine) / dot + 4.5
    ink = soft(_sampled(page, u, v), 0.30, 0.62)
    ghost = soft(_sampled(page, u - 0.7, v - 0.8), 0.30, 0.62)
    print_ = _on(body, np.maximum(ink, 0.30 * ghost), site.edge)
    colour = _unlike(site, _INKS)
    return Damage(_painted(body, Paint(0.93 * print_, colour, 0.2)), ramp(print_, 0.0, 0.40))


def _sampled(page: Field, u: Field, v: Field) -> Field:
    rows, columns = page.shape
    u, v = np.clip(u - 0.5, 0.0, columns - 1.001), np.clip(v - 0.5, 0.0, rows - 1.001)
    column, row = u.astype(np.intp), v.astype(np.intp)
    upper = lerp(page[row, column], page[row, column + 1], u - column)
    lower = lerp(page[row + 1, column], page[row + 1, column + 1], u - column)
    result: Field = lerp(upper, lower, v - row).astype(np.float32)
    return result


def _unlike(site: Site, colours: tuple[Colour, ...]) -> Colour:
    """One of the two colours that differ most from the product's."""

    def difference(colour: Colour) -> float:
        return min(
            abs(_brightness(colour) - _brightness(there)) + 0.3 * max(abs(colour[i] - there[i]) for i in range(3))
            for there in (site.base, site.second)
        )

    return sorted(colours, key=difference)[-1 - pick(site.rng, 2)]


def _brightness(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2]


_THREADS: tuple[Colour, ...] = ((0.10, 0.10, 0.13), (0.96, 0.95, 0.90), (0.75, 0.12, 0.14), (0.15, 0.25, 0.65))


def _fiber(body: Body, site: Site) -> Damage:
    x, y = 0.0, 0.0
    heading, curl = between(site.rng, -math.pi, math.pi), between(site.rng, 0.02, 0.14)
    curl *= 1.0 if site.rng.random() < 0.5 else -1.0
    line: list[tuple[float, float, float]] = []
    steps = 30
    for step in range(steps):
        line.append((x, y, 0.017 if 0 < step < steps - 1 else 0.006))
        curl += between(site.rng, -0.14, 0.14)
        curl = max(-0.27, min(0.27, curl))
        heading += curl
        cosine, sine = direction(heading)
        x, y = x + 0.036 * cosine, y + 0.036 * sine
    # The thread's middle lies on the product, whatever way it went.
    middle, centre = line[steps // 2], site.inside(0.12)
    line = [(px - middle[0] + centre[0], py - middle[1] + centre[1], width) for px, py, width in line]
    away = strokes(site.size, [line], reach=0.08)
    shade = strokes(site.size, [[(px + 0.022, py + 0.028, width) for px, py, width in line]], reach=0.08)
    thread = ramp(away, 0.5 * site.edge, -0.5 * site.edge)
    shadow = 0.40 * soft(shade, 0.03, -0.02)
    litter = (*body.litter, Paint(shadow, (0.03, 0.03, 0.03), 0.0), Paint(thread, _unlike(site, _THREADS), 0.0))
    return Damage(replace(body, litter=litter), np.maximum(ramp(away, 0.030, 0.006), ramp(shadow, 0.10, 0.30)))


_TINTS: tuple[Colour, ...] = ((0.85, 0.42, 0.12), (0.97, 0.95, 0.84), (0.30, 0.62, 0.48), (0.48, 0.30, 0.66))


def _discoloration(body: Body, site: Site) -> Damage:
    centre = site.inside(0.12)
    away = _blot(site, centre, between(site.rng, 0.32, 0.44))
    cover = _on(body, soft(away, 0.09, -0.09), site.edge)
    tint = np.array(_unlike(site, _TINTS), np.float32)[:, None, None]
    light = 0.3 * body.colour[0] + 0.6 * body.colour[1] + 0.1 * body.colour[2]
    # The texture stays: only its hue and mean brightness are those of the tint.
    tinted = tint * (0.45 + 0.55 * light / max(site.brightness, 0.2))
    return Damage(replace(body, colour=lerp(body.colour, np.minimum(tinted, 1.1), 0.80 * cover)), cover)


def _deformation(body: Body, site: Site) -> Damage:
    centre, radius = site.border(), between(site.rng, 0.46, 0.58)
    push = between(site.rng, 0.17, 0.23) * (1.0 if site.rng.random() < 0.5 else -1.0)
    outward = direction(between(site.rng, -math.pi, math.pi)) if site.whole else site.outward(centre)
    x, y = site.x - centre[0], site.y - centre[1]
    bell = bump((x * x + y * y) / (radius * radius))
    bent = site.form(site.x - push * outward[0] * bell, site.y - push * outward[1] * bell)
    if site.whole:
        across = x * outward[0] + y * outward[1]
        bent = replace(bent, height=bent.height + 0.11 * bell * wave(across / 0.34 + 0.5))
        return Damage(bent, soft(bell, 0.0, 0.16))
    return Damage(bent, None)


def _hole(body: Body, site: Site) -> Damage:
    centre, radius = site.inside(0.13), between(site.rng, 0.11, 0.16)
    rough = 0.012 * noise(site.rng, site.x, site.y, 0.08)
    bore = radius + rough - _away(site, centre)
    return _opened(body, bore, site, lip=0.05)


def _cut(body: Body, site: Site) -> Damage:
    start = site.border()
    outward = site.outward(start)
    turn = between(site.rng, -0.6, 0.6)
    cosine, sine = direction(turn)
    inward = (-(outward[0] * cosine - outward[1] * sine), -(outward[0] * sine + outward[1] * cosine))
    reach, wide = between(site.rng, 0.42, 0.66), between(site.rng, 0.034, 0.046)
    mouth = 0.005 if site.whole else wide
    behind = 0.0 if site.whole else 0.10
    line = [
        (start[0] - behind * inward[0], start[1] - behind * inward[1], mouth),
        (start[0] + 0.45 * reach * inward[0], start[1] + 0.45 * reach * inward[1], wide if site.whole else 0.7 * wide),
        (start[0] + reach * inward[0], start[1] + reach * inward[1], 0.004),
    ]
    return _opened(body, -strokes(site.size, [line], reach=0.12), site, lip=0.045)


def _opened(body: Body, depth: Field, site: Site, *, lip: float) -> Damage:
    """The body without what lies where `depth` is above 0, its new rim raised."""
    ridge = lip * bump((depth + 0.5 * lip) * (depth + 0.5 * lip) / (lip * lip))
    pit = 0.86 * _on(body, ramp(depth, -0.02, 0.01), site.edge)
    opened = replace(body, distance=np.maximum(body.distance, depth), height=body.height + ridge, pit=pit)
    return Damage(opened, _on(body, ramp(depth, -0.040, -0.015), site.edge))


DEFECTS: dict[str, Defect] = {
    "scratch": _scratch,
    "crack": _crack,
    "stain": _stain,
    "dent": _dent,
    "contamination": _contamination,
    "missing-part": _missing_part,
    "misprint": _misprint,
    "fiber": _fiber,
    "discoloration": _discoloration,
    "deformation": _deformation,
    "hole": _hole,
    "cut": _cut,
}
"""Every kind of defect by its name."""
