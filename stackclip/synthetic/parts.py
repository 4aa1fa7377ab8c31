"""Which categories and kinds of defects are learned from, and which are kept to be met for the first time."""

from __future__ import annotations

from typing import Literal, TypeAlias

from stackclip.synthetic.defects import DEFECTS
from stackclip.synthetic.fields import between, seeded
from stackclip.synthetic.patterns import PATTERNS
from stackclip.synthetic.scene import PLAIN, Subtlety
from stackclip.synthetic.shapes import SHAPES

__all__ = ["PARTS", "PartName", "categories_of", "kinds_of", "shapes_of", "spread", "subtlety_of"]

PartName: TypeAlias = Literal["training", "combinations", "shapes", "defects", "novel"]
PARTS: tuple[PartName, ...] = ("training", "combinations", "shapes", "defects", "novel")

_NOVEL_SHAPES = ("gear", "cable")
_NOVEL_KINDS = ("hole", "cut")
_HELD = 40


def _known_shapes() -> tuple[str, ...]:
    return tuple(shape for shape in SHAPES if shape not in _NOVEL_SHAPES)


def _held_combinations() -> tuple[str, ...]:
    """Forty of the known patterns and shapes that never meet in training.

    Three diagonals of the table of patterns and shapes, less two cells: each pattern and each shape is held out about
    three times, and is learned from with all others.
    """
    patterns, shapes = tuple(PATTERNS), _known_shapes()
    diagonals = [
        f"{patterns[(3 * row + 5 * step) % len(patterns)]}-{shape}"
        for step in range(3)
        for row, shape in enumerate(shapes)
    ]
    return tuple(diagonals[:_HELD])


def categories_of(part: PartName) -> tuple[str, ...]:
    """All categories `pattern-shape` of a part.

    `training`: known patterns on known shapes, 156. `combinations`: 40 pairs of a known pattern and a known shape that
    never meet in training. `shapes`: all patterns on gears and cables, which training never shows. `defects`: the
    categories of `combinations`, with kinds of defects that training never shows. `novel`: the categories of
    `combinations` and `shapes`, with every kind of defect, often small and faint.
    """
    if part == "novel":
        return categories_of("shapes") + categories_of("combinations")
    if part == "shapes":
        return tuple(f"{pattern}-{shape}" for shape in _NOVEL_SHAPES for pattern in PATTERNS)
    held = _held_combinations()
    if part != "training":
        return held
    every = (f"{pattern}-{shape}" for shape in _known_shapes() for pattern in PATTERNS)
    return tuple(category for category in every if category not in held)


def shapes_of(part: PartName) -> tuple[str, ...]:
    """The shapes of the categories of a part, sorted."""
    return tuple(sorted({category.partition("-")[2] for category in categories_of(part)}))


def kinds_of(part: PartName) -> tuple[str, ...]:
    """The kinds of defects of a part: hole and cut for `defects`, all for `novel`, all others otherwise."""
    if part == "novel":
        return tuple(DEFECTS)
    return tuple(kind for kind in DEFECTS if (kind in _NOVEL_KINDS) == (part == "defects"))


def subtlety_of(part: PartName, seed: int) -> Subtlety:
    """How hard the defect of a picture is to see: somewhat, and differently, in `novel`."""
    if part != "novel":
        return PLAIN
    rng = seeded(seed, "subtlety")
    return Subtlety(between(rng, 0.6, 1.0), between(rng, 0.5, 1.0))


def spread(part: PartName, count: int) -> tuple[str, ...]:
    """`count` categories of a part, sorted: a quarter surfaces, patterns and shapes repeated as little as can be."""
    left = list(categories_of(part))
    uses: dict[str, int] = {}
    chosen: list[str] = []
    while left and len(chosen) < count:
        surfaces = [category for category in left if category.endswith("-surface")]
        rest = [category for category in left if category not in surfaces]
        among = surfaces if surfaces and (len(chosen) % 4 == 0 or not rest) else rest
        best = min(among, key=lambda category: sum(uses.get(name, 0) for name in category.split("-")))
        left.remove(best)
        chosen.append(best)
        for name in best.split("-"):
            uses[name] = uses.get(name, 0) + 1
    return tuple(sorted(chosen))
