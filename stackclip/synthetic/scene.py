"""One product, good and defective: drawn from a seed, the same scene at every size, equal to the byte everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import UsageError
from stackclip.synthetic.body import Body, Lamp, grid, photograph
from stackclip.synthetic.camera import change, changed, developed, sensor
from stackclip.synthetic.damage import Defect, Spot
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.dress import Colour
from stackclip.synthetic.fields import Field, between, direction, pick, seeded
from stackclip.synthetic.goods import GOODS
from stackclip.synthetic.patterns import COLOURS, PATTERNS, mate
from stackclip.synthetic.product import DARK_PART, PALE_PART, Product, brightness
from stackclip.synthetic.shapes import SHAPES

__all__ = [
    "CONTRAST",
    "MIN_AREA",
    "PLAIN",
    "Pair",
    "Scene",
    "Subtlety",
    "draw",
    "draw_pair",
    "pair_of",
    "scene_of",
]

CONTRAST = 36.0
"""A defect is redrawn until the pictures differ by this many levels of 255, on average over its mask."""
MIN_AREA = 0.004
"""A defect is redrawn until its mask covers this much of the frame."""
_SHAPES = SHAPES | GOODS
_REFERENCE = 112
_TRIES = 16
_PLAIN = 20
"""A difference of good and defective in levels that the eye cannot miss."""


@dataclass(frozen=True, slots=True)
class Subtlety:
    """How hard a defect is to see: its size and its contrast, as shares of those of one that is hard to miss.

    What moved or took away something (deformation, missing-part) has no less contrast.
    """

    scale: float = 1.0
    strength: float = 1.0


PLAIN = Subtlety()


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
class Scene:
    """A product, the name of its colour, the lamp it lies under, and the seed that all draws follow from."""

    product: Product
    colour: str
    lamp: Lamp
    seed: int


def draw(pattern: str, shape: str, *, colour: str | None = None, seed: int, size: int = 112) -> NDArray[np.uint8]:
    """A good product (S, S, 3); without `colour`, in one that its pattern comes in.

    Raises UsageError for a name that does not exist.
    """
    scene = scene_of(pattern, shape, colour=colour, seed=seed)
    return developed(photograph(scene.product.form(*grid(size)), scene.lamp), sensor(scene.seed, size))


def draw_pair(
    category: str, kind: str, *, colour: str | None = None, seed: int, size: int = 112, subtlety: Subtlety = PLAIN
) -> Pair:
    """A product of category `pattern-shape`, good and with a defect of `kind`; the good one depends on neither.

    Raises UsageError for a name that does not exist.
    """
    pattern, _, shape = category.partition("-")
    scene = scene_of(pattern, shape, colour=colour, seed=seed)
    if kind not in DEFECTS:
        raise UsageError(f"no defect is named {kind!r}; there are {', '.join(DEFECTS)}")
    return pair_of(scene, kind, DEFECTS[kind], size=size, subtlety=subtlety)


def pair_of(scene: Scene, kind: str, defect: Defect, *, size: int = 112, subtlety: Subtlety = PLAIN) -> Pair:
    """The product of a scene, good and with a defect, which may be one of no name that is known."""
    shots = _first_visible(scene, kind, defect, size, subtlety)
    noise = sensor(scene.seed, size)
    good, defective = (developed(picture, noise) for picture in (shots.good, shots.defective))
    product = scene.product
    return Pair(good, defective, shots.mask, product.pattern.name, product.shape.name, scene.colour, kind)


@dataclass(frozen=True, slots=True)
class _Shots:
    good: Field
    defective: Field
    mask: NDArray[np.bool_]
    merit: float


def _first_visible(scene: Scene, kind: str, defect: Defect, size: int, subtlety: Subtlety) -> _Shots:
    """The first attempt that shows at the reference size, drawn at `size`; so every size shows the same defect."""
    best: tuple[float, int, _Shots] | None = None
    body = scene.product.form(*grid(_REFERENCE))
    good = photograph(body, scene.lamp)
    for attempt in range(_TRIES):
        shots = _shoot(scene, kind, defect, attempt, body, good, subtlety)
        if best is None or shots.merit > best[0]:
            best = shots.merit, attempt, shots
        if shots.merit >= 1.0:
            break
    assert best is not None
    _, attempt, shots = best
    if size == _REFERENCE:
        return shots
    body = scene.product.form(*grid(size))
    return _shoot(scene, kind, defect, attempt, body, photograph(body, scene.lamp), subtlety)


def _shoot(
    scene: Scene, kind: str, defect: Defect, attempt: int, body: Body, good: Field, subtlety: Subtlety
) -> _Shots:
    size = good.shape[1]
    x, y = grid(size)
    rng = seeded(scene.seed, "defect", kind, scene.product.pattern.name, scene.product.shape.name, attempt)
    site = Spot(
        rng,
        x,
        y,
        2.0 / size,
        scene.product.first,
        scene.product.second,
        scene.product.shape.name == "surface",
        subtlety.scale,
        scene.product.outline,
        scene.product.form,
    )
    damage = defect(body, site)
    defective = photograph(damage.body, scene.lamp)
    if damage.region is not None and subtlety.strength < 1.0:
        defective = good + (defective - good) * subtlety.strength
    difference = change(defective, good)
    mask = changed(difference, damage.region)
    area = int(mask.sum())
    contrast = int(difference[mask].sum()) / max(area, 1)
    visible = int((difference[mask] > _PLAIN * subtlety.strength).sum()) / max(area, 1)
    least = MIN_AREA * subtlety.scale * subtlety.scale
    merit = min(contrast / (CONTRAST * subtlety.strength), area / (least * size * size), 2.0 * visible)
    return _Shots(good, defective, mask, merit)


def scene_of(pattern: str, shape: str, *, colour: str | None = None, seed: int) -> Scene:
    """The scene that follows from names and a seed; raises UsageError for a name that does not exist."""
    for name, known, what in ((pattern, PATTERNS, "pattern"), (shape, _SHAPES, "shape"), (colour, COLOURS, "colour")):
        if name is not None and name not in known:
            raise UsageError(f"no {what} is named {name!r}; there are {', '.join(known)}")
    rng = seeded(seed, "scene", pattern, shape)
    choices = PATTERNS[pattern].colours
    chosen = choices[pick(rng, len(choices))]
    colour = colour or chosen
    second = mate(PATTERNS[pattern], COLOURS[colour])
    bright = brightness(COLOURS[colour])
    whole = shape == "surface"
    turn = between(rng, -1.0, 1.0) * _SHAPES[shape].turn
    azimuth = math.pi * 1.30 + between(rng, -0.45, 0.45)
    across, down = direction(azimuth)
    backdrops = _DARK if bright > 0.62 else _PALE
    lamp = Lamp(
        (0.64 * across, 0.64 * down, 0.7684),
        backdrops[pick(rng, len(backdrops))] if not whole else _BELOW,
        (between(rng, -0.09, 0.09), between(rng, -0.09, 0.09)),
        seed,
    )
    product = Product(
        PATTERNS[pattern],
        _SHAPES[shape],
        COLOURS[colour],
        second,
        PALE_PART if bright < 0.5 else DARK_PART,
        tuple(between(rng, -1.0, 1.0) for _ in range(4)),
        turn,
        0.0 if whole else between(rng, -0.15, 0.15),
        1.0 if whole else between(rng, 0.92, 1.08),
        (between(rng, -0.06, 0.06), between(rng, -0.06, 0.06)),
        seed,
    )
    return Scene(product, colour, lamp, seed)


_PALE: tuple[Colour, ...] = ((0.88, 0.88, 0.86), (0.80, 0.83, 0.86), (0.86, 0.83, 0.77))
_DARK: tuple[Colour, ...] = ((0.21, 0.23, 0.27), (0.17, 0.25, 0.33), (0.30, 0.28, 0.27))
_BELOW: Colour = (0.30, 0.28, 0.26)
