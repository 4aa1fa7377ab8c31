"""What a tower is loaded from and how: small facts that can be compared, kept and sent to another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.defaults import BACKBONE

__all__ = ["Activation", "Build", "BuildOptions", "Precision", "TowerOptions", "TowerRecipe"]

Activation = Literal["native", "gelu", "quick-gelu"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class BuildOptions(TypedDict, total=False):
    """The fields of `Build` as keyword arguments."""

    image_size: int | None
    layers: tuple[int, ...] | None
    activation: Activation
    position_embedding: Positions
    device: str
    precision: Precision


class TowerOptions(BuildOptions, total=False):
    """The fields of `TowerRecipe` behind the backbone, as keyword arguments."""

    pretrained: str | None
    weights: Path | None
    picture_range: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a tower is built, whatever its weights.

    `image_size` is the side of the picture in pixels, `layers` are the tapped blocks (1-based); None stands for the
    model's own size and for the quarters of its depth. `activation` is native (the tag's, else the model's), gelu or
    quick-gelu; `position_embedding` says how the grid of position embeddings is resized to another picture size
    (`stackclip.clip.positions`).
    """

    image_size: int | None = None
    layers: tuple[int, ...] | None = None
    activation: Activation = "native"
    position_embedding: Positions = DEFAULT_POSITIONS
    device: str = "auto"
    precision: Precision = "auto"


@dataclass(frozen=True, slots=True)
class TowerRecipe(Build):
    """All that `load_tower` is told: the backbone by name, whose weights it has, and how it is built.

    `picture_range` is black and white of pictures of more than 8 bits: `auto`, `file` or `MIN:MAX`.
    """

    backbone: str = BACKBONE
    pretrained: str | None = None
    weights: Path | None = None
    picture_range: str = "auto"

    @property
    def build(self) -> BuildOptions:
        """How it is built, as keyword arguments of `assemble_tower`."""
        return {
            "image_size": self.image_size,
            "layers": self.layers,
            "activation": self.activation,
            "position_embedding": self.position_embedding,
            "device": self.device,
            "precision": self.precision,
        }
