"""Linear projections of patch tokens into the joint space: one set for all stacks, or one set a stack.

FuzzyCLIP trains APRIL-GAN's head once for each cluster and weighs the outputs at test (EFA, equations 5 to 11). With
one stack that is APRIL-GAN's head, so both are this one module: `linear` shares a set, `efa` has one for each stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.ops.maps import anomaly_logits, unit
from stackclip.registry import heads
from stackclip.types import CLS, MASK, Features, Part, TowerSpec

__all__ = ["Efa", "Head", "HeadRecipe", "Linear", "Projections", "Weighting"]

Weighting = Literal["test-prompt", "train-prompt", "category"]


class Head(Protocol):
    """A trainable map head over the K stacks of a prompt strategy; an `nn.Module`.

    `anchors` are unit text features, indices NORMAL and ANOMALOUS; `stacks` (B,) says which stack a training picture
    belongs to; `keys` (B, K, D) are the unit text features that a picture's class token is compared with.
    """

    def loss(self, features: Features, anchors: Tensor, stacks: Tensor) -> Tensor:
        """The loss of a training batch, anchors (B, 2, D): a scalar with gradients."""

    def weights(self, features: Features, keys: Tensor) -> Tensor:
        """How much each stack counts for each picture: (B, K), rows sum to 1."""

    def maps(self, features: Features, anchors: Tensor, weights: Tensor) -> Tensor:
        """Anomaly maps (B, H, W) under anchors (B, K, 2, D)."""


class HeadRecipe(Protocol):
    """What stands on the shelf `heads`: options complete, weights not made yet."""

    @property
    def weighting(self) -> Weighting:
        """Which text the weights of the stacks come from."""

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The parts that the head reads, at training and at test."""

    def build(self, tower: TowerSpec, stacks: int, *, seed: int) -> nn.Module:
        """A new `Head` for K stacks, initialised from the seed alone."""


@heads.register("linear")
@dataclass(frozen=True, kw_only=True)
class Linear:
    """APRIL-GAN's head: for each tapped layer one linear layer into the joint space, shared by all stacks.

    Map = sum over layers of softmax(100 cos)[anomalous], upsampled before the softmax. Under more than one stack the
    maps are weighed as EFA does (equation 11), with the same linear layers for each. `temperature` and `weights_from`
    are EFA's.
    """

    temperature: float = 1.0
    weights_from: Weighting = "test-prompt"

    @property
    def weighting(self) -> Weighting:
        """Which text the weights of the stacks come from."""
        return self.weights_from

    def needs(self, tower: TowerSpec) -> frozenset[Part]:
        """The tower's taps and its class token."""
        return frozenset({*tower.taps, CLS})

    def build(self, tower: TowerSpec, stacks: int, *, seed: int) -> nn.Module:
        """One set of linear layers, whatever the number of stacks."""
        return Projections(tower, 1, seed=seed, temperature=self.temperature)


@heads.register("efa")
@dataclass(frozen=True, kw_only=True)
class Efa(Linear):
    """Ensemble feature alignment: one set of linear layers a stack, weighed by picture (FuzzyCLIP, equations 5 to 11).

    Each set learns from its own stack's pictures under its own stacked prompt. At test w_i = softmax_i(temperature *
    cos(F_c, T_i)) and the map is sum_i w_i map_i. `weights_from` reads T_i as the prompt of equation 9 (`test-prompt`),
    the training prompt without the tested name (`train-prompt`), or takes one weight for a whole category from the
    text of its name in place of the picture (`category`).
    """

    def build(self, tower: TowerSpec, stacks: int, *, seed: int) -> nn.Module:
        """One set of linear layers for each stack."""
        return Projections(tower, stacks, seed=seed, temperature=self.temperature)


class Projections(nn.Module):
    """Sets of per-layer linear layers C -> D with bias, named `fc.<set>.<layer>.weight`. FuzzyCLIP, equation 5."""

    def __init__(self, tower: TowerSpec, sets: int, *, seed: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.taps = tower.taps
        self.side = tower.image_size
        self.temperature = temperature
        layers = [nn.ModuleList(_empty_linear(tower) for _ in self.taps) for _ in range(sets)]
        self.fc = nn.ModuleList(layers)
        generator = torch.Generator().manual_seed(seed)
        bound = tower.width**-0.5  # the range of nn.Linear, drawn from our own generator
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))

    def loss(self, features: Features, anchors: Tensor, stacks: Tensor) -> Tensor:
        """Focal plus dice, summed over layers and over the sets that have pictures in the batch."""
        masks = features[MASK]
        if len(self.fc) == 1:
            return self._set_loss(0, features, anchors, masks, slice(None))
        losses = [
            self._set_loss(stack, features, anchors, masks, torch.nonzero(stacks == stack)[:, 0])
            for stack in sorted(set(stacks.tolist()))
        ]
        return torch.stack(losses).sum()

    def weights(self, features: Features, keys: Tensor) -> Tensor:
        """Softmax over the stacks of temperature * cos(F_c, T_i): (B, K). FuzzyCLIP, equation 11."""
        similarity = (unit(features[CLS])[:, None] * keys).sum(-1)  # (B, K)
        return torch.softmax(self.temperature * similarity, dim=1)

    def maps(self, features: Features, anchors: Tensor, weights: Tensor) -> Tensor:
        """Sum over stacks of weight times the sum over layers of the probability: (B, H, W), between 0 and layers."""
        total = weights.new_zeros(len(features), self.side, self.side)
        for stack in range(anchors.shape[1]):
            layers = self.fc[stack % len(self.fc)]
            for part, linear in zip(self.taps, layers, strict=True):  # type: ignore[call-overload]  # a ModuleList
                logits = anomaly_logits(linear(features[part]), anchors[:, stack], self.side)
                total += weights[:, stack, None, None] * torch.sigmoid(logits)
        return total

    def _set_loss(self, stack: int, features: Features, anchors: Tensor, masks: Tensor, rows: Tensor | slice) -> Tensor:
        layers, terms = self.fc[stack], []
        for part, linear in zip(self.taps, layers, strict=True):  # type: ignore[call-overload]  # a ModuleList
            logits = anomaly_logits(linear(features[part][rows]), anchors[rows], self.side)
            terms += [focal_loss(logits, masks[rows]), dice_loss(torch.sigmoid(logits), masks[rows])]
        return torch.stack(terms).sum()


def _empty_linear(tower: TowerSpec) -> nn.Linear:
    """A linear layer C -> D without values: nn.Linear's own would be drawn from torch's global state."""
    return nn.Linear(tower.width, tower.joint, device="meta").to_empty(device="cpu")
