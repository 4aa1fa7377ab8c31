"""Defects that lie on a product: stains, dirt, a print, a thread, a tint."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stackclip.synthetic.body import Body
from stackclip.synthetic.damage import Damage, Spot, on_body, painted, unlike
from stackclip.synthetic.dress import Colour, Paint
from stackclip.synthetic.fields import Field, Line, Point, between, direction, lerp, noise, pick, ramp, soft, strokes

__all__ = ["contamination", "discoloration", "fiber", "misprint", "stain"]

_SPILLS: tuple[Colour, ...] = ((0.17, 0.10, 0.05), (0.76, 0.73, 0.64), (0.40, 0.05, 0.12), (0.09, 0.11, 0.30))
_SOILS: tuple[Colour, ...] = ((0.13, 0.10, 0.07), (0.84, 0.78, 0.62), (0.47, 0.60, 0.12))
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
_THREADS: tuple[Colour, ...] = ((0.10, 0.10, 0.13), (0.96, 0.95, 0.90), (0.75, 0.12, 0.14), (0.15, 0.25, 0.65))
_TINTS: tuple[Colour, ...] = ((0.85, 0.42, 0.12), (0.97, 0.95, 0.84), (0.30, 0.62, 0.48), (0.48, 0.30, 0.66))


def stain(body: Body, site: Spot) -> Damage:
    """A dried spill with a rim and drops around it."""
    centre, radius = site.inside(0.16), site.extent(0.20, 0.28)
    drops: list[Line] = []
    for _ in range(3 + pick(site.rng, 3)):
        cosine, sine = direction(between(site.rng, -math.pi, math.pi))
        far = radius * between(site.rng, 1.1, 1.6)
        drops.append([(centre[0] + far * cosine, centre[1] + far * sine, site.extent(0.025, 0.055))])
    away = np.minimum(_blot(site, centre, radius), strokes(site.size, drops, reach=0.08))
    wet = on_body(body, soft(away, 0.022, -0.022), site.edge)
    tide = soft(np.abs(away + 0.02), 0.045, 0.0) * wet
    colour = unlike(site, _SPILLS)
    stained = painted(body, Paint(0.66 * wet, colour, 0.8), Paint(0.55 * tide, colour, 0.8))
    return Damage(stained, wet)


def contamination(body: Body, site: Spot) -> Damage:
    """Grains of dirt."""
    centre, spread = site.inside(0.12), site.extent(0.16, 0.24)
    grains: list[Line] = []
    for _ in range(12 + pick(site.rng, 10)):
        x = centre[0] + spread * (between(site.rng, -1.0, 1.0) + between(site.rng, -1.0, 1.0)) * 0.7
        y = centre[1] + spread * (between(site.rng, -1.0, 1.0) + between(site.rng, -1.0, 1.0)) * 0.7
        grains.append([(x, y, between(site.rng, 0.022, 0.056))])
    rough = 0.016 * noise(site.rng, site.x, site.y, 0.035)
    away = strokes(site.size, grains, reach=0.08) + rough
    cover = on_body(body, ramp(away, 0.5 * site.edge, -0.5 * site.edge), site.edge)
    shadow = on_body(body, 0.4 * soft(away, 0.03, -0.02), site.edge)
    soil = unlike(site, _SOILS)
    height = body.height + 0.05 * soft(away, 0.0, -0.05)
    dirty = painted(replace(body, height=height), Paint(shadow, (0.05, 0.05, 0.05), 0.0), Paint(cover, soil, 0.1))
    return Damage(dirty, cover)


def misprint(body: Body, site: Spot) -> Damage:
    """Letters printed twice, a little apart."""
    count, tall = 3 + pick(site.rng, 2), site.extent(0.25, 0.31)
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
    print_ = on_body(body, np.maximum(ink, 0.30 * ghost), site.edge)
    colour = unlike(site, _INKS)
    return Damage(painted(body, Paint(0.93 * print_, colour, 0.2)), ramp(print_, 0.0, 0.40))


def fiber(body: Body, site: Spot) -> Damage:
    """A thread that lies on the product."""
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
        x, y = x + 0.036 * site.scale * cosine, y + 0.036 * site.scale * sine
    # The thread's middle lies on the product, whatever way it went.
    middle, centre = line[steps // 2], site.inside(0.12)
    line = [(px - middle[0] + centre[0], py - middle[1] + centre[1], width) for px, py, width in line]
    away = strokes(site.size, [line], reach=0.08)
    shade = strokes(site.size, [[(px + 0.022, py + 0.028, width) for px, py, width in line]], reach=0.08)
    thread = ramp(away, 0.5 * site.edge, -0.5 * site.edge)
    shadow = 0.40 * soft(shade, 0.03, -0.02)
    litter = (*body.litter, Paint(shadow, (0.03, 0.03, 0.03), 0.0), Paint(thread, unlike(site, _THREADS), 0.0))
    return Damage(replace(body, litter=litter), np.maximum(ramp(away, 0.030, 0.006), ramp(shadow, 0.10, 0.30)))


def discoloration(body: Body, site: Spot) -> Damage:
    """A tint without an edge."""
    centre = site.inside(0.12)
    away = _blot(site, centre, site.extent(0.32, 0.44))
    cover = on_body(body, soft(away, 0.09, -0.09), site.edge)
    tint = np.array(unlike(site, _TINTS), np.float32)[:, None, None]
    light = 0.3 * body.colour[0] + 0.6 * body.colour[1] + 0.1 * body.colour[2]
    # The texture stays: only its hue and mean brightness are those of the tint.
    tinted = tint * (0.45 + 0.55 * light / max(site.brightness, 0.2))
    return Damage(replace(body, colour=lerp(body.colour, np.minimum(tinted, 1.1), 0.80 * cover)), cover)


def _blot(site: Spot, centre: Point, radius: float) -> Field:
    """The signed distance to an uneven blot."""
    rough = noise(site.rng, site.x, site.y, 0.24 * site.scale) + 0.45 * noise(
        site.rng, site.x, site.y, 0.10 * site.scale
    )
    stretch = direction(between(site.rng, -math.pi, math.pi))
    x, y = site.x - centre[0], site.y - centre[1]
    across = x * stretch[1] - y * stretch[0]
    return np.sqrt(x * x + y * y + 0.7 * across * across) - radius * (1.0 + 0.36 * rough)


def _sampled(page: Field, u: Field, v: Field) -> Field:
    rows, columns = page.shape
    u, v = np.clip(u - 0.5, 0.0, columns - 1.001), np.clip(v - 0.5, 0.0, rows - 1.001)
    column, row = u.astype(np.intp), v.astype(np.intp)
    upper = lerp(page[row, column], page[row, column + 1], u - column)
    lower = lerp(page[row + 1, column], page[row + 1, column + 1], u - column)
    result: Field = lerp(upper, lower, v - row).astype(np.float32)
    return result
