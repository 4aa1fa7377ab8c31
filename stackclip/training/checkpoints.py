"""A training on disk, so that one that is stopped goes on with the same digits: what was learned, and how it is taught.

A checkpoint is a file like a trained head. Beside the tensors of `state_dict` it has those of `training_state`, such as
the moments of an optimiser, and in its facts the rest of that state and where the training is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from stackclip.heads import TrainedHead
from stackclip.training.trainee import Trainee

__all__ = ["check_fit", "checkpoint_of", "resume"]

_LEARNED, _STATE = "learned/", "training/"
_TRAINED = ("epoch", "steps", "losses", "terms", "curves", "drawn", "seconds")


def checkpoint_of(trainee: Trainee, facts: Mapping[str, Any]) -> TrainedHead:
    """A training as it is at the end of an epoch; `facts` are further ones that a reader should know.

    Raises TypeError for a training state that is made of other things than tensors, numbers, text and collections.
    """
    tensors = {_LEARNED + name: tensor for name, tensor in trainee.working.state_dict().items()}
    state = _packed(trainee.working.training_state(), tensors)
    training = {name: getattr(trainee, name) for name in _TRAINED}
    return TrainedHead(tensors, {**facts, "training_state": state, "progress": training})


def resume(trainee: Trainee, checkpoint: TrainedHead) -> None:
    """Put a training where it was. Raises whatever its detector raises for a state that does not fit it."""
    facts, tensors = checkpoint.facts, checkpoint.tensors
    learned = {name.removeprefix(_LEARNED): each for name, each in tensors.items() if name.startswith(_LEARNED)}
    check_fit(trainee.working.state_dict(), learned)
    trainee.working.load_state_dict(learned)
    trainee.working.load_training_state(_unpacked(facts["training_state"], tensors))
    for name in _TRAINED:
        setattr(trainee, name, facts["progress"][name])


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON can hold it, with its tensors put aside by name."""
    if isinstance(value, Tensor):
        name = f"{_STATE}{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"map": [[_packed(key, tensors), _packed(each, tensors)] for key, each in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_packed(each, tensors) for each in value]}
    if isinstance(value, list):
        return [_packed(each, tensors) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(float(value))}  # the best loss before there is one; JSON has no infinity
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a training state holds tensors, numbers, text and collections of them, not {type(value)}")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `_packed`."""
    if isinstance(value, list):
        return [_unpacked(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    [(kind, inside)] = value.items()
    if kind == "tensor":
        return tensors[inside]
    if kind == "number":
        return float(inside)
    if kind == "tuple":
        return tuple(_unpacked(each, tensors) for each in inside)
    return {_unpacked(key, tensors): _unpacked(each, tensors) for key, each in inside}


def check_fit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise ValueError for a tensor of another shape or type than a detector has under its name."""
    for name in wanted.keys() & found.keys():
        own, other = wanted[name], found[name]
        if (own.shape, own.dtype) != (other.shape, other.dtype):
            raise ValueError(f"{name} is {other.dtype} {tuple(other.shape)}, wanted {own.dtype} {tuple(own.shape)}")
