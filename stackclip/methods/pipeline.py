"""How a prompt strategy is run as a method: the options of the pipeline, with a paper's schedule as their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from torch import nn

from stackclip.data.names import CategoryNames
from stackclip.heads import HeadRecipe
from stackclip.methods.schedule import check_schedule
from stackclip.ops.given import epochs_of
from stackclip.prompts import Strategy
from stackclip.registry import AtTest, From, heads, learners, selectors
from stackclip.types import TowerSpec

__all__ = ["Pipeline"]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """How a prompt strategy is run. Each field is an option of every prompt strategy's name.

    `head` is a head with options of its own (`efa[temperature=4]`), or `none`: no maps. `learner` is what learns to
    score pictures (`rpl[context=8]`), or `none`: the prompt ensemble scores them, without training. `image_score` is
    that text score, or its mean with the highest point of the map (text+map). `select` turns an ensemble into one
    vector. `class_names` says what categories are called: raw, spaced, natural or a JSON file. `epochs` and `lr` are
    the head's: the strategy's and the paper's unless given.
    """

    head: Annotated[str, From(heads, {"none": ()})] = "linear"
    learner: Annotated[str, From(learners, {"none": ()})] = "none"
    image_score: Annotated[Literal["text", "text+map"], AtTest] = "text"
    select: Annotated[str, From(selectors)] = "mean-of-unit"
    class_names: str = "spaced"
    epochs: int | None = None
    lr: float | None = None

    takes_shots: ClassVar[bool] = False
    batch: ClassVar[int] = 16  # pictures a step of the head: FuzzyCLIP, section 3.1
    released_positions: ClassVar[str] = ""  # how the method's own code resizes them, where there is one

    def __post_init__(self) -> None:
        """Raise what wrong class names raise, and BadOption for a schedule that none can follow."""
        CategoryNames(self.class_names)
        check_schedule(self.epochs, self.lr)

    def schedule(self, strategy: Strategy, train_on: tuple[str, ...]) -> tuple[int, float]:
        """Epochs and learning rate. FuzzyCLIP, section 3.1: 1e-4 when training on MVTec-AD, else 1e-3."""
        epochs = epochs_of(getattr(strategy, "epochs", 2)) if self.epochs is None else self.epochs
        rate = (1e-4 if "mvtec" in train_on else 1e-3) if self.lr is None else self.lr
        return epochs, rate

    def begin_with(self, head: nn.Module) -> Mapping[str, Any] | None:
        """Give a new head weights that were trained elsewhere, and return what its rows say of them; or neither."""
        return None

    def check_head(self, recipe: HeadRecipe, tower: TowerSpec) -> None:
        """Raise WeightsError for weights that were trained elsewhere and do not fit this head on this tower."""
