"""What a method is: it declares the parts it needs, begins on a task, learns by batches and predicts by batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from stackclip.errors import BadOption, NotApplicable
from stackclip.learners import TextTower
from stackclip.ops.words import counted
from stackclip.prompts import Encode
from stackclip.types import Features, Part, Prediction, TowerSpec

__all__ = [
    "BETAS",
    "BILINEAR_POSITIONS",
    "OPEN_CLIP_POSITIONS",
    "Detector",
    "Draw",
    "Method",
    "Task",
    "check_schedule",
    "check_shots",
    "check_sigma",
    "descend",
    "refuse_shots",
    "schedule_of",
]

BETAS = (0.5, 0.999)  # of Adam, in the released code of APRIL-GAN and of AnomalyCLIP

OPEN_CLIP_POSITIONS, BILINEAR_POSITIONS = "bicubic-antialias", "bilinear"
"""How released code resizes position embeddings; a method says it as its fact `released_positions`."""

Draw = Literal["distinct", "with-replacement"]
"""Whether one normal picture may be drawn twice for the shots of a category, as in APRIL-GAN's released code."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a method may know when it begins.

    `categories` are the training categories in the order of their data sets, `train_on` the published data
    sets that those are (`mvtec`, `visa`), however they were named, or else their own names. `pictures` is how many
    training pictures there are: an epoch ends when as many were seen (0: nobody counts, and nothing that is shorter
    than the whole training ends before it). `batch_size` is how many come at a time.
    `epochs` and `class_names` override the method's own where they are given. `shots` normal pictures a category will
    be shown before the test. `text` is the live text tower for what is learned through it; None where there is none.
    """

    tower: TowerSpec
    encode: Encode
    categories: tuple[str, ...]
    train_on: tuple[str, ...]
    seed: int
    device: torch.device
    epochs: int | None = None
    class_names: str | None = None
    shots: int = 0
    pictures: int = 0
    batch_size: int = 8
    text: TextTower | None = None


class Detector(Protocol):
    """A method at work on one task.

    The runner calls `step` on every batch of `epochs` passes over the training pictures, then `remember` where shots
    are given, then `predict`. `state_dict` and `load_state_dict` are those of `nn.Module`: what was learned.
    """

    @property
    def epochs(self) -> int:
        """How many passes over the training pictures it wants; 0 if it does not train."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a reader of its rows should know: names, stacks, learning rate ... as JSON can hold it.

        `schedule` has what `schedule_of` gives for each part that it learns, by the part's name.
        """

    def step(self, features: Features) -> Mapping[str, float]:
        """Learn from a batch and return the loss by term; `loss` is what was made smaller.

        The terms are means over the pictures of the batch. A method that waits for a batch of its own gives none.
        """

    def remember(self, category: str, features: Features) -> None:
        """Look at the shots of a category that will be tested. Raises NotApplicable if it learns nothing from them."""

    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) of a batch."""

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The final scores (N,) of a whole category from its scores (N,) and map maxima (N,).

        A method whose score is transductive (a min-max over the tested pictures) makes it here; others change nothing.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """Take what was learned before."""


class Method(Protocol):
    """What stands on the shelf `methods`, and what a prompt strategy becomes.

    A method that is shown normal pictures may have the options `shots`, how many of each tested category (None: as many
    as the bench says), and `draw`.
    """

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that it reads at training and at test.

        Raises NotApplicable for a tower that it cannot work on, WeightsError for weights that do not fit the tower.
        """

    def begin(self, task: Task) -> Detector:
        """Group the categories, encode the text, make the weights: all that happens before the first batch."""


def descend(optimiser: Optimizer, terms: Mapping[str, Tensor]) -> dict[str, float]:
    """One step down the gradient of the term `loss`; returns the values of all terms."""
    optimiser.zero_grad(set_to_none=True)
    terms["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimiser.step()
    return {name: term.item() for name, term in terms.items()}


def schedule_of(task: Task, *, epochs: int, lr: float) -> dict[str, Any]:
    """How one learned part of a method is trained when it steps on every batch: epochs, rate, batch size and steps."""
    steps = epochs * -(-task.pictures // task.batch_size)
    return {"epochs": epochs, "lr": lr, "batch": task.batch_size, "steps": steps}


def check_schedule(epochs: int | None, lr: float | None) -> None:
    """Raise BadOption for a schedule that none can follow; None is what the method chooses."""
    if epochs is not None and epochs < 0:
        raise BadOption(f"epochs={epochs}; wanted 0 or more")
    if lr is not None and not 0 < lr < float("inf"):
        raise BadOption(f"lr={lr}; wanted a number above 0")


def check_shots(shots: int | None) -> None:
    """Raise BadOption for a number of shots below 0."""
    if shots is not None and shots < 0:
        raise BadOption(f"shots={shots}; wanted 0 or more")


def check_sigma(sigma: float | None) -> None:
    """Raise BadOption for a Gaussian that there is not; None is what the method chooses."""
    if sigma is not None and not 0 <= sigma < float("inf"):
        raise BadOption(f"sigma={sigma}; wanted 0 pixels or more")


def refuse_shots(shots: int) -> None:
    """Raise NotApplicable for any shots: what a zero-shot method does when it begins, before it trains in vain."""
    if shots:
        raise NotApplicable(f"it is zero-shot and learns nothing from {counted(shots, 'shot')}; april-gan takes them")
