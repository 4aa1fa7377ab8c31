"""A prompt strategy in one file: how categories share stacks, and what stands in the class slot of every phrase.

Try it:

    stackclip check surface-or-object
    stackclip bench --methods fuzzy,surface-or-object
    stackclip bench --methods "surface-or-object[surfaces=wood+felt,head=efa]"
"""

from __future__ import annotations

import re

from stackclip.prompts import Encode
from stackclip.registry import prompts

SURFACES = ("carpet", "fabric", "grid", "leather", "marble", "mesh", "paper", "texture", "tile", "wood", "woven")


@prompts.register("surface-or-object")
class SurfaceOrObject:
    """Textures are called "surface" and everything else "object": between fuzzy's one word and precise's many.

    `surfaces` are the words in a category's name that make it a texture: `surface-or-object[surfaces=wood+felt]`.
    """

    epochs = 2

    def __init__(self, *, surfaces: tuple[str, ...] = SURFACES) -> None:
        self.surfaces = frozenset(surfaces)

    def stacks(self, categories: tuple[str, ...], encode: Encode) -> tuple[tuple[str, ...], ...]:
        """One stack of textures and one of objects; a stack that would be empty is left out."""
        textures = tuple(category for category in categories if self._is_surface(category))
        objects = tuple(category for category in categories if not self._is_surface(category))
        return tuple(stack for stack in (textures, objects) if stack)

    def subject(self, category: str, stack: tuple[str, ...], *, seen: bool) -> str:
        """The word of the stack: under the textures' stack even a bottle is a surface, and the weights decide."""
        return "surface" if self._is_surface(stack[0]) else "object"

    def _is_surface(self, name: str) -> bool:
        return not self.surfaces.isdisjoint(re.findall("[a-z]+", name.lower()))
