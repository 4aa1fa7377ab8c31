"""What is remembered: normal patch tokens and how far others are from them, and what a survey found of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from stackclip.errors import NotApplicable
from stackclip.ops.maps import pixels, unit
from stackclip.ops.neighbours import Bank
from stackclip.types import Features, Part, Sample, TowerSpec

__all__ = ["PatchMemory", "Surveyed", "survey_of"]


class PatchMemory:
    """The unit patch tokens of one category's shots, layer by layer (APRIL-GAN, few-shot)."""

    def __init__(self, tower: TowerSpec, shots: Iterable[Features], parts: Sequence[Part] | None = None) -> None:
        """Keep all patches of the shots: (shots * P, C) of each of `parts`, which are the tower's taps unless given.

        Raises UsageError where there are none.
        """
        self.frame, parts = tower.frame, tower.taps if parts is None else parts
        tokens = [[unit(features[part]).flatten(0, 1) for part in parts] for features in shots]
        empty = torch.empty(0, tower.width)
        self._banks = {
            part: Bank(torch.cat([each[at] for each in tokens]) if tokens else empty) for at, part in enumerate(parts)
        }

    def maps(self, features: Features) -> Tensor:
        """Sum over parts of the upsampled 1 - cos to the nearest remembered patch: (B, H, W)."""
        return torch.stack([self._map(features, row) for row in range(len(features))])

    def distances(self, features: Features, row: int) -> Tensor:
        """1 - cos of each patch of a picture to the nearest remembered one, in each of K parts: (K, P)."""
        return torch.stack([bank.distances(features[part][row]) for part, bank in self._banks.items()])

    def _map(self, features: Features, row: int) -> Tensor:
        return torch.stack([pixels(each, self.frame) for each in self.distances(features, row)]).sum(0)


class Surveyed:
    """What a transductive method found of each tested picture of a category, for when it is asked of some of them."""

    def __init__(self, samples: Sequence[Sample], *found: Tensor) -> None:
        """Keep the rows of each of `found` (N, ...)."""
        self._found = dict(zip(samples, zip(*found, strict=True), strict=True))

    def of(self, samples: Sequence[Sample]) -> list[Tensor]:
        """The rows of some of the pictures, of each that was found: (B, ...). Raises NotApplicable for others."""
        if other := next((each for each in samples if each not in self._found), None):
            raise NotApplicable(f"it scores pictures by each other, and {other.key} was not among those it surveyed")
        return [torch.stack(each) for each in zip(*(self._found[each] for each in samples), strict=True)]


def survey_of(tested: Callable[[], Iterator[Features]], part: Part) -> tuple[list[Sample], Tensor]:
    """All tested pictures and a part of each (N, ...). Raises NotApplicable for fewer than two: they have no others."""
    samples, found = list[Sample](), list[Tensor]()
    for features in tested():
        samples += features.samples
        found.append(features[part].clone())
    if len(samples) < 2:
        raise NotApplicable(
            "it scores the tested pictures of a category by each other, and there is "
            f"{len(samples) or 'none'}: give it at least 2"
        )
    return samples, torch.cat(found)
