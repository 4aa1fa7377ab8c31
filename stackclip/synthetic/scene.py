"""One product, good and defective: drawn from a seed, the same scene at every size, equal to the byte everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from stackclip.errors import UsageError
from stackclip.synthetic.body import Body, Lamp, grid, photograph
from stackclip.synthetic.damage import Damage, Spot
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.dress import Colour, Shape
from stackclip.synthetic.fields import Field, between, direction, lerp, pick, seeded
from stackclip.synthetic.patterns import COLOURS, PATTERNS, Pattern, mate
from stackclip.synthetic.shapes import SHAPES

__all__ = ["CONTRAST", "MIN_AREA", "Pair", "draw", "draw_pair"]

CONTRAST = 36.0
"""A defect is redrawn until the pictures differ by this many levels of 255, on average over its mask."""
MIN_AREA = 0.004
"""A defect is redrawn until its mask covers this much of the frame."""
_REFERENCE = 112
_TRIES = 16
_VISIBLE, _PLAIN = 12, 20
"""Differences of good and defective in levels: what the eye can see, and what it cannot miss."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One product twice, without and with a defect: pictures (S, S, 3) uint8, mask (S, S) bool, and what is shown."""

    good: NDArray[np.uint8]
    defective: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    pattern: str
    shape: str
    colour: str
    defect: str


@dataclass(frozen=True, slots=True)
class _Scene:
    pattern: Pattern
    shape: Shape
    colour: str
    second: Colour
    contrast: Colour
    quirks: tuple[float, ...]
    turn: float
    grain: float
    scale: float
    shift: tuple[float, float]
    lamp: Lamp
    seed: int

    def placed(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Frame coordinates as the product's own."""
        cosine, sine = direction(self.turn)
        x, y = (x - self.shift[0]) / self.scale, (y - self.shift[1]) / self.scale
        return x * cosine + y * sine, y * cosine - x * sine

    def outline(self, x: Field, y: Field) -> Field:
        """The signed distance at frame coordinates, in frame units."""
        u, v = self.placed(x, y)
        return self.shape.outline(u, v, self.quirks) * self.scale

    def form(self, x: Field, y: Field) -> Body:
        """The good product as seen at frame coordinates (S, S)."""
        edge = 2.0 / x.shape[0]
        u, v = self.placed(x, y)
        distance = self.shape.outline(u, v, self.quirks)
        dress = self.shape.dress(u, v, self.quirks, distance, edge / self.scale, self.contrast)
        cosine, sine = direction(self.grain)
        texture = self.pattern.weave(
            seeded(self.seed, "texture", self.pattern.name), u * cosine + v * sine, v * cosine - u * sine, edge
        )
        first, second = (np.array(colour, np.float32)[:, None, None] for colour in (COLOURS[self.colour], self.second))
        mix: Field = np.broadcast_to(np.asarray(texture.mix, np.float32), x.shape)
        colour: Field = lerp(first, second, mix) * texture.tone
        relief: Field = np.broadcast_to(np.asarray(texture.relief, np.float32), x.shape)
        gloss: Field = np.full(x.shape, texture.gloss, np.float32)
        for paint in dress.paints:
            colour = lerp(colour, np.array(paint.colour, np.float32)[:, None, None], paint.cover)
            gloss = gloss + (paint.gloss - gloss) * paint.cover
            relief = relief * (1.0 - paint.cover)
        return Body(distance * self.scale, (dress.height + relief) * self.scale, colour, gloss)


def draw(pattern: str, shape: str, *, colour: str | None = None, seed: int, size: int = 112) -> NDArray[np.uint8]:
    """A good product (S, S, 3); without `colour`, in one that its pattern comes in.

    Raises UsageError for a name that does not exist.
    """
    scene = _scene(pattern, shape, colour, seed)
    return _developed(photograph(scene.form(*grid(size)), scene.lamp), _sensor(scene, size))


def draw_pair(category: str, kind: str, *, colour: str | None = None, seed: int, size: int = 112) -> Pair:
    """A product of category `pattern-shape`, good and with a defect of `kind`; the good one does not depend on `kind`.

    Raises UsageError for a name that does not exist.
    """
    pattern, _, shape = category.partition("-")
    scene = _scene(pattern, shape, colour, seed)
    if kind not in DEFECTS:
        raise UsageError(f"no defect is named {kind!r}; there are {', '.join(DEFECTS)}")
    shots = _first_visible(scene, kind, size)
    noise = _sensor(scene, size)
    good, defective = (_developed(picture, noise) for picture in (shots.good, shots.defective))
    return Pair(good, defective, shots.mask, pattern, shape, scene.colour, kind)


@dataclass(frozen=True, slots=True)
class _Shots:
    good: Field
    defective: Field
    mask: NDArray[np.bool_]
    merit: float


def _first_visible(scene: _Scene, kind: str, size: int) -> _Shots:
    """The first attempt that shows at the reference size, drawn at `size`; so every size shows the same defect."""
    best: tuple[float, int, _Shots] | None = None
    body = scene.form(*grid(_REFERENCE))
    good = photograph(body, scene.lamp)
    for attempt in range(_TRIES):
        shots = _shoot(scene, kind, attempt, body, good)
        if best is None or shots.merit > best[0]:
            best = shots.merit, attempt, shots
        if shots.merit >= 1.0:
            break
    assert best is not None
    _, attempt, shots = best
    if size == _REFERENCE:
        return shots
    body = scene.form(*grid(size))
    return _shoot(scene, kind, attempt, body, photograph(body, scene.lamp))


def _shoot(scene: _Scene, kind: str, attempt: int, body: Body, good: Field) -> _Shots:
    size = good.shape[1]
    x, y = grid(size)
    rng = seeded(scene.seed, "defect", kind, scene.pattern.name, scene.shape.name, attempt)
    site = Spot(
        rng,
        x,
        y,
        2.0 / size,
        COLOURS[scene.colour],
        scene.second,
        scene.shape.name == "surface",
        scene.outline,
        scene.form,
    )
    damage = DEFECTS[kind](body, site)
    defective = photograph(damage.body, scene.lamp)
    change = _levels(defective).astype(np.int32) - _levels(good)
    change = np.abs(change).max(0)
    mask = _masked(damage, change)
    area = int(mask.sum())
    contrast = int(change[mask].sum()) / max(area, 1)
    visible = int((change[mask] > _PLAIN).sum()) / max(area, 1)
    return _Shots(good, defective, mask, min(contrast / CONTRAST, area / (MIN_AREA * size * size), 2.0 * visible))


def _masked(damage: Damage, change: NDArray[np.int32]) -> NDArray[np.bool_]:
    seen = change > _VISIBLE
    reach = max(1, round(seen.shape[0] / 56))
    if damage.region is not None:
        seen |= damage.region > 0.5
        reach = max(1, reach // 2)
    closed = ~_grown(~_grown(seen, reach), reach)
    filled: NDArray[np.bool_] = binary_fill_holes(closed | seen)
    return filled


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask with all within `by` steps to a side or corner, alternately."""
    for step in range(by):
        wide = mask.copy()
        wide[1:] |= mask[:-1]
        wide[:-1] |= mask[1:]
        rows = wide if step % 2 else mask
        wide = wide.copy()
        wide[:, 1:] |= rows[:, :-1]
        wide[:, :-1] |= rows[:, 1:]
        mask = wide
    return mask


def _levels(picture: Field) -> NDArray[np.int16]:
    levels: NDArray[np.int16] = np.clip(np.floor(picture * 255.0 + 0.5), 0.0, 255.0).astype(np.int16)
    return levels


def _developed(picture: Field, noise: NDArray[np.int16]) -> NDArray[np.uint8]:
    developed = np.clip(_levels(picture) + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(developed.transpose(1, 2, 0))


def _sensor(scene: _Scene, size: int) -> NDArray[np.int16]:
    """Sensor noise (3, S, S) of about two levels, nearly normal: the sum of four draws of four values each."""
    count = 3 * size * size
    raw = seeded(scene.seed, "sensor").bit_generator.random_raw((count + 7) // 8)
    bits = raw.astype("<u8").view(np.uint8)[:count].reshape(3, size, size)
    draws = [(bits >> np.uint8(shift)) & np.uint8(3) for shift in (0, 2, 4, 6)]
    noise: NDArray[np.int16] = (draws[0] + draws[1] + draws[2] + draws[3]).astype(np.int16) - np.int16(6)
    return noise


def _scene(pattern: str, shape: str, colour: str | None, seed: int) -> _Scene:
    for name, known, what in ((pattern, PATTERNS, "pattern"), (shape, SHAPES, "shape"), (colour, COLOURS, "colour")):
        if name is not None and name not in known:
            raise UsageError(f"no {what} is named {name!r}; there are {', '.join(known)}")
    rng = seeded(seed, "scene", pattern, shape)
    choices = PATTERNS[pattern].colours
    chosen = choices[pick(rng, len(choices))]
    colour = colour or chosen
    second = mate(PATTERNS[pattern], colour)
    bright = _brightness(COLOURS[colour])
    whole = shape == "surface"
    turn = between(rng, -1.0, 1.0) * SHAPES[shape].turn
    azimuth = math.pi * 1.30 + between(rng, -0.45, 0.45)
    across, down = direction(azimuth)
    backdrops = _DARK if bright > 0.62 else _PALE
    lamp = Lamp(
        (0.64 * across, 0.64 * down, 0.7684),
        backdrops[pick(rng, len(backdrops))] if not whole else _BELOW,
        (between(rng, -0.09, 0.09), between(rng, -0.09, 0.09)),
        seed,
    )
    return _Scene(
        PATTERNS[pattern],
        SHAPES[shape],
        colour,
        second,
        _PALE_PART if bright < 0.5 else _DARK_PART,
        tuple(between(rng, -1.0, 1.0) for _ in range(4)),
        turn,
        0.0 if whole else between(rng, -0.15, 0.15),
        1.0 if whole else between(rng, 0.92, 1.08),
        (between(rng, -0.06, 0.06), between(rng, -0.06, 0.06)),
        lamp,
        seed,
    )


_PALE: tuple[Colour, ...] = ((0.88, 0.88, 0.86), (0.80, 0.83, 0.86), (0.86, 0.83, 0.77))
_DARK: tuple[Colour, ...] = ((0.21, 0.23, 0.27), (0.17, 0.25, 0.33), (0.30, 0.28, 0.27))
_BELOW: Colour = (0.30, 0.28, 0.26)
_PALE_PART: Colour = (0.92, 0.90, 0.85)
_DARK_PART: Colour = (0.22, 0.24, 0.29)


def _brightness(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2]
