"""What methods promise, and prompt strategies run as methods."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from stackclip.contracts.trial import (
    CATEGORIES,
    UNSEEN,
    Promises,
    Subject,
    features_of,
    gate,
    global_randomness_untouched,
    picture_of,
    require,
    require_all,
    require_close,
    task_of,
    trial_tower,
)
from stackclip.errors import NotApplicable, UsageError
from stackclip.methods import Detector, Method
from stackclip.ops.given import epochs_of
from stackclip.types import Features, Part, Prediction

__all__ = ["METHODS", "predicts"]

_DETECTOR = ("epochs", "facts", "step", "remember", "predict", "settle", "state_dict", "load_state_dict")


@gate
def _needs(subject: Subject) -> None:
    parts = subject.method().needs(trial_tower().spec)
    known = isinstance(parts, (set, frozenset)) and all(isinstance(part, Part) for part in parts)
    require(known, f"needs() gave {parts!r}, wanted a set of parts")
    features_of(frozenset(parts), CATEGORIES)


def begun(method: Method, **changes: Any) -> Detector:
    return method.begin(task_of(**changes))


def batch_of(method: Method) -> Features:
    return features_of(method.needs(trial_tower().spec), CATEGORIES)


@gate
def _whole(subject: Subject) -> None:
    require_all(begun(subject.method()), *_DETECTOR, what="what it begins")


def _learned(detector: Detector, features: Features, *, steps: int) -> list[float]:
    """The losses of some steps on one batch; none for a method that does not train."""
    return [detector.step(features)["loss"] for _ in range(steps if detector.epochs else 0)]


def _begins(subject: Subject) -> None:
    method = subject.method()
    for categories in (CATEGORIES[:1], CATEGORIES):
        try:
            detector = begun(method, categories=categories)
        except UsageError:  # a fixed number of stacks can be more than there are categories
            if len(categories) == len(CATEGORIES):
                raise
            continue
        epochs_of(detector.epochs)
        json.dumps(dict(detector.facts), allow_nan=False)


def predicts(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    _learned(detector, features, steps=2)
    _require_prediction(detector.predict(features), len(features))
    unseen = features_of(method.needs(trial_tower().spec), UNSEEN[:2], seed=1)
    prediction = detector.predict(unseen)
    _require_prediction(prediction, len(unseen))
    if prediction.scores is not None:
        peaks = None if prediction.maps is None else prediction.maps.amax((1, 2))
        settled = detector.settle(prediction.scores, peaks)
        require(settled.shape == prediction.scores.shape, f"settle() gave {tuple(settled.shape)} of {len(unseen)}")
        require(bool(settled.isfinite().all()), "settle() gave NaN or infinity")


def _require_prediction(prediction: Prediction, count: int) -> None:
    scores, maps, side = prediction.scores, prediction.maps, trial_tower().spec.image_size
    require(scores is not None or bool(prediction.why_no_scores), "no scores, and why_no_scores is empty")
    require(maps is not None or bool(prediction.why_no_maps), "no maps, and why_no_maps is empty")
    for name, tensor, shape in (("scores", scores, (count,)), ("maps", maps, (count, side, side))):
        if tensor is not None:
            require(tensor.shape == shape, f"{name} have the shape {tuple(tensor.shape)}, wanted {shape}")
            require(bool(tensor.isfinite().all()), f"{name} hold NaN or infinity")
            require(not tensor.requires_grad, f"{name} carry gradients")


def _same_prediction(one: Prediction, other: Prediction, reason: str, tolerance: float) -> None:
    for name in ("scores", "maps"):
        left, right = getattr(one, name), getattr(other, name)
        require((left is None) == (right is None), f"{reason}: {name} are there only once")
        if left is not None:
            require_close(left, right, f"{reason}, {name}", tolerance)


def _batch_independent(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    together = detector.predict(features)
    for row in range(len(features)):
        scores, maps = (tensor if tensor is None else tensor[[row]] for tensor in (together.scores, together.maps))
        alone = detector.predict(picture_of(features, row))
        _same_prediction(alone, Prediction(scores, maps), f"picture {row} alone and in its batch", 1e-3)


def _seeded(subject: Subject) -> None:
    method = subject.method()
    features = batch_of(method)

    def trained() -> Prediction:
        detector = begun(method)
        _learned(detector, features, steps=2)
        return detector.predict(features)

    with global_randomness_untouched():
        one, other = trained(), trained()
    _same_prediction(one, other, "two runs with one seed", 0.0)


def _keeps_what_it_learned(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    _learned(detector, features, steps=3)
    other = begun(method, seed=1)
    other.load_state_dict({name: tensor.clone() for name, tensor in detector.state_dict().items()})
    _same_prediction(other.predict(features), detector.predict(features), "after loading its state_dict", 0.0)


def _learns(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    detector.predict(features)  # what was predicted before must not stand in the way of gradients
    losses = _learned(detector, features, steps=20)
    require(bool(np.isfinite(losses).all()), f"a loss is NaN or infinity: {losses}")
    if losses:
        kept = losses[-1] <= losses[0]
        require(kept, f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps on one batch")


def _takes_shots_or_refuses(subject: Subject) -> None:
    method = subject.method()
    features = batch_of(method)
    others = features_of(method.needs(trial_tower().spec), CATEGORIES, seed=1)
    try:
        one, other = (_predicted(_shown(method, shots), features) for shots in (features, others))
    except NotApplicable as reason:
        require(bool(str(reason).strip()), "it refuses shots without a reason")
        return
    _require_prediction(one, len(features))
    alike = all(
        (left is None and right is None) or (left is not None and right is not None and torch.equal(left, right))
        for left, right in ((one.scores, other.scores), (one.maps, other.maps))
    )
    require(not alike, "it takes shots, and predicts the same whatever it is shown: use them, or refuse them")


def _shown(method: Method, features: Features) -> Detector:
    """A detector that was shown the normal picture of each category."""
    detector = begun(method, shots=1)
    for row in range(0, len(features), 2):
        detector.remember(features.categories[row], picture_of(features, row))
    return detector


def _predicted(detector: Detector, features: Features) -> Prediction:
    """A prediction with its final scores."""
    found = detector.predict(features)
    if found.scores is None:
        return found
    peaks = None if found.maps is None else found.maps.amax((1, 2))
    return replace(found, scores=detector.settle(found.scores, peaks))


METHODS: Promises = {
    "it needs a set of parts that a tower can give": _needs,
    "it begins, and what begins has all that a detector does": _whole,
    "it begins on one category and on several, with facts that JSON can hold": _begins,
    "its scores and maps are finite, of the right shape, or missing for a reason": predicts,
    "a picture's prediction does not depend on its batch": _batch_independent,
    "one seed gives one prediction, and the global random state is left alone": _seeded,
    "what it learned can be saved and loaded": _keeps_what_it_learned,
    "its loss does not rise on a batch that it sees again and again": _learns,
    "it takes shots and predicts by them, or refuses them with a reason": _takes_shots_or_refuses,
}
