"""The tower of a recipe: what of it was changed_fields, how it is typed, and the last one that was loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from stackclip.clip.recipe import TowerRecipe
from stackclip.ops.typed import typed_again

if TYPE_CHECKING:
    from stackclip.clip import Tower

__all__ = ["LastTower", "changed_fields", "words_of"]

_FLAGS = {"picture_range": "--range"}


def changed_fields(recipe: TowerRecipe) -> dict[str, Any]:
    """The fields that are not as they are by default, the backbone first."""
    named = sorted(fields(recipe), key=lambda field: field.name != "backbone")
    found = {field.name: getattr(recipe, field.name) for field in named}
    return {field.name: found[field.name] for field in named if found[field.name] != field.default}


def words_of(recipe: TowerRecipe) -> Iterator[str]:
    """The words of a command line that make a tower; what is so by default is left out."""
    for name, value in changed_fields(recipe).items():
        yield _FLAGS.get(name, f"--{name.replace('_', '-')}")
        yield typed_again(map(str, value)) if isinstance(value, tuple) else str(value)


class LastTower:
    """The last tower that was loaded; two large ones need not fit in memory. A copy for another process is empty."""

    def __init__(self) -> None:
        self._recipe: TowerRecipe | None = None
        self._tower: Tower | None = None

    def __reduce__(self) -> tuple[type[LastTower], tuple[()]]:
        return LastTower, ()

    def of(self, recipe: TowerRecipe) -> Tower:
        """The tower of a recipe, loaded unless it is there; numbers below 1e-38 are zero in this thread from now on."""
        from stackclip.clip import flush_denormals, load_tower

        if self._tower is None or self._recipe != recipe:
            self._tower = None
            flush_denormals()
            self._recipe, self._tower = recipe, load_tower(recipe)
        return self._tower
