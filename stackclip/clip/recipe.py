"""What a tower is loaded from and how: small facts that can be compared, kept and sent to another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, get_args

from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.defaults import BACKBONE
from stackclip.errors import UsageError
from stackclip.sizes import SizeLike, side_of

__all__ = [
    "PLAIN_TRAINING",
    "Activation",
    "Build",
    "BuildOptions",
    "LivePrecision",
    "LiveTraining",
    "Precision",
    "TowerOptions",
    "TowerRecipe",
]

Activation = Literal["native", "gelu", "quick-gelu"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
LivePrecision = Literal["fp32", "bf16"]


class BuildOptions(TypedDict, total=False):
    """The fields of `Build` as keyword arguments."""

    image_size: SizeLike | None
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

    `image_size` is the side of the picture in pixels, or its height and width, "336x672" or (336, 672); `layers` are
    the tapped blocks (1-based); None stands for the model's own size and for the quarters of its depth. `activation` is
    native (the tag's, else the model's), gelu or quick-gelu; `position_embedding` says how the grid of position
    embeddings is resized to another picture size (`stackclip.clip.positions`).
    """

    image_size: SizeLike | None = None
    layers: tuple[int, ...] | None = None
    activation: Activation = "native"
    position_embedding: Positions = DEFAULT_POSITIONS
    device: str = "auto"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Raise UsageError for what is no size of a picture; that of a square is kept as its side."""
        if self.image_size is not None:
            object.__setattr__(self, "image_size", side_of(self.image_size))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTraining:
    """How what trains inside a tower runs there.

    With `recompute` the image tower's activations are not kept for the backward pass, which runs each block once more.
    `micro_batch` pictures of a step go through at once, and their gradients are summed: the same step up to rounding,
    in the memory of so many pictures. `precision` are the numbers of the image tower's blocks, in training and in test,
    and of the matrix products of heads on cached features, in training; bf16 means autocast over float32 weights.
    """

    recompute: bool = False
    micro_batch: int | None = None
    precision: LivePrecision = "fp32"

    def __post_init__(self) -> None:
        """Raise UsageError for a micro-batch of no picture, and for numbers that nothing is trained in."""
        if self.micro_batch is not None and self.micro_batch < 1:
            raise UsageError(f"a micro-batch of {self.micro_batch} pictures; wanted 1 or more")
        if self.precision not in get_args(LivePrecision):
            raise UsageError(
                f"{self.precision!r} is no precision to train in, wanted {' or '.join(get_args(LivePrecision))}"
            )


PLAIN_TRAINING = LiveTraining()
