"""The patterns: what a product's material looks like, from plain plastic to wire mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from stackclip.synthetic.fields import Field, between, bump, cells, dome, length, noise, ramp, soft, wave

__all__ = ["COLOURS", "PATTERNS", "Pattern", "Texture", "mate"]

Colour: TypeAlias = tuple[float, float, float]

COLOURS: dict[str, Colour] = {
    "white": (0.92, 0.92, 0.90),
    "grey": (0.55, 0.56, 0.58),
    "black": (0.15, 0.15, 0.17),
    "red": (0.76, 0.15, 0.14),
    "orange": (0.92, 0.48, 0.12),
    "yellow": (0.94, 0.77, 0.20),
    "green": (0.20, 0.54, 0.27),
    "turquoise": (0.18, 0.64, 0.66),
    "blue": (0.16, 0.34, 0.70),
    "purple": (0.46, 0.26, 0.60),
    "pink": (0.91, 0.56, 0.65),
    "brown": (0.47, 0.30, 0.18),
}
_CREAM: Colour = (0.93, 0.90, 0.83)
_INK: Colour = (0.16, 0.18, 0.24)
_GROUT_PALE: Colour = (0.80, 0.79, 0.76)
_GROUT_DARK: Colour = (0.36, 0.35, 0.35)
_VOID: Colour = (0.07, 0.07, 0.08)


@dataclass(frozen=True, slots=True)
class Texture:
    """A material over the frame: how much of the second colour, how bright, how high, how glossy.

    `mix` is in [0, 1], `tone` multiplies the colour, `relief` is a height in frame units; each is (S, S).
    """

    mix: Field | float
    tone: Field | float
    relief: Field | float
    gloss: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named material: the colours it comes in, what its second colour is, and how it is drawn.

    `weave(rng, u, v, edge)` gets the product's own coordinates in frame units and the width of a pixel.
    """

    name: str
    colours: tuple[str, ...]
    second: str
    weave: Callable[[Generator, Field, Field, float], Texture]


def mate(pattern: Pattern, colour: Colour) -> Colour:
    """The second colour of a pattern whose first is `colour`."""
    red, green, blue = colour
    brightness = 0.3 * red + 0.6 * green + 0.1 * blue
    if pattern.second == "contrast":
        return _INK if brightness > 0.6 else _CREAM
    if pattern.second == "lighter":
        return (red + (0.97 - red) * 0.62, green + (0.96 - green) * 0.62, blue + (0.92 - blue) * 0.62)
    if pattern.second == "darker":
        return (red * 0.34, green * 0.34, blue * 0.36)
    if pattern.second == "void":
        return _VOID
    return _GROUT_DARK if brightness > 0.6 else _GROUT_PALE


def _plain(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    return Texture(0.0, 1.0 + 0.025 * noise(rng, u, v, 0.5), 0.0, 0.55)


def _grainy(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    grain = noise(rng, u, v, 0.05) + 0.7 * noise(rng, u, v, 0.08)
    return Texture(0.0, 1.0 + 0.24 * grain, 0.008 * grain, 0.12)


def _speckled(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    rough = noise(rng, u, v, 0.06)
    near, _, own = cells(rng, u, v, 0.17, jitter=0.9)
    speck = soft(near + 0.10 * rough - 0.10 - 0.28 * own * own, 0.06, -0.06)
    return Texture(speck, 1.0, 0.0, 0.35)


def _striped(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    period = between(rng, 0.23, 0.28)
    sway = 0.012 * noise(rng, u, v, 0.5)
    phase = (v + sway) / period + rng.random()
    band = ramp(np.abs(2.0 * (phase - np.floor(phase)) - 1.0) - 0.5, -edge / period, edge / period)
    return Texture(band, 1.0, 0.0, 0.3)


def _checkered(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    side = between(rng, 0.16, 0.19)
    s, t = u / side + rng.random(), v / side + rng.random()
    sharp = side / edge
    columns = np.clip((np.abs(2.0 * (s / 2.0 - np.floor(s / 2.0)) - 1.0) - 0.5) * sharp * 2.0, -1.0, 1.0)
    rows = np.clip((np.abs(2.0 * (t / 2.0 - np.floor(t / 2.0)) - 1.0) - 0.5) * sharp * 2.0, -1.0, 1.0)
    return Texture(0.5 + 0.5 * columns * rows, 1.0, 0.0, 0.3)


def _dotted(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    pitch = between(rng, 0.24, 0.28)
    s, t = u / pitch + rng.random(), v / (1.732 * pitch) + rng.random()
    # A hexagonal lattice is two rectangular ones, the second half a cell off.
    one, other = (
        length((s + shift - np.floor(s + shift) - 0.5) * pitch, (t + shift - np.floor(t + shift) - 0.5) * 1.732 * pitch)
        for shift in (0.0, 0.5)
    )
    return Texture(ramp(np.minimum(one, other) - 0.28 * pitch, edge / 2.0, -edge / 2.0), 1.0, 0.0, 0.3)


def _woven(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    pitch = between(rng, 0.15, 0.18)
    s, t = u / pitch + rng.random(), v / pitch + rng.random()
    column, row = np.floor(s), np.floor(t)
    fs, ft = 2.0 * (s - column) - 1.0, 2.0 * (t - row) - 1.0
    odd = (column + row) - 2.0 * np.floor((column + row) / 2.0)
    across, along = np.where(odd > 0.5, fs, ft), np.where(odd > 0.5, ft, fs)
    band = np.maximum(1.0 - across * across / 0.81, 0.0)
    height = np.sqrt(band) * (1.0 - 0.55 * along * along)
    fibres = 0.06 * wave(across * 2.5)
    return Texture(0.75 * odd, 0.30 + 0.78 * soft(height, -0.1, 0.75) + fibres, 0.030 * height, 0.12)


def _knitted(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    wide = between(rng, 0.22, 0.25)
    tall = wide * 0.68
    fuzz = 0.05 * noise(rng, u, v, 0.07)
    s = u / wide + rng.random()
    s = s - np.floor(s) - 0.5
    side = np.abs(s)
    t = v / tall + 1.5 * side + fuzz + rng.random()
    t = 2.0 * (t - np.floor(t)) - 1.0
    a = 4.0 * side - 1.0
    leg = np.maximum(1.0 - a * a, 0.0) * np.maximum(1.0 - t * t * 0.92, 0.0)
    height = np.sqrt(leg)
    return Texture(0.30 * height, 0.34 + 0.72 * soft(height, 0.0, 0.85), 0.035 * height, 0.04)


def _brushed(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    streaks = noise(rng, u, v, 0.9, across=0.032) + 0.6 * noise(rng, u, v, 0.5, across=0.055)
    sheen = wave(v * between(rng, 0.45, 0.6) + u * 0.08 + rng.random())
    return Texture(0.12 + 0.22 * np.maximum(sheen, 0.0), 0.92 + 0.15 * streaks + 0.13 * sheen, 0.0015 * streaks, 0.75)


def _marbled(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    push, pull = noise(rng, u, v, 0.42), noise(rng, u, v, 0.36)
    s, t = u + 0.26 * push, v + 0.26 * pull
    broad = noise(rng, s, t, 0.60) + 0.30 * noise(rng, s, t, 0.17)
    fine = noise(rng, s, t, 0.33) + 0.30 * noise(rng, s, t, 0.12)
    strength = 0.5 + 0.5 * noise(rng, u, v, 0.30)
    # A vein is where a noise is near zero: a bright thread in a faint halo, strong here and lost there.
    halo, thread = bump(broad * broad / 0.12), bump(broad * broad / 0.016)
    vein = halo * (0.15 + 0.30 * strength) + thread * (0.25 + 0.6 * strength)
    vein = vein + bump(fine * fine / 0.012) * 0.75 * strength * strength
    return Texture(np.minimum(vein, 1.0), 1.0 + 0.07 * push, 0.0, 0.7)


def _cellular(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    near, second, own = cells(rng, u, v, between(rng, 0.24, 0.28), jitter=0.75)
    wall = second - near
    return Texture(soft(wall, 0.20, 0.07), 0.88 + 0.22 * own, 0.045 * dome(wall * 1.3), 0.3)


def _cloudy(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    # Lattices at odds with each other hide the squares that each one alone would show.
    s, t = 0.8 * u + 0.6 * v, 0.8 * v - 0.6 * u
    cloud = (
        noise(rng, u, v, 0.29) + noise(rng, s, t, 0.24) + 0.45 * noise(rng, u, v, 0.13) + 0.3 * noise(rng, s, t, 0.08)
    )
    return Texture(soft(cloud, -0.55, 0.65), 1.0, 0.0, 0.25)


def _tiled(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    side = between(rng, 0.26, 0.30)
    s, t = u / side + 16.0 + rng.random(), v / side + 16.0 + rng.random()
    column, row = np.floor(s), np.floor(t)
    inset = 0.5 - np.maximum(np.abs(s - column - 0.5), np.abs(t - row - 0.5))
    shade = rng.random((32, 32)).astype(np.float32)
    own = shade[row.astype(np.intp) & 31, column.astype(np.intp) & 31]
    tile = ramp(inset - 0.065, -edge / side / 2.0, edge / side / 2.0)
    return Texture(1.0 - tile, 0.84 + tile * 0.30 * own, 0.030 * dome((inset - 0.05) / 0.12), 0.6)


def _meshed(rng: Generator, u: Field, v: Field, edge: float) -> Texture:
    pitch = between(rng, 0.20, 0.23)
    s, t = (u + v) * 0.7071 / pitch + rng.random(), (u - v) * 0.7071 / pitch + rng.random()
    column, row = np.floor(s), np.floor(t)
    fs, ft = (s - column - 0.5) / 0.2, (t - row - 0.5) / 0.2
    one, other = np.sqrt(np.maximum(1.0 - fs * fs, 0.0)), np.sqrt(np.maximum(1.0 - ft * ft, 0.0))
    over = (column + row) - 2.0 * np.floor((column + row) / 2.0)
    height = np.maximum(one * (0.75 + 0.25 * over), other * (1.0 - 0.25 * over))
    wire = soft(height, 0.15, 0.55)
    return Texture(1.0 - wire, 0.45 + 0.6 * wire * soft(height, 0.0, 1.0), 0.035 * height, 0.55)


PATTERNS: dict[str, Pattern] = {
    pattern.name: pattern
    for pattern in (
        Pattern("plain", ("red", "blue", "yellow", "white"), "lighter", _plain),
        Pattern("grainy", ("brown", "grey", "orange"), "darker", _grainy),
        Pattern("speckled", ("white", "pink", "turquoise"), "contrast", _speckled),
        Pattern("striped", ("red", "blue", "green"), "contrast", _striped),
        Pattern("checkered", ("black", "red", "yellow"), "contrast", _checkered),
        Pattern("dotted", ("blue", "pink", "purple"), "contrast", _dotted),
        Pattern("woven", ("brown", "green", "blue"), "lighter", _woven),
        Pattern("knitted", ("red", "purple", "grey"), "lighter", _knitted),
        Pattern("brushed", ("grey", "yellow", "orange"), "lighter", _brushed),
        Pattern("marbled", ("white", "black", "green"), "contrast", _marbled),
        Pattern("cellular", ("orange", "yellow", "turquoise"), "darker", _cellular),
        Pattern("cloudy", ("blue", "pink", "green"), "lighter", _cloudy),
        Pattern("tiled", ("turquoise", "brown", "white"), "grout", _tiled),
        Pattern("meshed", ("grey", "yellow", "green"), "void", _meshed),
    )
}
"""Every pattern by its name; each comes in few colours, so that the pattern is easier to learn than the colour."""
