"""How the parts of an assembly lie, and what is wrong with that: one missing, surplus, swapped, of a wrong colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from numpy.random import Generator

from stackclip.synthetic.assemblies import AssemblyPlan, Slot
from stackclip.synthetic.dress import Colour
from stackclip.synthetic.fields import Point, between, direction, pick
from stackclip.synthetic.patch import Patch, patch_of
from stackclip.synthetic.patterns import PATTERNS, mate
from stackclip.synthetic.product import DARK_PART, PALE_PART, Product, brightness

__all__ = ["LOGICAL", "Arrangement", "Flaw", "Lying", "Pose", "lie"]


@dataclass(frozen=True, slots=True)
class Pose:
    """How the tray lies before the camera: turned, magnified and moved (radians and frame units)."""

    turn: float
    zoom: float
    shift: Point

    def seen(self, point: Point) -> Point:
        """Where a point of the tray is in the frame."""
        cosine, sine = direction(self.turn)
        x, y = self.zoom * point[0], self.zoom * point[1]
        return x * cosine - y * sine + self.shift[0], x * sine + y * cosine + self.shift[1]


@dataclass(frozen=True, slots=True)
class Lying:
    """One part as it lies: its kind, the product in its own frame, and where and how large that frame is."""

    part: str
    product: Product
    at: Point
    size: float
    drift: float

    def patch(self, size: int) -> Patch:
        """The part's square of a picture (size, size)."""
        return patch_of(self.product, self.at, self.size, size)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A defect of an arrangement: its name, which of its parts are wrong, and those that are not there."""

    name: str
    wrong: tuple[int, ...] = ()
    absent: tuple[Lying, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The parts that lie in a tray, the lowest first, and what is wrong with them."""

    lying: tuple[Lying, ...]
    flaws: tuple[Flaw, ...] = ()


def lie(assembly: AssemblyPlan, pose: Pose, rng: Generator) -> Arrangement:
    """A good arrangement: every part at its place, as freely as it may lie."""
    return Arrangement(tuple(_laid(assembly, place, pose, rng) for place in assembly.places))


def _laid(assembly: AssemblyPlan, place: Slot, pose: Pose, rng: Generator, colour: Colour | None = None) -> Lying:
    part = assembly.parts[place.part]
    pattern = PATTERNS[part.pattern]
    first = colour or place.colours[pick(rng, len(place.colours))]
    aside, away = direction(between(rng, -math.pi, math.pi)), place.drift * rng.random()
    at = pose.seen((place.at[0] + away * aside[0], place.at[1] + away * aside[1]))
    product = Product(
        pattern,
        part.shape,
        first,
        mate(pattern, first),
        PALE_PART if brightness(first) < 0.5 else DARK_PART,
        tuple(between(rng, -1.0, 1.0) for _ in range(4)),
        pose.turn + place.turn + between(rng, -1.0, 1.0) * place.sway,
        between(rng, -0.15, 0.15),
        pose.zoom * between(rng, 0.985, 1.015),
        (0.0, 0.0),
        pick(rng, 2**31),
    )
    return Lying(place.part, product, at, part.size, place.drift)


def missing(assembly: AssemblyPlan, good: Arrangement, pose: Pose, rng: Generator) -> Arrangement:
    """One part is not there, of each fourth arrangement two."""
    count = 2 if rng.random() < 0.25 else 1
    gone = _some(rng, range(len(good.lying)), count)
    kept = tuple(lying for number, lying in enumerate(good.lying) if number not in gone)
    flaws = (Flaw(f"missing_{good.lying[number].part}", absent=(good.lying[number],)) for number in gone)
    return Arrangement(kept, tuple(flaws))


def surplus(assembly: AssemblyPlan, good: Arrangement, pose: Pose, rng: Generator) -> Arrangement:
    """One part is there twice; which of both is too many cannot be told."""
    [number] = _some(rng, range(len(good.lying)), 1)
    place = assembly.places[number]
    second = _laid(assembly, replace(place, at=place.spare), pose, rng)
    flaw = Flaw(f"surplus_{place.part}", wrong=(number, len(good.lying)))
    return Arrangement((*good.lying, second), (flaw,))


def swapped(assembly: AssemblyPlan, good: Arrangement, pose: Pose, rng: Generator) -> Arrangement:
    """A part lies where another kind belongs; in half of the arrangements the two have changed places."""
    places = assembly.places
    pairs = [
        (here, there)
        for here in range(len(places))
        for there in range(len(places))
        if (places[here].part, places[here].colours) != (places[there].part, places[there].colours)
        and max(sizes := [assembly.parts[places[each].part].size for each in (here, there)]) <= 1.7 * min(sizes)
    ]
    here, there = pairs[pick(rng, len(pairs))]
    lying = list(good.lying)
    changed = ((here, there), (there, here)) if rng.random() < 0.5 else ((here, there),)
    for at, origin in changed:
        home, stranger = places[at], places[origin]
        lying[at] = _laid(assembly, replace(stranger, at=home.at, turn=stranger.turn), pose, rng)
    return Arrangement(tuple(lying), tuple(Flaw(f"swapped_{places[at].part}", wrong=(at,)) for at, _ in changed))


def wrong_colour(assembly: AssemblyPlan, good: Arrangement, pose: Pose, rng: Generator) -> Arrangement:
    """A part has a colour in which it never comes."""
    [number] = _some(rng, range(len(good.lying)), 1)
    place, lying = assembly.places[number], list(good.lying)
    lying[number] = _painted(lying[number], place.wrong[pick(rng, len(place.wrong))])
    return Arrangement(tuple(lying), (Flaw(f"wrong_colour_{place.part}", wrong=(number,)),))


def _painted(lying: Lying, colour: Colour) -> Lying:
    product = replace(lying.product, first=colour, second=mate(lying.product.pattern, colour))
    return replace(lying, product=product)


def _some(rng: Generator, among: Sequence[int], count: int) -> list[int]:
    left = list(among)
    return sorted(left.pop(pick(rng, len(left))) for _ in range(count))


Logical: TypeAlias = Callable[[AssemblyPlan, Arrangement, Pose, Generator], Arrangement]

LOGICAL: dict[str, Logical] = {
    "missing": missing,
    "surplus": surplus,
    "swapped": swapped,
    "wrong_colour": wrong_colour,
}
"""Every logical anomaly by its name."""
