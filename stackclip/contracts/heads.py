"""What heads promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stackclip.contracts.trial import (
    CATEGORIES,
    Promises,
    Subject,
    features_of,
    gate,
    global_randomness_untouched,
    picture_of,
    require,
    require_all,
    require_close,
    trial_tower,
)
from stackclip.ops.maps import unit
from stackclip.types import NORMAL, Features

__all__ = ["HEADS"]


@dataclass(frozen=True, slots=True)
class _HeadTrial:
    """A head for K stacks, with a batch, its anchors and the stack of each picture."""

    head: Any
    features: Features
    anchors: Tensor  # (B, K, 2, D)
    stacks: Tensor  # (B,)

    @property
    def keys(self) -> Tensor:
        """The normal anchors (B, K, D)."""
        return self.anchors[:, :, NORMAL]

    @property
    def loss(self) -> Tensor:
        own = self.anchors[torch.arange(len(self.stacks)), self.stacks]  # (B, 2, D)
        loss: Tensor = self.head.loss(self.features, own, self.stacks)
        return loss

    def maps(self) -> Tensor:
        weights = self.head.weights(self.features, self.keys)
        maps: Tensor = self.head.maps(self.features, self.anchors, weights)
        return maps


def _head_trial(subject: Subject, stacks: int = 3, *, seed: int = 0) -> _HeadTrial:
    recipe, spec = subject.make(), trial_tower().spec
    features = features_of(recipe.needs(spec), CATEGORIES)
    draws = np.random.default_rng(5).standard_normal((len(features), stacks, 2, spec.joint), np.float32)
    of = torch.arange(len(features)) % stacks
    return _HeadTrial(recipe.build(spec, stacks, seed=seed), features, unit(torch.from_numpy(draws)), of)


@gate
def _head_recipe(subject: Subject) -> None:
    recipe = subject.make()
    wanted = ("test-prompt", "train-prompt", "category")
    require(recipe.weighting in wanted, f"weighting is {recipe.weighting!r}, wanted {', '.join(wanted)}")
    features_of(frozenset(recipe.needs(trial_tower().spec)), CATEGORIES)


@gate
def _head_whole(subject: Subject) -> None:
    require_all(_head_trial(subject).head, "loss", "weights", "maps", "state_dict", what="what it builds")


def _head_seeded(subject: Subject) -> None:
    with global_randomness_untouched():
        one, same, other = (_head_trial(subject, seed=seed).head.state_dict() for seed in (0, 0, 1))
    require(list(one) == list(same), "two builds with one seed have other tensors")
    require(all(torch.equal(one[name], same[name]) for name in one), "two builds with one seed have other weights")
    differs = not one or any(not torch.equal(one[name], other[name]) for name in one)
    require(differs, "builds with two seeds have the same weights")


def _head_gradients(subject: Subject) -> None:
    trial = _head_trial(subject)
    loss = trial.loss
    require(loss.ndim == 0, f"the loss has the shape {tuple(loss.shape)}, wanted a scalar")
    require(bool(loss.isfinite()), "the loss is NaN or infinity")
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    without = [name for name, parameter in trial.head.named_parameters() if parameter.grad is None]
    require(not without, f"no gradient reaches {', '.join(without)}, though every stack has pictures in the batch")
    bad = [name for name, parameter in trial.head.named_parameters() if not parameter.grad.isfinite().all()]
    require(not bad, f"the gradient of {', '.join(bad)} holds NaN or infinity")


def _head_weights(subject: Subject) -> None:
    for stacks in (1, 2, 3):
        trial = _head_trial(subject, stacks)
        weights = trial.head.weights(trial.features, trial.keys).detach()
        shape = (len(trial.features), stacks)
        require(weights.shape == shape, f"weights have the shape {tuple(weights.shape)}, wanted {shape}")
        require(bool((weights >= 0).all()), "a weight is negative")
        require_close(weights.sum(1), torch.ones(shape[0]), f"the weights of {stacks} stack(s) and 1", 1e-6)


def _head_maps(subject: Subject) -> None:
    trial = _head_trial(subject)
    maps, size = trial.maps(), trial_tower().spec.frame.size
    shape = (len(trial.features), *size)
    require(maps.shape == shape, f"maps have the shape {tuple(maps.shape)}, wanted {shape}")
    require(bool(maps.isfinite().all()), "maps hold NaN or infinity")


@torch.inference_mode()
def _head_batch_independent(subject: Subject) -> None:
    trial = _head_trial(subject)
    together = trial.maps()
    for row in range(len(trial.features)):
        rows = slice(row, row + 1)
        alone = replace(trial, features=picture_of(trial.features, row), anchors=trial.anchors[rows]).maps()
        require_close(alone, together[rows], f"the map of picture {row} alone and in its batch", 1e-3)


@torch.inference_mode()
def _head_round_trip(subject: Subject) -> None:
    one, other = _head_trial(subject, seed=0), _head_trial(subject, seed=1)
    other.head.load_state_dict(one.head.state_dict())
    require_close(other.maps(), one.maps(), "the maps after loading its state_dict", 0.0)


HEADS: Promises = {
    "it names its weighting, and needs parts that a tower can give": _head_recipe,
    "what it builds has all that a head does": _head_whole,
    "one seed gives one set of weights, and the global random state is left alone": _head_seeded,
    "its loss is a finite scalar whose gradient reaches every parameter": _head_gradients,
    "the weights of the stacks sum to 1 for every picture; a single stack has weight 1": _head_weights,
    "its maps are finite and as large as the picture": _head_maps,
    "a picture's map does not depend on its batch": _head_batch_independent,
    "its state_dict brings the same maps back": _head_round_trip,
}
