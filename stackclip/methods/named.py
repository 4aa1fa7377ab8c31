"""The methods with names of their own: APRIL-GAN, StackCLIP and plain CLIP."""

from __future__ import annotations

from dataclasses import dataclass

from stackclip.methods.prompted import Composition, Pipeline
from stackclip.prompts import Strategy
from stackclip.registry import methods

__all__ = ["april_gan", "clip", "stackclip"]


@dataclass(frozen=True, kw_only=True)
class AprilGanPipeline(Pipeline):
    """APRIL-GAN's own schedule: 15 epochs when training on VisA, else 3; learning rate 1e-3."""

    def schedule(self, strategy: Strategy, train_on: tuple[str, ...]) -> tuple[int, float]:
        """Epochs and learning rate of the released scripts."""
        epochs = (15 if "visa" in train_on else 3) if self.epochs is None else self.epochs
        return epochs, 1e-3 if self.lr is None else self.lr


april_gan = methods.register("april-gan")(
    Composition(
        "precise",
        """APRIL-GAN: per-layer linear heads under precise prompts and raw class names (Chen et al. 2023).

        With shots, distances to the patches of the normal pictures are added to the map, and the image score becomes
        the mean of the text score and the min-maxed map maximum (transductive).
        """,
        pipeline=AprilGanPipeline,
        class_names="raw",
        few_shot=True,
    )
)

stackclip = methods.register("stackclip")(
    Composition(
        "stacked",
        """StackCLIP: clustered stacked prompts and ensemble feature alignment (FuzzyCLIP, sections 2.2 and 2.3).

        At test a category is called by its own name followed by the names of each stack (equation 9).
        """,
        head="efa",
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
