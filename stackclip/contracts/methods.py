"""What methods promise, and prompt strategies run as methods."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
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
from stackclip.methods import PHASES, Detector, Inspector, Method, Moment, Stage, refuse_shots
from stackclip.ops.given import check_detector, least_shots_of, stages_of
from stackclip.types import Features, Part, Prediction

__all__ = ["METHODS", "predicts"]

_METHOD = ("needs", "check", "begin")
_DETECTOR = (
    "stages",
    "facts",
    "takes_shots",
    "step",
    "on",
    "state_dict",
    "load_state_dict",
    "training_state",
    "load_training_state",
)
_INSPECTOR = ("survey", "predict", "settle", "calibrated")
_FEW_EPOCHS = 2


@gate
def _needs(subject: Subject) -> None:
    method = subject.method()
    require_all(method, *_METHOD, what="a method is a subclass of stackclip.methods.Method: it")
    for phase in PHASES:
        parts = method.needs(trial_tower().spec, phase)
        known = isinstance(parts, (set, frozenset)) and all(isinstance(part, Part) for part in parts)
        require(known, f"needs() gave {parts!r} for {phase}, wanted a set of parts")
        features_of(frozenset(parts), CATEGORIES)
    method.check(trial_tower().spec)


def begun(method: Method, **changes: Any) -> Detector:
    """What a method begins; for few epochs if it learns whenever it is shown the shots that it cannot do without."""
    detector = method.begin(task_of(**changes))
    return method.begin(task_of(epochs=_FEW_EPOCHS, **changes)) if least_shots_of(detector) else detector


def batch_of(method: Method) -> Features:
    return features_of(needs_in_all(method), CATEGORIES)


def needs_in_all(method: Method) -> frozenset[Part]:
    """What a method reads in any phase."""
    return frozenset[Part]().union(*(method.needs(trial_tower().spec, phase) for phase in PHASES))


def inspector(
    detector: Detector, category: str, *shots: Features, spare: Features, tested: Features | None = None
) -> Inspector:
    """What a detector is for a category that is shown some pictures, or `spare` where it cannot do without.

    It surveys the pictures that are `tested`, if there are any.
    """
    made = detector.on(category, iter(shots or (spare,) if least_shots_of(detector) else shots), iter(()))
    if tested is not None:
        made.survey(lambda: iter((tested,)))
    return made


def predicted(detector: Detector, features: Features) -> Prediction:
    """What a detector predicts of a batch of several categories, each by an inspector of its own."""
    found = [
        inspector(detector, category, spare=features, tested=features).predict(picture_of(features, row))
        for row, category in enumerate(features.categories)
    ]
    return as_one(found)


def as_one(found: Sequence[Prediction]) -> Prediction:
    """Predictions of single pictures as one."""
    first = found[0]
    scores = [each.scores for each in found if each.scores is not None]
    maps = [each.maps for each in found if each.maps is not None]
    return replace(first, scores=torch.cat(scores) if scores else None, maps=torch.cat(maps) if maps else None)


@gate
def _whole(subject: Subject) -> None:
    method = subject.method()
    detector = begun(method)
    require_all(detector, *_DETECTOR, what="what it begins is a subclass of stackclip.methods.Detector: it")
    check_detector(detector)
    require_all(
        inspector(detector, UNSEEN[0], spare=batch_of(method)),
        *_INSPECTOR,
        what="what on() gives is a stackclip.methods.Inspector: it",
    )


def _learned(detector: Detector, features: Features, *, steps: int) -> list[float]:
    """The losses of some steps on one batch in the last of its stages; none for a method that does not train."""
    losses: list[float] = []
    for stage in detector.stages if stages_of(detector.stages) else ():
        losses = [loss for step in range(steps) for loss in _step(detector, features, stage, step)]
    return losses


def _step(detector: Detector, features: Features, stage: Stage, step: int) -> list[float]:
    """The loss of a step of the first epoch on a batch that is the last one in it; none of a method that waits."""
    terms = detector.step(features.in_view(stage.view(0)), Moment(stage, 0, step, last=True))
    return [float(terms["loss"])] if terms else []


def _begins(subject: Subject) -> None:
    method = subject.method()
    for categories in (CATEGORIES[:1], CATEGORIES):
        try:
            detector = begun(method, categories=categories)
        except UsageError:  # a fixed number of stacks can be more than there are categories
            if len(categories) == len(CATEGORIES):
                raise
            continue
        stages_of(detector.stages)
        json.dumps(dict(detector.facts), allow_nan=False)


def predicts(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    _learned(detector, features, steps=2)
    _require_prediction(predicted(detector, features), len(features))
    unseen = features_of(needs_in_all(method), UNSEEN[:1], seed=1)
    made = inspector(detector, UNSEEN[0], spare=features, tested=unseen)
    prediction = made.predict(unseen)
    _require_prediction(prediction, len(unseen))
    json.dumps(dict(made.calibrated), allow_nan=False)
    if prediction.scores is not None:
        peaks = None if prediction.maps is None else prediction.maps.amax((1, 2))
        settled = made.settle(prediction.scores, peaks)
        require(settled.shape == prediction.scores.shape, f"settle() gave {tuple(settled.shape)} of {len(unseen)}")
        require(bool(settled.isfinite().all()), "settle() gave NaN or infinity")


def _require_prediction(prediction: Prediction, count: int) -> None:
    scores, maps, size = prediction.scores, prediction.maps, trial_tower().spec.frame.size
    require(scores is not None or bool(prediction.why_no_scores), "no scores, and why_no_scores is empty")
    require(maps is not None or bool(prediction.why_no_maps), "no maps, and why_no_maps is empty")
    for name, tensor, shape in (("scores", scores, (count,)), ("maps", maps, (count, *size))):
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
    for start in range(0, len(features), 2):
        category, pair = features.categories[start], features.rows(start, start + 2)
        made = inspector(detector, category, spare=features, tested=features)
        together = made.predict(pair)
        alone = as_one([made.predict(picture_of(pair, row)) for row in range(len(pair))])
        _same_prediction(alone, together, "a picture alone and in its batch", 1e-3)


def _seeded(subject: Subject) -> None:
    method = subject.method()
    features = batch_of(method)

    def trained() -> Prediction:
        detector = begun(method)
        _learned(detector, features, steps=2)
        return predicted(detector, features)

    with global_randomness_untouched():
        one, other = trained(), trained()
    _same_prediction(one, other, "two runs with one seed", 0.0)


def _keeps_what_it_learned(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    _learned(detector, features, steps=3)
    other = begun(method, seed=1)
    other.load_state_dict({name: tensor.clone() for name, tensor in detector.state_dict().items()})
    _same_prediction(predicted(other, features), predicted(detector, features), "after loading its state_dict", 0.0)


def _resumes(subject: Subject) -> None:
    method = subject.method()
    whole, features = begun(method), batch_of(method)
    stages = whole.stages if stages_of(whole.stages) else ()
    for stage in stages:
        stopped = begun(method)
        for step in range(2):
            _step(whole, features, stage, step)
        stopped.load_state_dict({name: tensor.clone() for name, tensor in whole.state_dict().items()})
        stopped.load_training_state(copy.deepcopy(whole.training_state()))
        without, after = (_step(detector, features, stage, 2) for detector in (whole, stopped))
        require(after == without, f"the loss after going on is {after}, without a stop {without}")
        reason = f"a training that was stopped in stage {stage.name} and went on, and one that was not"
        _same_prediction(predicted(stopped, features), predicted(whole, features), reason, 0.0)


def _learns(subject: Subject) -> None:
    method = subject.method()
    detector, features = begun(method), batch_of(method)
    predicted(detector, features)  # what was predicted before must not stand in the way of gradients
    losses = _learned(detector, features, steps=20)
    require(bool(np.isfinite(losses).all()), f"a loss is NaN or infinity: {losses}")
    if losses:
        kept = losses[-1] <= losses[0]
        require(kept, f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps on one batch")


def _takes_shots_or_refuses(subject: Subject) -> None:
    method = subject.method()
    features = batch_of(method)
    others = features_of(needs_in_all(method), CATEGORIES, seed=1)
    try:
        one, other = (_final(begun(method, shots=2), features.rows(0, 2), shots) for shots in (features, others))
    except NotApplicable as reason:
        require(bool(str(reason).strip()), "it refuses shots without a reason")
        return
    _require_prediction(one, 2)
    alike = all(
        (left is None and right is None) or (left is not None and right is not None and torch.equal(left, right))
        for left, right in ((one.scores, other.scores), (one.maps, other.maps))
    )
    require(not alike, "it takes shots, and predicts the same whatever it is shown: use them, or refuse them")


def _final(detector: Detector, features: Features, shots: Features) -> Prediction:
    """A prediction of one category with its final scores, behind two batches of shots."""
    if not detector.takes_shots:
        refuse_shots(2)
    shown = picture_of(shots, 0), picture_of(shots, 1)
    made = inspector(detector, features.categories[0], *shown, spare=shots, tested=features)
    found = made.predict(features)
    if found.scores is None:
        return found
    peaks = None if found.maps is None else found.maps.amax((1, 2))
    return replace(found, scores=made.settle(found.scores, peaks))


METHODS: Promises = {
    "it needs a set of parts that a tower can give": _needs,
    "it begins, and what begins has all that a detector does": _whole,
    "it begins on one category and on several, with facts that JSON can hold": _begins,
    "its scores and maps are finite, of the right shape, or missing for a reason": predicts,
    "a picture's prediction does not depend on its batch": _batch_independent,
    "one seed gives one prediction, and the global random state is left alone": _seeded,
    "what it learned can be saved and loaded": _keeps_what_it_learned,
    "a training that is stopped goes on with the same digits": _resumes,
    "its loss does not rise on a batch that it sees again and again": _learns,
    "it takes shots and predicts by them, or refuses them with a reason": _takes_shots_or_refuses,
}
