"""An assembly photographed from above, good or with one anomaly, with a mask and a saturation for each defect."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stackclip.errors import UsageError
from stackclip.synthetic.arrangement import LOGICAL, Arrangement, Flaw, Lying, Pose, lie
from stackclip.synthetic.assemblies import ASSEMBLIES, AssemblyPlan
from stackclip.synthetic.body import Lamp, grid, lit
from stackclip.synthetic.camera import developed, sensor
from stackclip.synthetic.fields import Field, between, direction, pick, ramp, seeded, soft
from stackclip.types import GOOD

__all__ = ["STRUCTURAL", "DrawnDefect", "Photo", "draw_assembly", "flaws_of"]

STRUCTURAL = {"scratch": "scratch", "stain": "stain", "break": "missing-part"}
"""The structural anomalies of an assembly by name, and the defect of one of its parts that each is."""
_STURDY = 0.5
"""Parts whose frames are larger are long and thin: a piece broken off would leave two of them."""


@dataclass(frozen=True, slots=True)
class DrawnDefect:
    """One defect of a photo: its name and where it is, (S, S) bool."""

    name: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Photo:
    """An assembly as it was photographed: pixels (S, S, 3) uint8, and its defects (none, if it is good)."""

    pixels: NDArray[np.uint8]
    defects: tuple[DrawnDefect, ...] = ()


def flaws_of(name: str, size: int) -> dict[str, int | None]:
    """Every defect that an assembly can have, with the pixels that suffice to find it at this size; None for all.

    A missing part is found where one has room, and of two parts in place of one it is enough to find one.
    """
    assembly = ASSEMBLIES[name]
    areas = {part: _area(assembly, part, size) for part in assembly.parts}
    counted: dict[str, int | None] = {
        f"{kind}_{part}": areas[part] for kind in ("missing", "surplus") for part in areas
    }
    others = (f"{kind}_{part}" for kind in ("swapped", "wrong_colour") for part in areas)
    return counted | dict.fromkeys((*others, *STRUCTURAL))


def draw_assembly(name: str, kind: str = GOOD, *, seed: int, size: int = 160) -> Photo:
    """An assembly of this name, good or with an anomaly of `kind` (one of LOGICAL or STRUCTURAL).

    The good assembly of a seed does not depend on `kind`. Raises UsageError for a name that does not exist.
    """
    for word, known, what in ((name, ASSEMBLIES, "assembly"), (kind, (GOOD, *LOGICAL, *STRUCTURAL), "anomaly")):
        if word not in known:
            raise UsageError(f"no {what} is named {word!r}; there are {', '.join(known)}")
    assembly, rng = ASSEMBLIES[name], seeded(seed, "assembly", name)
    pose = Pose(
        between(rng, -0.022, 0.022),
        between(rng, 0.985, 1.01),
        (between(rng, -0.018, 0.018), between(rng, -0.018, 0.018)),
    )
    lamp = _lamp(rng, seed)
    gain = lamp.falling(*grid(size)) * _tint(rng)
    arrangement = lie(assembly, pose, rng)
    own = seeded(seed, "anomaly", name, kind)
    if kind in LOGICAL:
        arrangement = LOGICAL[kind](assembly, arrangement, pose, own)
    picture = _ground(assembly, pose, lamp, seed, size)
    hurt = _hurt(arrangement, kind, own) if kind in STRUCTURAL else None
    defects = [_defect(flaw, arrangement, size) for flaw in arrangement.flaws]
    for lying in arrangement.lying:
        patch = lying.patch(size)
        if lying is hurt:
            defects.append(DrawnDefect(kind, patch.lay_damaged(picture, lamp, STRUCTURAL[kind], gain)))
        else:
            patch.lay(picture, lamp)
    pixels = developed(picture * gain, sensor(seed, size))
    return Photo(pixels, tuple(defects))


def _hurt(arrangement: Arrangement, kind: str, rng: Generator) -> Lying:
    """The part that is damaged."""
    free = [lying for lying in arrangement.lying if kind != "break" or lying.size <= _STURDY]
    return free[pick(rng, len(free))]


def _lamp(rng: Generator, seed: int) -> Lamp:
    right, down = direction(math.pi * 1.30 + between(rng, -0.30, 0.30))
    fall = between(rng, -0.08, 0.08), between(rng, -0.08, 0.08)
    return Lamp((0.64 * right, 0.64 * down, 0.7684), (0.0, 0.0, 0.0), fall, seed)


def _tint(rng: Generator) -> Field:
    """Exposure and white balance, (3, 1, 1)."""
    exposure = between(rng, 0.93, 1.05)
    return np.array([exposure * between(rng, 0.975, 1.025) for _ in range(3)], np.float32)[:, None, None]


def _ground(assembly: AssemblyPlan, pose: Pose, lamp: Lamp, seed: int, size: int) -> Field:
    """The light (3, S, S) of the empty tray."""
    x, y = grid(size)
    cosine, sine = direction(pose.turn)
    x, y = (x - pose.shift[0]) / pose.zoom, (y - pose.shift[1]) / pose.zoom
    x, y = x * cosine + y * sine, y * cosine - x * sine
    tray, edge = assembly.tray, 2.0 / size
    body = tray.surface(seeded(seed, "tray", assembly.name), x, y, edge)
    shade, shine = lit(body, lamp, edge)
    right, down, _ = lamp.light
    here, away = tray.walls(x, y), tray.walls(x + tray.rise * right, y + tray.rise * down)
    floor = ramp(here, -edge / 2.0, edge / 2.0)
    dim = 1.0 - floor * (0.42 * soft(away, 0.6 * tray.rise, -0.3 * tray.rise) + 0.22 * soft(here, 0.9 * tray.rise, 0.0))
    picture: Field = (body.colour * shade + shine) * dim
    return picture


def _defect(flaw: Flaw, arrangement: Arrangement, size: int) -> DrawnDefect:
    """Where a logical defect is: on the parts that are wrong, or where those that are absent have room."""
    mask = np.zeros((size, size), np.bool_)
    for number, lying in enumerate(arrangement.lying):
        # The parts are drawn one over the other, the last on top.
        covered = lying.patch(size).covered()
        mask = mask | covered if number in flaw.wrong else mask & ~covered
    for lying in flaw.absent:
        mask |= lying.patch(size).covered(lying.drift / lying.size)
    return DrawnDefect(flaw.name, mask)


def _area(assembly: AssemblyPlan, part: str, size: int) -> int:
    """The pixels of a part that lies as it is meant."""
    kind = assembly.parts[part]
    side = max(8, round(kind.size * size))
    return max(1, int((kind.shape.outline(*grid(side), (0.0,) * 4) < 0.0).sum()))
