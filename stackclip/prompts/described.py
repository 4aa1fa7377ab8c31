"""What AA-CLIP calls a category: a few words for what is seen, in place of a name. The words are our own."""

from __future__ import annotations

from collections.abc import Mapping

from stackclip.data.names import category_name

__all__ = ["DESCRIPTIONS", "described"]

DESCRIPTIONS: Mapping[str, str] = {
    # MVTec-AD
    "bottle": "round glass bottle seen from above",
    "cable": "cross-section of a cable with three copper wires",
    "capsule": "two-coloured medicine capsule with print",
    "carpet": "woven grey carpet",
    "grid": "regular metal wire grid",
    "hazelnut": "brown hazelnut in its shell",
    "leather": "brown leather with a fine grain",
    "metal_nut": "metal nut with four lobes",
    "pill": "white oval pill with print and red specks",
    "screw": "metal screw with a pointed end",
    "tile": "speckled stone tile",
    "toothbrush": "toothbrush head with upright bristles",
    "transistor": "transistor with three legs on a circuit board",
    "wood": "wooden board with a straight grain",
    "zipper": "closed black zipper on cloth",
    # VisA
    "candle": "four small round white candles",
    "capsules": "heap of clear green capsules",
    "cashew": "single cashew nut",
    "chewinggum": "single white piece of chewing gum",
    "fryum": "fried snack shaped like a wheel",
    "macaroni1": "four pieces of yellow macaroni in rows",
    "macaroni2": "scattered pieces of macaroni",
    "pcb1": "circuit board of an ultrasonic distance sensor",
    "pcb2": "circuit board of an infrared sensor",
    "pcb3": "circuit board of a light sensor",
    "pcb4": "circuit board of a battery charger",
    "pipe_fryum": "fried snack shaped like a pipe",
}
"""For the categories of MVTec-AD and VisA; all others go by their natural names."""


def described(category: str) -> str:
    """The description of a category, or its natural name."""
    return DESCRIPTIONS.get(category.lower()) or category_name(category, style="natural")
