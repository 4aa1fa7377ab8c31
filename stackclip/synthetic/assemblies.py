"""The assemblies: which parts lie at which places of a tray, and how freely they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stackclip.synthetic.dress import Colour, Shape
from stackclip.synthetic.fields import Point
from stackclip.synthetic.goods import GOODS
from stackclip.synthetic.shapes import SHAPES
from stackclip.synthetic.trays import BOX, COLUMNS, PLATE, ROWS, TRAY, Tray

__all__ = ["ASSEMBLIES", "AssemblyPlan", "Piece", "Slot"]

_STEEL: Colour = (0.53, 0.54, 0.56)
_BRASS: Colour = (0.72, 0.54, 0.22)
_COPPER: Colour = (0.74, 0.41, 0.25)
_BLACK: Colour = (0.14, 0.14, 0.15)
_WHITE: Colour = (0.90, 0.90, 0.88)
_GREY: Colour = (0.55, 0.56, 0.57)
_BLUE: Colour = (0.13, 0.30, 0.62)
_RED: Colour = (0.72, 0.12, 0.12)
_GREEN: Colour = (0.14, 0.45, 0.25)
_ORANGE: Colour = (0.88, 0.45, 0.12)
_YELLOW: Colour = (0.90, 0.74, 0.20)
_PURPLE: Colour = (0.42, 0.22, 0.56)
_PINK: Colour = (0.87, 0.52, 0.60)


@dataclass(frozen=True, slots=True)
class Piece:
    """A kind of part: its shape, material, and `size`, half the side of its own frame in units of the picture's."""

    shape: Shape
    pattern: str
    size: float


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part lies: of which kind, in one of which colours, and never in which.

    It lies within `drift` of `at`, turned by `turn` and at most `sway` more (radians); a second one lies at `spare`.
    """

    part: str
    at: Point
    spare: Point
    colours: tuple[Colour, ...]
    wrong: tuple[Colour, ...]
    turn: float = 0.0
    sway: float = 0.12
    drift: float = 0.02


@dataclass(frozen=True, slots=True)
class AssemblyPlan:
    """A product that is made of parts: its tray, its kinds of parts by name, and its places."""

    name: str
    tray: Tray
    parts: Mapping[str, Piece]
    places: tuple[Slot, ...]


def _fasteners() -> AssemblyPlan:
    (left, middle, right), (top, bottom) = COLUMNS, ROWS
    metals, wrong = (_STEEL,), (_COPPER, _BLUE, _BLACK)
    loose = math.pi
    return AssemblyPlan(
        "fastener_tray",
        TRAY,
        {
            "screw": Piece(SHAPES["screw"], "brushed", 0.34),
            "nut": Piece(SHAPES["nut"], "brushed", 0.25),
            "bracket": Piece(SHAPES["bracket"], "brushed", 0.36),
            "washer": Piece(GOODS["washer"], "brushed", 0.21),
            "gear": Piece(SHAPES["gear"], "brushed", 0.31),
            "bushing": Piece(SHAPES["tube"], "brushed", 0.22),
        },
        (
            Slot("screw", (left - 0.105, top), (left, top), metals, wrong, sway=0.14),
            Slot("screw", (left + 0.115, top), (left, top), metals, wrong, math.pi, 0.14),
            Slot("nut", (middle, top - 0.20), (middle + 0.06, top), metals, wrong, 0.0, loose),
            Slot("nut", (middle, top + 0.20), (middle - 0.06, top), metals, wrong, 0.0, loose),
            Slot("bracket", (right, top), (right + 0.02, top + 0.13), metals, wrong, 0.0, 0.25, 0.03),
            Slot("washer", (left, bottom - 0.25), (left + 0.09, bottom - 0.12), metals, wrong, 0.0, loose),
            Slot("washer", (left - 0.04, bottom), (left + 0.08, bottom + 0.12), metals, wrong, 0.0, loose),
            Slot("washer", (left + 0.02, bottom + 0.25), (left - 0.08, bottom + 0.13), metals, wrong, 0.0, loose),
            Slot("gear", (middle, bottom - 0.05), (middle, bottom + 0.22), (_BRASS,), wrong, 0.0, math.pi, 0.03),
            Slot("bushing", (right, bottom - 0.19), (right, bottom), (_BRASS,), (_STEEL, *wrong), 0.0, 0.35),
            Slot("bushing", (right, bottom + 0.19), (right, bottom), (_BRASS,), (_STEEL, *wrong), 0.0, 0.35),
        ),
    )


def _pencil_box() -> AssemblyPlan:
    wrong = (_ORANGE, _PURPLE, _YELLOW)
    return AssemblyPlan(
        "pencil_box",
        BOX,
        {
            "pen": Piece(GOODS["pen"], "plain", 0.86),
            "eraser": Piece(GOODS["eraser"], "plain", 0.40),
            "sharpener": Piece(GOODS["sharpener"], "brushed", 0.33),
        },
        (
            Slot("pen", (-0.64, 0.0), (-0.46, 0.02), (_BLUE,), wrong, 0.0, 0.035),
            Slot("pen", (-0.28, 0.0), (-0.46, 0.02), (_RED,), wrong, 0.0, 0.035),
            Slot("pen", (0.08, 0.0), (-0.10, 0.02), (_BLACK,), wrong, 0.0, 0.035),
            Slot("eraser", (0.61, -0.38), (0.58, 0.03), (_WHITE, _PINK), (_GREEN, _BLUE), 0.0, 0.16, 0.03),
            Slot("sharpener", (0.61, 0.46), (0.63, 0.08), (_STEEL,), (_BRASS, _COPPER, _BLUE), 0.0, 0.5, 0.04),
        ),
    )


def _connectors() -> AssemblyPlan:
    row, wrong = -0.36, (_RED, _PURPLE, _YELLOW)
    colours = (_GREY, _GREY, _BLUE, _ORANGE, _GREEN)
    terminals = tuple(
        Slot("terminal", (-0.60 + 0.27 * number, row), (-0.60 + 0.27 * 5, row), (colour,), wrong, 0.0, 0.015, 0.008)
        for number, colour in enumerate(colours)
    )
    return AssemblyPlan(
        "connector_plate",
        PLATE,
        {
            "terminal": Piece(GOODS["terminal"], "plain", 0.42),
            "plug": Piece(GOODS["plug"], "plain", 0.40),
            "fuse": Piece(GOODS["fuse"], "plain", 0.32),
        },
        (
            *terminals,
            Slot("plug", (-0.50, 0.47), (-0.06, 0.50), (_WHITE,), (_GREEN, _BLUE, _BLACK), 0.0, 0.12, 0.03),
            Slot("fuse", (0.30, 0.47), (0.48, 0.47), (_YELLOW,), (_GREEN, _RED, _BLUE), 0.0, 0.20, 0.02),
            Slot("fuse", (0.66, 0.47), (0.48, 0.47), (_YELLOW,), (_GREEN, _RED, _BLUE), 0.0, 0.20, 0.02),
        ),
    )


ASSEMBLIES: dict[str, AssemblyPlan] = {each.name: each for each in (_fasteners(), _pencil_box(), _connectors())}
"""Every assembly by its name."""
