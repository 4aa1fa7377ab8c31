"""How a tower is made, in plain words and numbers; and the last one that was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from stackclip.defaults import BACKBONE
from stackclip.ops.typed import typed_again

if TYPE_CHECKING:
    from stackclip.clip import Tower
    from stackclip.clip.loading import Activation, Precision
    from stackclip.clip.positions import Positions

__all__ = ["LastTower", "TowerRecipe"]

_FLAGS = {"picture_range": "--range"}


@dataclass(frozen=True, slots=True)
class TowerRecipe:
    """A backbone with its weights, picture size, tapped layers and precision, as the options of the verbs name them.

    `backbone` is a registered name, or a ViT of open_clip with `pretrained` (a tag) or `weights` (a file).
    `image_size` is the side of the picture in pixels, `layers` are the tapped blocks (1-based; else quarters).
    `picture_range` is black and white of pictures of more than 8 bits: `auto`, `file` or `MIN:MAX`.
    """

    backbone: str = BACKBONE
    pretrained: str | None = None
    weights: Path | None = None
    activation: Activation = "native"
    position_embedding: Positions = "bicubic-antialias"
    image_size: int | None = None
    picture_range: str = "auto"
    layers: tuple[int, ...] | None = None
    device: str = "auto"
    precision: Precision = "auto"

    def load(self) -> Tower:
        """The tower; numbers below 1e-38 are zero in this thread from now on. Raises what `load_tower` raises."""
        from stackclip.clip import flush_denormals, load_tower

        flush_denormals()
        tower = load_tower(
            self.backbone,
            pretrained=self.pretrained,
            weights=self.weights and Path(self.weights),
            image_size=self.image_size,
            layers=self.layers and tuple(self.layers),
            activation=self.activation,
            position_embedding=self.position_embedding,
            device=self.device,
            precision=self.precision,
        )
        return tower.with_range(self.picture_range)

    @property
    def explicit(self) -> frozenset[str]:
        """The fields that are not as they are by default."""
        return frozenset(each.name for each in fields(self) if getattr(self, each.name) != each.default)

    def options(self) -> Iterator[str]:
        """The words of a command line that make this tower; what is so by default is left out."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in self.explicit:
                yield _FLAGS.get(field.name, f"--{field.name.replace('_', '-')}")
                yield typed_again(map(str, value)) if isinstance(value, tuple) else str(value)


class LastTower:
    """The last tower that was loaded; two large ones need not fit in memory. A copy for another process is empty."""

    def __init__(self) -> None:
        self._recipe: TowerRecipe | None = None
        self._tower: Tower | None = None

    def __reduce__(self) -> tuple[type[LastTower], tuple[()]]:
        return LastTower, ()

    def of(self, recipe: TowerRecipe) -> Tower:
        """The tower of a recipe, loaded unless it is there."""
        if self._tower is None or self._recipe != recipe:
            self._tower = None
            self._recipe, self._tower = recipe, recipe.load()
        return self._tower
