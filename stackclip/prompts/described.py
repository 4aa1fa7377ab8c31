"""What AA-CLIP calls a category: a few words for what is seen, in place of a name. The words are our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

from stackclip.data.names import category_name

__all__ = ["DESCRIPTIONS", "described"]

DESCRIPTIONS: Mapping[str, str] = json.loads(files(__package__).joinpath("descriptions.json").read_text("utf-8"))
"""For the categories of MVTec-AD and VisA; all others go by their natural names.

Words of one's own stand in such a file too: `class_names=FILE.json`.
"""


def described(category: str) -> str:
    """The description of a category, or its natural name."""
    return DESCRIPTIONS.get(category.lower()) or category_name(category, style="natural")
