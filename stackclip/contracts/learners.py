"""What prompt learners promise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    trial_encode,
    trial_tower,
)
from stackclip.learners import Lesson
from stackclip.ops.maps import unit
from stackclip.prompts.ensemble import OVERFLOWS
from stackclip.types import Features

__all__ = ["LEARNERS"]

_SUBJECT = " ".join(CATEGORIES)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A learner on the text tower of the random tower, with a batch of pictures."""

    learner: Any
    features: Features

    def loss(self) -> dict[str, Tensor]:
        return dict(self.learner.loss(self.features))

    def scores(self) -> Tensor:
        scores: Tensor = self.learner.scores(self.features)
        return scores

    def learn(self, steps: int) -> None:
        optimiser = torch.optim.Adam(self.learner.parameters(), lr=1e-3)
        for _ in range(steps):
            optimiser.zero_grad()
            self.loss()["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()


def _trial(subject: Subject, *, seed: int = 0) -> _Trial:
    recipe = subject.make()
    anchors = unit(trial_encode()([f"a good {_SUBJECT}", f"a broken {_SUBJECT}"]))
    learner = recipe.build(Lesson(trial_tower().reader, _SUBJECT, anchors, seed))
    return _Trial(learner, features_of(frozenset(recipe.needs(trial_tower().spec)), CATEGORIES))


@gate
def _recipe(subject: Subject) -> None:
    recipe = subject.make()
    known = isinstance(recipe.epochs, int) and recipe.epochs >= 0 and recipe.lr > 0
    require(known, f"epochs is {recipe.epochs!r} and lr {recipe.lr!r}, wanted a whole number from 0, and one above 0")
    require(recipe.overflow in OVERFLOWS, f"overflow is {recipe.overflow!r}, wanted {', '.join(OVERFLOWS)}")
    require(recipe.fits(trial_tower(), _SUBJECT) is True, f"{_SUBJECT!r} does not fit")
    names = " ".join(["bottle"] * 90)
    require(recipe.fits(trial_tower(), names) in (True, False), "fits() of a long subject gave neither True nor False")


@gate
def _whole(subject: Subject) -> None:
    asked = ("facts", "parameters", "loss", "scores", "state_dict")
    require_all(_trial(subject).learner, *asked, what="what it builds")


def _facts(subject: Subject) -> None:
    facts = _trial(subject).learner.facts
    require(isinstance(facts, Mapping), f"facts are {facts!r}, wanted a mapping")
    json.dumps(dict(facts), allow_nan=False)


def _built_again(subject: Subject) -> None:
    with global_randomness_untouched():
        one, same = (_trial(subject).learner.state_dict() for _ in range(2))
    require(bool(one), "it has nothing to learn")
    require(list(one) == list(same), "two builds with one seed have other tensors")
    require(all(torch.equal(one[name], same[name]) for name in one), "two builds with one seed begin otherwise")


def _losses(subject: Subject) -> None:
    trial = _trial(subject)
    terms = trial.loss()
    require("loss" in terms, f"its terms are {', '.join(terms)}, wanted `loss` among them")
    for name, term in terms.items():
        finite = term.ndim == 0 and bool(term.isfinite())
        require(finite, f"{name} is {term.detach().tolist()}, wanted one finite number")
    terms["loss"].backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for name, parameter in trial.learner.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.isfinite().all())
        require(reached, f"no finite gradient reaches {name}")
    frozen = all(weight.grad is None for weight in trial_tower().model.parameters())
    require(frozen, "a gradient reaches the tower's own weights, which are frozen")


def _learns(subject: Subject) -> None:
    trial = _trial(subject)
    before = trial.loss()["loss"].item()
    trial.learn(20)
    after = trial.loss()["loss"].item()
    require(after <= before, f"the loss went from {before:.4g} to {after:.4g} in 20 steps on one batch")


def _scores(subject: Subject) -> None:
    trial = _trial(subject)
    first = trial.scores()
    count = len(trial.features)
    require(first.shape == (count,), f"scores have the shape {tuple(first.shape)}, wanted {(count,)}")
    require(bool(first.isfinite().all()), "scores hold NaN or infinity")
    require(not first.requires_grad, "scores carry gradients")
    for row in range(count):
        alone = trial.learner.scores(picture_of(trial.features, row))
        require_close(alone, first[[row]], f"the score of picture {row} alone and in its batch")
    trial.learn(2)
    require(not torch.equal(trial.scores(), first), "the scores are those of before, though it learned something")


def _round_trip(subject: Subject) -> None:
    one, other = _trial(subject), _trial(subject, seed=1)
    one.learn(2)
    other.scores()
    other.learner.load_state_dict({name: tensor.clone() for name, tensor in one.learner.state_dict().items()})
    require_close(other.scores(), one.scores(), "the scores after loading its state_dict", 0.0)


LEARNERS: Promises = {
    "its schedule is one, and it says whether a subject fits": _recipe,
    "what it builds has all that a learner does": _whole,
    "its facts are such as JSON can hold": _facts,
    "one seed gives one beginning, and the global random state is left alone": _built_again,
    "its loss is finite, and its gradient reaches every parameter and nothing of the tower": _losses,
    "its loss does not rise on a batch that it sees again and again": _learns,
    "its scores are finite, do not depend on the batch, and change as it learns": _scores,
    "its state_dict brings the same scores back": _round_trip,
}
