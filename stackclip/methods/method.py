"""What a method is: it declares the parts it needs, begins on a task, learns by batches and looks at one category.

Second edition. A method has a clock (`Stage`, `Moment`) and two lifetimes: a `Detector` is one training, an `Inspector`
is that detector on one tested category, which is dropped with it. The base classes have the defaults, so that a method
says only what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stackclip.clip.image import ImageTower
from stackclip.clip.recipe import LivePrecision
from stackclip.errors import NotApplicable
from stackclip.learners import TextTower
from stackclip.ops.words import counted
from stackclip.prompts import Encode
from stackclip.types import Features, Part, Prediction, TowerSpec, in_view

__all__ = [
    "PHASES",
    "Detector",
    "Draw",
    "Inspector",
    "Method",
    "Moment",
    "Phase",
    "Stage",
    "Task",
    "Terms",
    "refuse_shots",
    "require_shots",
]

Phase = Literal["train", "shots", "calibrate", "test", "survey"]
"""When a method reads parts: of training pictures, of shots, of further normal pictures, of tested pictures one batch
at a time, and of all tested pictures of a category before it predicts the first (a transductive method)."""

PHASES: tuple[Phase, ...] = ("train", "shots", "calibrate", "test", "survey")

Draw = Literal["distinct", "with-replacement"]
"""Whether one normal picture may be drawn twice for the shots of a category, as in APRIL-GAN's released code."""

Terms = Mapping[str, float | Tensor]
"""The loss of a step by term: numbers, or on a device tensors of one number, which are read once an epoch."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a training: `epochs` passes over the training pictures, `batch` of them a step.

    Stages follow each other. `parts` are what its steps read; None: what the method needs for training. With `views`
    each epoch sees the pictures in one of them, in turn: what the method needs then are those parts in all views, and
    its steps are given them under plain names, masks moved alike.
    """

    name: str
    epochs: int
    batch: int
    parts: frozenset[Part] | None = None
    views: tuple[str, ...] = ("",)

    def steps(self, pictures: int) -> int:
        """The steps of one pass over so many pictures."""
        return -(-pictures // self.batch)

    def view(self, epoch: int) -> str:
        """The view of an epoch, counted from 0; empty for pictures as they are."""
        return self.views[epoch % len(self.views)]

    @property
    def needs(self) -> frozenset[Part]:
        """The parts that its steps read, in all views; none where it names none."""
        return frozenset[Part]().union(*(in_view(self.parts or (), view) for view in self.views))


@dataclass(frozen=True, slots=True)
class Moment:
    """When a step takes place: the stage, the epoch and the step in it from 0, and whether its epoch ends with it."""

    stage: Stage
    epoch: int
    step: int
    last: bool


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a method may know when it begins.

    `categories` are the training categories in the order of their data sets, `train_on` the published data
    sets that those are (`mvtec`, `visa`), however they were named, or else their own names. `pictures` is how many
    training pictures it can use. `batch_size`, `epochs` and `class_names` override the method's own where they are
    given. `shots` normal pictures a category will be shown before the test, `all` that there are. `text` and `image`
    are the live towers for what is learned through them; None where there is none. `micro_batch` pictures
    of a step go through them at once, all where it is None (`stackclip.methods.schedule.descend_by`). `precision` are
    the numbers of the large matrix products of training, for those who can take others than float32
    (`stackclip.methods.schedule.lower_products`).
    """

    tower: TowerSpec
    encode: Encode
    categories: tuple[str, ...]
    train_on: tuple[str, ...]
    seed: int
    device: torch.device
    epochs: int | None = None
    class_names: str | None = None
    shots: int | Literal["all"] = 0
    pictures: int = 0
    batch_size: int | None = None
    text: TextTower | None = None
    image: ImageTower | None = None
    micro_batch: int | None = None
    precision: LivePrecision = "fp32"

    def stage(self, name: str, *, epochs: int, batch: int, parts: frozenset[Part] | None = None) -> Stage:
        """A stage with a method's own `epochs` and `batch`, or those that the task says instead."""
        return self.adjusted(Stage(name, epochs, batch, parts))

    def adjusted(self, stage: Stage) -> Stage:
        """A method's own stage with the epochs and the batch size that the task says instead."""
        epochs = stage.epochs if self.epochs is None else self.epochs
        return replace(stage, epochs=epochs, batch=self.batch_size or stage.batch)


class Inspector:
    """What a detector is for one category. Subclass it, and say `predict`.

    `calibrated` is what was found out from normal pictures, as JSON can hold it; the rows of the category carry it.
    `why_no_graph` says why `predict` is more than arithmetic with tensors, so that it cannot be exported
    (`stackclip.export`); it is empty where it can.
    """

    calibrated: Mapping[str, Any] = MappingProxyType({})
    why_no_graph: str = ""

    def survey(self, tested: Callable[[], Iterator[Features]]) -> None:
        """Look at all tested pictures of the category, unlabelled, before any is predicted; here nothing is done.

        It is called once, of methods that need parts for the phase `survey`. Each `tested()` streams these parts of
        the pictures anew, in order; a batch holds until the next one comes.
        """

    def predict(self, features: Features) -> Prediction:
        """Scores (B,) and maps (B, H, W) of a batch."""
        raise NotApplicable("it predicts one category at a time, behind on()")

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        """The final scores (N,) of a whole category from its scores (N,) and map maxima (N,): here as they are.

        A method whose score is transductive (a min-max over the tested pictures) makes it here.
        """
        return scores


class Detector(nn.Module, Inspector):
    """A method at work on one task. Subclass it; one without training and shots says `predict` and `facts` alone.

    The runner calls `step` on every batch of every epoch of its `stages`, then for each tested category `on`, and
    `predict` and `settle` of what that gives. `facts` is what a reader of its rows should know: names, stacks, learning
    rate ... as JSON can hold it; `schedule` in it has what `schedule_of` gives for each part that it learns.
    `least_shots` normal pictures of a category are what it cannot do without; fewer are refused before it learns.
    """

    least_shots: int = 0
    stages: tuple[Stage, ...] = ()
    facts: Mapping[str, Any] = MappingProxyType({})

    @property
    def takes_shots(self) -> bool:
        """Whether it has a use for shots: it says `on` itself."""
        return type(self).on is not Detector.on

    def step(self, features: Features, at: Moment) -> Terms:
        """Learn from a batch and return the loss by term; `loss` is what was made smaller.

        The terms are means over the pictures of the batch. A method that waits for a batch of its own gives none.
        """
        raise NotApplicable("it learns nothing")

    def on(self, category: str, shots: Iterator[Features], normals: Iterator[Features]) -> Inspector:
        """Itself for one tested category, having seen its shots and, to calibrate by, further normal pictures.

        Both are streams whose batches hold until the next one comes: copy what is kept.
        Raises NotApplicable if it learns nothing from shots.
        """
        return self

    def training_state(self) -> dict[str, Any]:
        """What a training that is stopped needs beside `state_dict`, to go on with the same digits.

        Here the optimisers, schedules of rates and generators that are attributes of the detector.
        """
        kept = {name: each.state_dict() for name, each in vars(self).items() if isinstance(each, _STATEFUL)}
        generators = {name: each for name, each in vars(self).items() if isinstance(each, torch.Generator)}
        return {**kept, **{name: each.get_state() for name, each in generators.items()}}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take what `training_state` gave."""
        for name, each in state.items():
            owner = getattr(self, name)
            if isinstance(owner, torch.Generator):
                owner.set_state(each)
            else:
                owner.load_state_dict(each)


_STATEFUL = (Optimizer, LRScheduler)


class Method(Protocol):
    """What stands on the shelf `methods`, and what a prompt strategy becomes. Subclass it for the defaults.

    A method that is shown normal pictures may have the options `shots`, how many of each tested category (None: as many
    as the bench says), and `draw`. One that has to see whole pictures says in `why_no_tiles` what tiles do not show.
    """

    @property
    def why_no_tiles(self) -> str:
        """What it does that wants whole pictures, `counts the parts of a product`; empty where tiles will do."""
        return ""

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """The parts that it reads in a phase; it reads no files. Masks come with training pictures unasked.

        Raises NotApplicable for a tower that it cannot work on.
        """
        ...

    def check(self, tower: TowerSpec) -> None:
        """Read the files that it was given. Raises WeightsError for weights that do not fit the tower."""

    def begin(self, task: Task) -> Detector:
        """Stack the categories, encode the text, make the weights: all that happens before the first batch."""
        ...


def refuse_shots(shots: int | str) -> None:
    """Raise NotApplicable for any shots: what a zero-shot method does when it begins, before it trains in vain."""
    if shots:
        raise NotApplicable(f"it is zero-shot and learns nothing from {counted(shots, 'shot')}; april-gan takes them")


def require_shots(shots: int | str, least: int) -> None:
    """Raise NotApplicable for fewer shots than a method that learns from them cannot do without."""
    if isinstance(shots, int) and shots < least:
        raise NotApplicable(
            f"it learns from normal pictures of the tested category, and is shown {shots or 'none'}: add --shots 2, "
            "or [shots=2] to its name, with --good FOLDER in inspect"
        )
