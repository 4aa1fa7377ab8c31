"""What a prompt learner is: text that is trained through the live text tower, against cached image features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from stackclip.prompts.ensemble import Overflow
from stackclip.types import Features, Part, TowerSpec

__all__ = ["Learner", "LearnerRecipe", "Lesson", "Overflow", "Placing", "TextTower"]

Placing = Literal["insert", "replace"]


class TextTower(Protocol):
    """The live text tower, frozen: what a learner may ask of it. Gradients pass through `encode_embedded`."""

    @property
    def context_length(self) -> int:
        """How many tokens it takes, start and end of text included: 77 for CLIP."""

    @property
    def text_depth(self) -> int:
        """How many layers it has."""

    def count_tokens(self, phrase: str) -> int:
        """How many tokens a phrase has, start and end of text included."""

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        """Token ids (N, L) of phrases, start and end of text included, padded with zeros."""

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings (N, L, W) of token ids (N, L), without positions."""

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        placing: Placing = "insert",
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        project: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Raw text features (N, D) of token embeddings; `deep` are tokens (L, W) of a text layer's own (1-based).

        `after` are functions called on the tokens behind a layer; `project` takes the place of the projection.
        """


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a learner is given when it is made.

    `subject` are the stacked names of the training categories, as many as fit; `anchors` (2, D) the frozen text
    features of their prompt ensemble, unit length.
    """

    text: TextTower
    subject: str
    anchors: Tensor
    seed: int


class Learner(Protocol):
    """Text features that are trained; an `nn.Module` whose parameters are the learned tokens alone."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a reader of its rows should know, as JSON can hold it."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """What it learns."""

    def loss(self, features: Features) -> Mapping[str, Tensor]:
        """The scalar `loss` of a training batch, with gradients, and the terms that it is made of by name."""

    def scores(self, features: Features) -> Tensor:
        """Image scores (B,): the higher, the more anomalous."""


class LearnerRecipe(Protocol):
    """What stands on the shelf `learners`: options complete, nothing learned yet."""

    @property
    def epochs(self) -> int:
        """How many passes over the training pictures it learns for."""

    @property
    def lr(self) -> float:
        """Adam's learning rate."""

    @property
    def overflow(self) -> Overflow:
        """What to do when the stacked names of all training categories do not fit the text tower."""

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that it reads, at training and at test."""

    def fits(self, text: TextTower, subject: str) -> bool:
        """Whether its prompts have room for a subject."""

    def build(self, lesson: Lesson) -> nn.Module:
        """A new `Learner`, initialised from its lesson alone."""
