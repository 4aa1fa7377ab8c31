"""A detector as it is deployed: a tower, what a method is for one category, and what that reads of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.errors import NotApplicable, UsageError
from stackclip.methods import Inspector
from stackclip.ops.given import prediction_of
from stackclip.types import NORMAL, PICTURE, UNLABELLED, Features, Part, Prediction, Sample

__all__ = ["Deployed", "check_inspector", "check_tower", "picture_of_object"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployed:
    """All that scores a picture of one category.

    `parts` are what the method reads of a tested picture, without the mask. `method` is its spec with options, `words`
    are those for the object, which stand for the category; `facts` what else is to be known of it, as JSON can hold it.
    """

    tower: Tower
    inspector: Inspector
    parts: frozenset[Part]
    method: str
    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, pictures: Tensor, *, rounded: bool = False) -> Prediction:
        """What the live detector says of prepared pictures (B, 3, H, W), float32.

        `rounded`: of parts in float16, as a store keeps them.
        """
        found = self.tower.encode(pictures, sorted(self.parts - {PICTURE}))
        if rounded:
            found = {part: tokens.half().float() for part, tokens in found.items()}
        if PICTURE in self.parts:
            found[PICTURE] = pictures
        samples = (picture_of_object(self.words),) * len(pictures)
        said = self.inspector.predict(Features(samples, found))
        return prediction_of(said, len(pictures), self.tower.spec.image_size)

    def check(self) -> None:
        """Raise NotApplicable with the reason why no graph can be made, and what `check_tower` raises."""
        check_tower(self.tower)
        check_inspector(self.inspector, self.method)
        if views := sorted(str(part) for part in self.parts if part.view):
            made = f"{', '.join(views)}, which are made of a picture before the tower sees it"
            raise NotApplicable(f"{self.method} is not exported: it reads {made}")

    def is_settled(self) -> bool:
        """Whether a picture's score is final as it is predicted, or else depends on the other tested pictures."""
        scores, peaks = torch.tensor([0.2, 0.3, 0.7]), torch.tensor([0.4, 0.8, 0.5])
        return torch.equal(self.inspector.settle(scores, peaks), scores)


def check_tower(tower: Tower) -> None:
    """Raise UsageError for a tower that does not run on the CPU in fp32, of which a graph is made."""
    if tower.device.type != "cpu" or tower.precision != "fp32":
        found = f"{tower.device.type} in {tower.precision}"
        raise UsageError(
            f"a graph is made of a tower on the CPU in fp32, found {found}: say --device cpu --precision fp32"
        )


def check_inspector(inspector: Inspector, method: str) -> None:
    """Raise NotApplicable where it is known of an inspector, or of a detector before it learns, that it is no graph."""
    reason = getattr(inspector, "why_no_graph", "")
    if type(inspector).survey is not Inspector.survey:
        reason = "it scores the tested pictures of a category by each other, and a graph sees them one by one"
    if reason:
        raise NotApplicable(f"{method} is not exported: {reason}")


def picture_of_object(words: str) -> Sample:
    """A sample that stands for any picture of an object, of which the words are all that is known."""
    return Sample("picture", "own", words, "test", Path("picture"), None, NORMAL, UNLABELLED)
