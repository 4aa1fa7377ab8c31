"""What every make of image tower can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any

from torch import Tensor

from stackclip.clip.walk import Step
from stackclip.errors import NotApplicable
from stackclip.sizes import Size
from stackclip.types import GRID_POOL, OPEN_BLOCKS

__all__ = ["Make"]


class Make(ABC):
    """An image tower: its sizes, what it `lacks` (`stackclip.types.NEEDS`), its steps and how it reads tokens.

    `grid` are the rows and columns of patches, `depth` the number of blocks that can be tapped, `width` C, `joint` D.
    """

    visual: Any
    grid: Size
    depth: int
    width: int
    joint: int
    lacks: tuple[str, ...] = ()

    @abstractmethod
    def steps(self, pictures: Tensor, layers: Collection[int]) -> Iterator[Step]:
        """The steps of prepared pictures (B, 3, H, W), of which those of `layers` are looked at; 0 is the first."""

    @abstractmethod
    def patches(self, step: Step) -> Tensor:
        """The patch tokens (B, P, C) behind a step's block."""

    @abstractmethod
    def feature(self, step: Step) -> Tensor:
        """The image feature (B, D) at the step of the last block, however it is pooled."""

    @abstractmethod
    def alone(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C), each read as the image feature is read, as though there were no other: (..., D).

        Raises NotApplicable for a tower that cannot read one.
        """

    @abstractmethod
    def norm(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C) through the last norm. Raises NotApplicable for a tower whose norm reads no single ones."""

    def pool_by_value(self, step: Step) -> Tensor:
        """The patches (B, P, D) of the pool's attention at the last block, its values taken for queries and keys too.

        Raises NotApplicable for a tower without such a pool.
        """
        raise NotApplicable(f"that wants {GRID_POOL}, which this tower lacks")

    def whole(self, pictures: Tensor) -> Tensor:
        """The image features (B, D) of prepared pictures."""
        found: Any = self.visual(pictures)
        features: Tensor = found[0] if isinstance(found, tuple) else found  # captioning models give tokens too
        return features

    def opened(self, need: str = OPEN_BLOCKS) -> Any:
        """open_clip's own ViT, for what takes its blocks apart. Raises NotApplicable for a tower of another make."""
        raise NotApplicable(f"that wants {need}, which this tower lacks")
