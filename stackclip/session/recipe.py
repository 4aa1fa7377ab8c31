"""The recipe of a tower: what of it was changed, how it is typed, and the last tower that was built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackclip.clip.recipe import TowerRecipe
from stackclip.ops.typed import typed_again

if TYPE_CHECKING:
    from stackclip.clip.known import KnownTower

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
        yield typed_again(map(str, value)) if type(value) is tuple else str(value)  # a size is one too, and one word


class LastTower:
    """The last tower that was built; two large ones need not fit in memory. A copy for another process is empty."""

    def __init__(self) -> None:
        self._recipe: TowerRecipe | None = None
        self._tower: KnownTower | None = None

    def __reduce__(self) -> tuple[type[LastTower], tuple[()]]:
        return LastTower, ()

    def of(self, recipe: TowerRecipe, known: Path) -> KnownTower:
        """The tower of a recipe, unless it is there; the folder `known` may say what it is, which is asked each time.

        Numbers below 1e-38 are zero in this thread from now on, and PyTorch has the threads that suit the tower.
        """
        from stackclip.clip.device import flush_denormals, settle_threads
        from stackclip.clip.known import find_tower

        if self._tower is None or self._recipe != recipe or not self._tower.tower.is_built:
            self._tower = None
            flush_denormals()
            self._recipe, self._tower = recipe, find_tower(recipe, known)
        tower = self._tower.tower
        settle_threads((tower.spec.patches + 1) * tower.spec.width, tower.device)
        return self._tower
