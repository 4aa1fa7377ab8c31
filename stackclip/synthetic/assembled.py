"""An assembly photographed from above, good or with one anomaly, with a mask and a saturation for each defect."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stackclip.errors import UsageError
from stackclip.synthetic.arrangement import LOGICAL, Arrangement, Flaw, Lying, Pose, lie
from stackclip.synthetic.assemblies import ASSEMBLIES, Assembly
from stackclip.synthetic.body import Body, Lamp, grid, laid, lit, shadow
from stackclip.synthetic.camera import change, changed, developed, sensor
from stackclip.synthetic.damage import Spot
from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.fields import Field, between, direction, pick, ramp, seeded, soft
from stackclip.synthetic.product import Product
from stackclip.types import GOOD

__all__ = ["STRUCTURAL", "Defect", "Photo", "draw_assembly", "flaws_of"]

STRUCTURAL = {"scratch": "scratch", "stain": "stain", "break": "missing-part"}
"""The structural anomalies of an assembly by name, and the defect of one of its parts that each is."""
_TRIES = 8
_PLAIN = 20.0


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect of a photo: its name and where it is, (S, S) bool."""

    name: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Photo:
    """An assembly as it was photographed: pixels (S, S, 3) uint8, and its defects (none, if it is good)."""

    pixels: NDArray[np.uint8]
    defects: tuple[Defect, ...] = ()


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


def draw_assembly(name: str, kind: str = GOOD, *, seed: int, size: int = 224) -> Photo:
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
    lamp, tint = _lamp(rng, seed), _tint(rng)
    arrangement = lie(assembly, pose, rng)
    own = seeded(seed, "anomaly", name, kind)
    if kind in LOGICAL:
        arrangement = LOGICAL[kind](assembly, arrangement, pose, own)
    picture = _ground(assembly, pose, lamp, seed, size)
    hurt = pick(own, len(arrangement.lying)) if kind in STRUCTURAL else None
    scars: list[Defect] = []
    for number, lying in enumerate(arrangement.lying):
        patch = _Patch(lying, size)
        scar = patch.lay(picture, lamp, STRUCTURAL[kind] if number == hurt else None)
        if scar is not None:
            scars.append(Defect(kind, scar))
    pixels = developed(picture * lamp.falling(*grid(size)) * tint, sensor(seed, size))
    return Photo(pixels, (*scars, *(_defect(flaw, arrangement, size) for flaw in arrangement.flaws)))


def _lamp(rng: Generator, seed: int) -> Lamp:
    right, down = direction(math.pi * 1.30 + between(rng, -0.30, 0.30))
    fall = between(rng, -0.08, 0.08), between(rng, -0.08, 0.08)
    return Lamp((0.64 * right, 0.64 * down, 0.7684), (0.0, 0.0, 0.0), fall, seed)


def _tint(rng: Generator) -> Field:
    """Exposure and white balance, (3, 1, 1)."""
    exposure = between(rng, 0.93, 1.05)
    return np.array([exposure * between(rng, 0.975, 1.025) for _ in range(3)], np.float32)[:, None, None]


def _ground(assembly: Assembly, pose: Pose, lamp: Lamp, seed: int, size: int) -> Field:
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


class _Patch:
    """The square of a picture (S, S) in which a part is drawn, in the part's own frame."""

    def __init__(self, lying: Lying, size: int) -> None:
        self.side = max(8, round(lying.size * size))
        self.size = size
        corner = [(at + 1.0) / 2.0 * size - self.side / 2.0 for at in lying.at]
        self.left, self.top = (round(each) for each in corner)
        shift = tuple(
            2.0 * (exact - whole) / self.side for exact, whole in zip(corner, (self.left, self.top), strict=True)
        )
        self.product = _moved(lying.product, shift[0], shift[1])

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the picture that the patch covers."""
        return (
            slice(max(self.top, 0), max(0, min(self.top + self.side, self.size))),
            slice(max(self.left, 0), max(0, min(self.left + self.side, self.size))),
        )

    @property
    def within(self) -> tuple[slice, slice]:
        """The rows and columns of the patch that the picture shows."""
        rows, columns = self.window
        return slice(rows.start - self.top, rows.stop - self.top), slice(
            columns.start - self.left, columns.stop - self.left
        )

    def distance(self) -> Field:
        """The signed distance to the part's outline (side, side), in units of its own frame."""
        return self.product.outline(*grid(self.side))

    def spread(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the patch as one of the picture."""
        whole = np.zeros((self.size, self.size), np.bool_)
        whole[self.window] = mask[self.within]
        return whole

    def lay(self, picture: Field, lamp: Lamp, defect: str | None) -> NDArray[np.bool_] | None:
        """Draw the part over a picture (3, S, S); with a defect also return where that is (S, S)."""
        body = self.product.form(*grid(self.side))
        ground = np.zeros((3, self.side, self.side), picture.dtype)
        ground[:, *self.within] = picture[:, *self.window]
        good = laid(ground * shadow(body, lamp), body, lamp)
        mask = None
        if defect is not None:
            good, mask = self._damaged(ground, body, good, lamp, defect)
        picture[:, *self.window] = good[:, *self.within]
        return None if mask is None else self.spread(mask)

    def _damaged(
        self, ground: Field, body: Body, good: Field, lamp: Lamp, defect: str
    ) -> tuple[Field, NDArray[np.bool_]]:
        """The most visible of some attempts, or the first that is plain."""
        best: tuple[float, Field, NDArray[np.bool_]] | None = None
        for attempt in range(_TRIES):
            rng = seeded(self.product.seed, "defect", defect, attempt)
            product = self.product
            site = Spot(
                rng,
                *grid(self.side),
                2.0 / self.side,
                product.first,
                product.second,
                False,
                1.0,
                product.outline,
                product.form,
            )
            damage = DEFECTS[defect](body, site)
            picture = laid(ground * shadow(damage.body, lamp), damage.body, lamp)
            difference = change(picture, good)
            mask = changed(difference, damage.region)
            merit = float(difference[mask].sum()) / max(int(mask.sum()), 1) * (int(mask.sum()) >= 12)
            if best is None or merit > best[0]:
                best = merit, picture, mask
            if merit >= _PLAIN:
                break
        assert best is not None
        return best[1], best[2]


def _moved(product: Product, right: float, down: float) -> Product:
    return replace(product, shift=(right, down))


def _defect(flaw: Flaw, arrangement: Arrangement, size: int) -> Defect:
    """Where a logical defect is: on the parts that are wrong, or where one that is absent has room."""
    mask = np.zeros((size, size), np.bool_)
    for number in flaw.wrong:
        patch = _Patch(arrangement.lying[number], size)
        part = patch.spread(patch.distance() < 0.0)
        for above in arrangement.lying[number + 1 :]:
            if not flaw.one_of:
                part &= ~_covered(above, size)
        mask |= part
    for lying in flaw.absent:
        patch = _Patch(lying, size)
        mask |= patch.spread(patch.distance() < lying.drift / lying.size)
    return Defect(flaw.name, mask)


def _covered(lying: Lying, size: int) -> NDArray[np.bool_]:
    patch = _Patch(lying, size)
    return patch.spread(patch.distance() < 0.0)


def _area(assembly: Assembly, part: str, size: int) -> int:
    """The pixels of a part that lies as it is meant."""
    kind = assembly.parts[part]
    side = max(8, round(kind.size * size))
    return max(1, int((kind.shape.outline(*grid(side), (0.0,) * 4) < 0.0).sum()))
