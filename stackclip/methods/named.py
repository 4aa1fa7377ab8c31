"""The methods with names of their own: APRIL-GAN, StackCLIP and plain CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from torch import nn

from stackclip.errors import BadOption
from stackclip.heads import HeadRecipe
from stackclip.heads.released import check_there, load_released
from stackclip.methods.composition import Composition
from stackclip.methods.method import Draw
from stackclip.methods.pipeline import Pipeline
from stackclip.methods.schedule import OPEN_CLIP_POSITIONS, check_shots
from stackclip.prompts import Strategy
from stackclip.registry import Removable, methods
from stackclip.types import TowerSpec

__all__ = ["april_gan", "clip", "stackclip"]


@dataclass(frozen=True, kw_only=True)
class AprilGanPipeline(Pipeline):
    """APRIL-GAN's own schedule: 15 epochs when training on VisA, else 3; learning rate 1e-3; batches of 8.

    `weights` is a file of linear layers that APRIL-GAN released, which are then not trained. `shots` normal pictures of
    each tested category are shown (`all`: all that there are; `auto`: as many as the bench says); `draw` says whether
    one may be drawn twice, as in the released code.
    """

    weights: Path | None = None
    shots: Annotated[int | Literal["all"] | None, Removable("distances to normal patches", off="0", if_typed=True)] = (
        None
    )
    draw: Draw = "distinct"

    takes_shots: ClassVar[bool] = True
    batch: ClassVar[int] = 8  # as released; the paper says 16
    released_positions: ClassVar[str] = OPEN_CLIP_POSITIONS

    def __post_init__(self) -> None:
        """Raise WeightsError for weights that are not there, BadOption where no head takes them."""
        Pipeline.__post_init__(self)
        check_there(self.weights)
        if self.weights is not None and self.head == "none":
            raise BadOption(f"weights={self.weights} are those of a head; wanted head=linear, found head=none")
        check_shots(self.shots)

    def schedule(self, strategy: Strategy, train_on: tuple[str, ...]) -> tuple[int, float]:
        """Epochs and learning rate of the released scripts."""
        epochs = (15 if "visa" in train_on else 3) if self.epochs is None else self.epochs
        return epochs, 1e-3 if self.lr is None else self.lr

    def begin_with(self, head: nn.Module) -> Mapping[str, Any] | None:
        """The released linear layers."""
        return None if self.weights is None else load_released(head, self.weights, owner="april-gan")

    def check_head(self, recipe: HeadRecipe, tower: TowerSpec) -> None:
        """Try the released layers on a head of one stack: precise prompts have no more."""
        if self.weights is not None:
            self.begin_with(recipe.build(tower, 1, seed=0))


april_gan = methods.register("april-gan")(
    Composition(
        "precise",
        """APRIL-GAN: per-layer linear heads under precise prompts and raw class names (Chen et al. 2023).

        With shots, distances to the patches of the normal pictures are added to the map, and the image score becomes
        the mean of the text score and the min-maxed map maximum (transductive).

        `weights` is a `trainable_linearlayer` that APRIL-GAN released: nothing is then trained. Those for 518 pixels
        want `--activation gelu`.
        """,
        pipeline=AprilGanPipeline,
        class_names="raw",
    )
)

stackclip = methods.register("stackclip")(
    Composition(
        "stacked",
        """StackCLIP: clustered stacked prompts, ensemble feature alignment, regulated prompts (FuzzyCLIP, section 2).

        Maps: at test a category is called by its own name followed by the names of each stack (equation 9). Image
        scores: one pair of prompts that was learned on the training pictures (equation 12); `learner=none` takes those
        of the prompt ensemble.
        """,
        head="efa",
        learner="rpl",
        test="object+cluster",
    )
)

clip = methods.register("clip")(
    Composition(
        "precise",
        """Plain CLIP: the image score of the prompt ensemble, without training or a map (FuzzyCLIP, table 1).""",
        head="none",
    )
)
