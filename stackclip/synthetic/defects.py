"""The defects by name: each changes a product's outline, height or colour, or lies on it, and says where."""

from __future__ import annotations

from stackclip.synthetic.breakage import crack, cut, deformation, dent, hole, missing_part, scratch
from stackclip.synthetic.damage import Defect
from stackclip.synthetic.soiling import contamination, discoloration, fiber, misprint, stain

__all__ = ["DEFECTS"]

DEFECTS: dict[str, Defect] = {
    "scratch": scratch,
    "crack": crack,
    "stain": stain,
    "dent": dent,
    "contamination": contamination,
    "missing-part": missing_part,
    "misprint": misprint,
    "fiber": fiber,
    "discoloration": discoloration,
    "deformation": deformation,
    "hole": hole,
    "cut": cut,
}
"""Every kind of defect by its name."""
