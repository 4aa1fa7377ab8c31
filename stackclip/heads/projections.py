"""Linear projections of patch tokens into the joint space: one set for all stacks, or one set a stack.

FuzzyCLIP trains APRIL-GAN's head once for each cluster and weighs the outputs at test (EFA, equations 5 to 11). With
one stack that is APRIL-GAN's head, so both are this one module: `linear` shares a set, `efa` has one for each stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from stackclip.ops.digests import digest_of
from stackclip.ops.losses import segmentation_loss
from stackclip.ops.maps import large_logits, layers_logits, unit
from stackclip.ops.modules import WhileUnchanged
from stackclip.ops.once import once_in
from stackclip.ops.portions import pieces
from stackclip.ops.probabilities import probability_maps
from stackclip.registry import AtTest, Removable, heads
from stackclip.types import CLS, MASK, Features, Part, TowerSpec

__all__ = ["Batches", "Efa", "Head", "HeadRecipe", "Linear", "Projections", "Weighting", "draw_linear", "empty_linear"]

Weighting = Literal["test-prompt", "train-prompt", "category"]
Batches = Literal["own", "mixed"]


class Head(Protocol):
    """A trainable map head over the K stacks of a prompt strategy; an `nn.Module`.

    One that can make the large matrix products of its loss in other numbers has their type as an attribute `products`.
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
    """What stands on the shelf `heads`: options complete, weights not made yet.

    An attribute `batches` is looked for and need not be there: `own` if its loss is to see pictures of one stack at a
    time, a full batch of them, else it sees those of all stacks as they come.
    """

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

    temperature: Annotated[float, AtTest] = 1.0
    weights_from: Annotated[Weighting, AtTest] = "test-prompt"

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
    text of its name in place of the picture (`category`). `batches` are each set's own, so that it trains as if it were
    alone; `mixed` steps every set on what the common batch has of its pictures.
    """

    without: ClassVar[Removable] = Removable("ensemble feature alignment (EFA)", off="linear")

    temperature: Annotated[float, AtTest, Removable("weights by picture (equation 11)", off="0")] = 1.0
    batches: Batches = "own"

    def build(self, tower: TowerSpec, stacks: int, *, seed: int) -> nn.Module:
        """One set of linear layers for each stack."""
        return Projections(tower, stacks, seed=seed, temperature=self.temperature)


class Projections(nn.Module):
    """Sets of per-layer linear layers C -> D with bias, named `fc.<set>.<layer>.weight`. FuzzyCLIP, equation 5.

    `taps` are the patch parts that they read; the tower's own unless given. `products` is the type of the numbers in
    the matrix products of a training step.
    """

    products: torch.dtype = torch.float32

    def __init__(
        self, tower: TowerSpec, sets: int, *, seed: int, temperature: float = 1.0, taps: Sequence[Part] | None = None
    ) -> None:
        super().__init__()
        self.taps = tower.taps if taps is None else tuple(taps)
        self.frame = tower.frame
        self.temperature = temperature
        layers = [nn.ModuleList(empty_linear(tower.width, tower.joint) for _ in self.taps) for _ in range(sets)]
        self.fc = nn.ModuleList(layers)
        draw_linear(self.fc, torch.Generator().manual_seed(seed))
        self._known = WhileUnchanged(self)

    def loss(self, features: Features, anchors: Tensor, stacks: Tensor) -> Tensor:
        """Focal plus dice, summed over layers and over the sets that have pictures in the batch."""
        masks = features[MASK].to(anchors)  # once for all layers
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
        """Sum over stacks of weight times the sum over layers of the probability: (B, H, W), between 0 and layers.

        Heads that learned the same make the maps of a batch once.
        """
        if not self._can_be_told:
            return probability_maps(self._test_logits(features, anchors), weights, self.frame.size)
        learned = self._known.get(lambda: digest_of(*self.parameters()))
        key = (self.taps, self.frame, learned, digest_of(anchors))
        logits = once_in(features.made, key, lambda: self._test_logits(features, anchors))
        weighed = (*key, digest_of(weights))
        return once_in(features.made, weighed, lambda: probability_maps(logits, weights, self.frame.size))

    @property
    def _can_be_told(self) -> bool:
        """Whether this is the module that its numbers say, whose changes are counted; a subclass may add to it."""
        plain = type(self) is Projections and not any(each.is_inference() for each in self.parameters())
        return plain and not (torch.compiler.is_exporting() or torch.is_grad_enabled())

    def _test_logits(self, features: Features, anchors: Tensor) -> Tensor:
        """The logits (L, B, K, rows, columns) under all stacks, each by its set."""
        own = len(self.fc) > 1  # a set for each stack, or one for all
        under = [slice(index, index + 1) if own else slice(None) for index in range(len(self.fc))]
        of_sets = [self._logits(index, features, anchors[:, each], slice(None)) for index, each in enumerate(under)]
        return torch.cat(of_sets, 2)

    def _set_loss(self, index: int, features: Features, anchors: Tensor, masks: Tensor, rows: Tensor | slice) -> Tensor:
        logits, masks = self._logits(index, features, anchors[rows, None], rows, self.products)[:, :, 0], masks[rows]
        size, losses = self.frame.size, []
        for some in pieces(len(logits), len(masks) * size.area):
            losses.append(segmentation_loss(large_logits(logits[some], size), masks))
        return torch.stack(losses).sum()

    def _logits(
        self,
        index: int,
        features: Features,
        anchors: Tensor,
        rows: Tensor | slice,
        products: torch.dtype | None = None,
    ) -> Tensor:
        """The logits (L, B, K, rows, columns) of some pictures under anchors (B, K, 2, D), of each layer of a set."""
        linears = cast(Sequence[nn.Linear], self.fc[index])
        return layers_logits(
            [features[part][rows] for part in self.taps],
            anchors,
            weights=[linear.weight for linear in linears],
            biases=[linear.bias for linear in linears],
            grid=self.frame.grid,
            products=products,
        )


def empty_linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer without values: nn.Linear's own would be drawn from torch's global state."""
    return nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")


def draw_linear(layers: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights and biases of linear layers in the range that nn.Linear has, in order."""
    with torch.no_grad():
        for layer in layers.modules():
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for parameter in layer.parameters(recurse=False):
                    parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
