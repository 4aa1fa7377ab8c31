"""What every component promises, tried out on it: by name, on any shelf, offline and in seconds."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.data import read_mask, read_picture
from stackclip.errors import BrokenPlugin, DataError, NotApplicable, StackclipError, UnknownComponent, UsageError
from stackclip.methods import Composition, Detector, Method, Pipeline, Task
from stackclip.ops.maps import unit
from stackclip.registry import SHELVES, Component, Spec, bind, did_you_mean, options_of, problems
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, Features, Part, Prediction, Sample

__all__ = ["Finding", "Report", "check", "find_components"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether the component kept it, and if not, the reason in one line."""

    sentence: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A component, and what was found of it."""

    component: Component
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return all(finding.passed for finding in self.findings)


def check(name: str) -> tuple[Report, ...]:
    """Try a component's promises out: `check("halves")`, `check("stacked[clusters=2]")`; a report for each shelf.

    What the component raises is a finding. Raises UnknownComponent, DuplicateComponent or BrokenPlugin for a name that
    does not lead to a component, BadOption for options that it does not have.
    """
    spec = Spec.parse(name)
    return tuple(_check(_Subject(component, spec)) for component in find_components(spec.name))


def find_components(name: str) -> tuple[Component, ...]:
    """The components of that name on all shelves, at least one.

    Raises UnknownComponent (with the nearest name), DuplicateComponent or BrokenPlugin.
    """
    found = tuple(shelf.find(name) for shelf in SHELVES if name in shelf)
    if found:
        return found
    for problem in problems():
        if problem.name == name:
            raise BrokenPlugin(str(problem))
    known = sorted({other for shelf in SHELVES for other in shelf.names()})
    raise UnknownComponent(f"no component is named {name!r}{did_you_mean(name, known)}; see: stackclip list")


@dataclass(frozen=True, slots=True)
class _Subject:
    """The component on trial; every `make` is a new one."""

    component: Component
    spec: Spec

    def make(self) -> Any:
        return self.component.create(self.spec)

    def method(self) -> Method:
        """The component as a method: a prompt strategy is run through the pipeline."""
        if self.component.shelf == "prompts":
            return Composition(self.component.name, self.component.doc).create(self.spec)
        method: Method = self.make()
        return method


class _Unkept(Exception):
    """A promise was not kept; the message is the reason."""


Promises = Mapping[str, Callable[[_Subject], None]]


def _check(subject: _Subject) -> Report:
    bind(subject.spec.name, subject.component.options, dict(subject.spec.options))
    findings = [_try(sentence, function, subject) for sentence, function in _OF_ALL.items()]
    if findings[-1].passed:
        findings += [_try(*promise, subject) for promise in _OF_SHELF[subject.component.shelf].items()]
    return Report(subject.component, tuple(findings))


def _try(sentence: str, function: Callable[[_Subject], None], subject: _Subject) -> Finding:
    try:
        function(subject)
    except _Unkept as reason:
        return Finding(sentence, False, " ".join(str(reason).split()))
    except (Exception, SystemExit) as error:
        first = str(error).strip().partition("\n")[0]
        return Finding(sentence, False, f"{type(error).__name__}: {first}" if first else type(error).__name__)
    return Finding(sentence, True)


def _require(kept: bool, reason: str) -> None:
    if not kept:
        raise _Unkept(reason)


def _require_close(found: Tensor, wanted: Tensor, reason: str, tolerance: float = 1e-4) -> None:
    _require(found.shape == wanted.shape, f"{reason}: shapes {tuple(found.shape)} and {tuple(wanted.shape)}")
    apart = float((found - wanted).abs().max()) if found.numel() else 0.0
    _require(apart <= tolerance, f"{reason}: {apart:.2g} apart")


@contextmanager
def _global_randomness_untouched() -> Iterator[None]:
    before = _global_randomness()
    yield
    for source, state in _global_randomness().items():
        kept = state == before[source]
        _require(kept, f"it drew from, or seeded, the global state of {source}: draw from a generator of your own")


def _global_randomness() -> dict[str, Any]:
    _, numbers, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (bytes(np.asarray(numbers)), *rest),
        "torch": torch.get_rng_state().tolist(),
    }


# What every component promises


def _documented(subject: _Subject) -> None:
    _require(bool(subject.component.summary.strip()), "it has no docstring")


def _options_documented(subject: _Subject) -> None:
    factory = subject.component.factory
    if not isinstance(factory, type) and hasattr(factory, "options"):
        return  # composed of components that document their own
    words = set(re.findall(r"\w+", subject.component.doc))
    unsaid = [option.label for option in subject.component.options if option.label not in {*words, "seed"}]
    _require(not unsaid, f"the docstring does not say what {', '.join(unsaid)} means")


def _well_named(subject: _Subject) -> None:
    name = subject.component.name
    kept = name == name.lower() and name.replace("-", "").isalnum()
    _require(kept, f"{name!r} has other characters than lower-case letters, digits and hyphens")


def _made(subject: _Subject) -> None:
    with _global_randomness_untouched():
        subject.make()


_OF_ALL: Promises = {
    "its name is lower-case letters, digits and hyphens": _well_named,
    "its docstring says what it is": _documented,
    "its docstring names every option": _options_documented,
    "it can be made, and the global random state is left alone": _made,  # the last: without it there is nothing to try
}


# The synthetic task that strategies, heads and methods are tried on

_CATEGORIES = ("bottle", "metal nut", "t-shirt")
_MANY = (*_CATEGORIES, "pcb1", "pcb2", "o-ring 2")
_UNSEEN = ("zipper", "tin can lid", "usb-c plug", "macaroni2", "pipe_fryum")


@dataclass(frozen=True, slots=True)
class _Encode:
    """The random tower's text side, with the class means of random pictures."""

    encoder: TextEncoder
    context_length: int

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return self.encoder(phrases)

    def count_tokens(self, phrase: str) -> int:
        return self.encoder.count_tokens(phrase)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        names = [category.replace("_", " ") for category in categories]
        return torch.stack([unit(_encoded(_pictures(3, [*name.encode()]), {CLS})[CLS]).mean(0) for name in names])


@cache
def _tower() -> Tower:
    return random_tower(image_size=32)


@cache
def _encode() -> _Encode:
    return _Encode(TextEncoder(_tower()), _tower().context_length)


def _pictures(count: int, seed: Sequence[int]) -> Tensor:
    """Noise at the tower's size: (count, 3, S, S)."""
    side = _tower().spec.image_size
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 3, side, side), np.float32))


def _encoded(pictures: Tensor, parts: set[Part] | frozenset[Part]) -> dict[Part, Tensor]:
    return _tower().encode(pictures, sorted(parts))


def _features(parts: frozenset[Part], categories: Sequence[str], *, seed: int = 0) -> Features:
    """Two noise pictures a category, one normal and one with a brighter square, whose mask is known."""
    samples, masks = [], []
    pictures = _pictures(2 * len(categories), [seed])
    side = pictures.shape[-1]
    for index in range(len(pictures)):
        label = (NORMAL, ANOMALOUS)[index % 2]
        mask = torch.zeros(side, side)
        mask[side // 4 : side // 2, side // 4 : side // 2] = label
        pictures[index] += 4 * mask
        masks.append(mask)
        name = f"{index:03d}.png"
        defect = "square" if label == ANOMALOUS else GOOD
        category = categories[index // 2]
        samples.append(Sample(name, "synthetic", category, "test", Path(name), None, label, defect))
    tensors = _encoded(pictures, parts - {MASK})
    return Features(tuple(samples), {**tensors, MASK: torch.stack(masks)})


def _task(categories: tuple[str, ...] = _CATEGORIES, **changes: Any) -> Task:
    tower = _tower()
    task = Task(
        tower=tower.spec,
        encode=_encode(),
        categories=categories,
        train_on=("synthetic",),
        seed=0,
        device=tower.device,
        epochs=None,
    )
    return replace(task, **changes)


def _picture(features: Features, row: int) -> Features:
    """One picture of a batch, as a batch."""
    return Features((features.samples[row],), {part: tensor[row : row + 1] for part, tensor in features.parts.items()})


# Prompt strategies


def _partitions(subject: _Subject) -> None:
    for categories in (_MANY[:1], _CATEGORIES, _MANY):
        try:
            groups = subject.make().groups(categories, _encode())
        except UsageError:  # a fixed number of stacks can be more than there are categories
            if len(categories) == len(_MANY):
                raise
            continue
        placed = [category for group in groups for category in group]
        _require(all(groups), f"of {len(categories)} categories it made an empty stack: {groups}")
        wanted = f"wanted each of {', '.join(categories)} once"
        _require(sorted(placed) == sorted(categories), f"it placed {', '.join(placed) or 'none'}; {wanted}")


def _groups_again(subject: _Subject) -> None:
    strategy = subject.make()
    first = strategy.groups(_MANY, _encode())
    strategy.groups(tuple(reversed(_MANY)), _encode())
    for again in (strategy.groups(_MANY, _encode()), subject.make().groups(_MANY, _encode())):
        _require(again == first, f"first {first}, then {again}")


def _called(strategy: Any, groups: Sequence[tuple[str, ...]]) -> dict[tuple[str, int, bool], Any]:
    """What every category is called under every stack: its own if it is seen, each if it is not."""
    seen = {(name, k, True): (name, group) for k, group in enumerate(groups) for name in group}
    unseen = {(name, k, False): (name, group) for name in (*_UNSEEN, *_MANY) for k, group in enumerate(groups)}
    asked = {**seen, **unseen}
    return {key: strategy.subject(*asked[key], seen=key[2]) for key in asked}


def _names_are_text(subject: _Subject) -> None:
    strategy = subject.make()
    for (category, _, seen), name in _called(strategy, strategy.groups(_MANY, _encode())).items():
        about = f"the {'seen' if seen else 'unseen'} category {category!r} is called {name!r}"
        _require(isinstance(name, str), f"{about}, which is no text")
        _require(bool(name.strip()), f"{about}, which is empty")
        _require(not set(name) & set("{}\n\r"), f"{about}, which has braces or line breaks")


def _names_again(subject: _Subject) -> None:
    strategy = subject.make()
    groups = strategy.groups(_MANY, _encode())
    first = _called(strategy, groups)
    fresh = subject.make()
    for (category, k, seen), name in reversed(first.items()):
        again = fresh.subject(category, groups[k], seen=seen)
        _require(again == name, f"{category!r} is called {name!r}, and asked in another order {again!r}")


def _strategy_draws_nothing(subject: _Subject) -> None:
    with _global_randomness_untouched():
        strategy = subject.make()
        _called(strategy, strategy.groups(_MANY, _encode()))


def _strategy_attributes(subject: _Subject) -> None:
    strategy = subject.make()
    epochs, overflow = getattr(strategy, "epochs", 0), getattr(strategy, "overflow", "error")
    _require(isinstance(epochs, int) and epochs >= 0, f"epochs is {epochs!r}, wanted a whole number from 0")
    allowed = ("error", "truncate-names", "chunk-mean")
    _require(overflow in allowed, f"overflow is {overflow!r}, wanted {', '.join(allowed)}")
    if hasattr(strategy, "explain"):
        json.dumps(strategy.explain(_MANY, _encode()), allow_nan=False)


def _no_option_twice(subject: _Subject) -> None:
    both = {option.name for option in options_of(subject.component.factory)} & {f.name for f in fields(Pipeline)}
    _require(not both, f"{', '.join(sorted(both))}: the pipeline has an option of that name, and would take its value")


# Methods, and prompt strategies run as such


def _needs(subject: _Subject) -> None:
    parts = subject.method().needs(_tower().spec)
    known = isinstance(parts, (set, frozenset)) and all(isinstance(part, Part) for part in parts)
    _require(known, f"needs() gave {parts!r}, wanted a set of parts")
    _features(frozenset(parts), _CATEGORIES)


def _begun(method: Method, **changes: Any) -> Detector:
    return method.begin(_task(**changes))


def _batch(method: Method) -> Features:
    return _features(method.needs(_tower().spec), _CATEGORIES)


def _learned(detector: Detector, features: Features, *, steps: int) -> list[float]:
    """The losses of some steps on one batch; none for a method that does not train."""
    return [detector.step(features)["loss"] for _ in range(steps if detector.epochs else 0)]


def _begins(subject: _Subject) -> None:
    method = subject.method()
    for categories in (_CATEGORIES[:1], _CATEGORIES):
        try:
            detector = _begun(method, categories=categories)
        except UsageError:  # a fixed number of stacks can be more than there are categories
            if len(categories) == len(_CATEGORIES):
                raise
            continue
        epochs = detector.epochs
        _require(isinstance(epochs, int) and epochs >= 0, f"epochs is {epochs!r}, wanted a whole number from 0")
        json.dumps(dict(detector.facts), allow_nan=False)


def _predicts(subject: _Subject) -> None:
    method = subject.method()
    detector, features = _begun(method), _batch(method)
    _learned(detector, features, steps=2)
    _require_prediction(detector.predict(features), len(features))
    unseen = _features(method.needs(_tower().spec), _UNSEEN[:2], seed=1)
    prediction = detector.predict(unseen)
    _require_prediction(prediction, len(unseen))
    if prediction.scores is not None:
        peaks = None if prediction.maps is None else prediction.maps.amax((1, 2))
        settled = detector.settle(prediction.scores, peaks)
        _require(settled.shape == prediction.scores.shape, f"settle() gave {tuple(settled.shape)} of {len(unseen)}")
        _require(bool(settled.isfinite().all()), "settle() gave NaN or infinity")


def _require_prediction(prediction: Prediction, count: int) -> None:
    scores, maps, side = prediction.scores, prediction.maps, _tower().spec.image_size
    _require(scores is not None or bool(prediction.why_no_scores), "no scores, and why_no_scores is empty")
    _require(maps is not None or bool(prediction.why_no_maps), "no maps, and why_no_maps is empty")
    for name, tensor, shape in (("scores", scores, (count,)), ("maps", maps, (count, side, side))):
        if tensor is not None:
            _require(tensor.shape == shape, f"{name} have the shape {tuple(tensor.shape)}, wanted {shape}")
            _require(bool(tensor.isfinite().all()), f"{name} hold NaN or infinity")
            _require(not tensor.requires_grad, f"{name} carry gradients")


def _same_prediction(one: Prediction, other: Prediction, reason: str, tolerance: float) -> None:
    for name in ("scores", "maps"):
        left, right = getattr(one, name), getattr(other, name)
        _require((left is None) == (right is None), f"{reason}: {name} are there only once")
        if left is not None:
            _require_close(left, right, f"{reason}, {name}", tolerance)


def _batch_independent(subject: _Subject) -> None:
    method = subject.method()
    detector, features = _begun(method), _batch(method)
    together = detector.predict(features)
    for row in range(len(features)):
        scores, maps = (tensor if tensor is None else tensor[[row]] for tensor in (together.scores, together.maps))
        alone = detector.predict(_picture(features, row))
        _same_prediction(alone, Prediction(scores, maps), f"picture {row} alone and in its batch", 1e-3)


def _seeded(subject: _Subject) -> None:
    method = subject.method()
    features = _batch(method)

    def trained() -> Prediction:
        detector = _begun(method)
        _learned(detector, features, steps=2)
        return detector.predict(features)

    with _global_randomness_untouched():
        one, other = trained(), trained()
    _same_prediction(one, other, "two runs with one seed", 0.0)


def _keeps_what_it_learned(subject: _Subject) -> None:
    method = subject.method()
    detector, features = _begun(method), _batch(method)
    _learned(detector, features, steps=3)
    other = _begun(method, seed=1)
    other.load_state_dict({name: tensor.clone() for name, tensor in detector.state_dict().items()})
    _same_prediction(other.predict(features), detector.predict(features), "after loading its state_dict", 0.0)


def _learns(subject: _Subject) -> None:
    method = subject.method()
    detector, features = _begun(method), _batch(method)
    detector.predict(features)  # what was predicted before must not stand in the way of gradients
    losses = _learned(detector, features, steps=20)
    _require(bool(np.isfinite(losses).all()), f"a loss is NaN or infinity: {losses}")
    if losses:
        kept = losses[-1] <= losses[0]
        _require(kept, f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g} in {len(losses)} steps on one batch")


def _takes_shots_or_refuses(subject: _Subject) -> None:
    method = subject.method()
    features = _batch(method)
    try:
        detector = _begun(method, shots=1)
        for row in range(0, len(features), 2):
            detector.remember(features.categories[row], _picture(features, row))
    except NotApplicable as reason:
        _require(bool(str(reason).strip()), "it refuses shots without a reason")
        return
    _require_prediction(detector.predict(features), len(features))


_METHODS: Promises = {
    "it needs a set of parts that a tower can give": _needs,
    "it begins on one category and on several, with facts that JSON can hold": _begins,
    "its scores and maps are finite, of the right shape, or missing for a reason": _predicts,
    "a picture's prediction does not depend on its batch": _batch_independent,
    "one seed gives one prediction, and the global random state is left alone": _seeded,
    "what it learned can be saved and loaded": _keeps_what_it_learned,
    "its loss does not rise on a batch that it sees again and again": _learns,
    "it takes shots, or refuses them with a reason": _takes_shots_or_refuses,
}
_PROMPTS: Promises = {
    "its stacks hold every category exactly once, and none is empty": _partitions,
    "the same categories always make the same stacks": _groups_again,
    "every category, seen or not, is called by one line of text without braces": _names_are_text,
    "what a category is called does not depend on what was asked before": _names_again,
    "the global random state is left alone": _strategy_draws_nothing,
    "epochs, overflow and explain, where it has them, are as the pipeline wants them": _strategy_attributes,
    "none of its options has the name of one of the pipeline's": _no_option_twice,
    "it trains and predicts in the pipeline: scores and maps are finite and of the right shape": _predicts,
}


# Heads


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


def _head_trial(subject: _Subject, stacks: int = 3, *, seed: int = 0) -> _HeadTrial:
    recipe, spec = subject.make(), _tower().spec
    features = _features(recipe.needs(spec), _CATEGORIES)
    draws = np.random.default_rng(5).standard_normal((len(features), stacks, 2, spec.joint), np.float32)
    of = torch.arange(len(features)) % stacks
    return _HeadTrial(recipe.build(spec, stacks, seed=seed), features, unit(torch.from_numpy(draws)), of)


def _head_recipe(subject: _Subject) -> None:
    recipe = subject.make()
    wanted = ("test-prompt", "train-prompt", "category")
    _require(recipe.weighting in wanted, f"weighting is {recipe.weighting!r}, wanted {', '.join(wanted)}")
    _features(frozenset(recipe.needs(_tower().spec)), _CATEGORIES)


def _head_seeded(subject: _Subject) -> None:
    with _global_randomness_untouched():
        one, same, other = (_head_trial(subject, seed=seed).head.state_dict() for seed in (0, 0, 1))
    _require(list(one) == list(same), "two builds with one seed have other tensors")
    _require(all(torch.equal(one[name], same[name]) for name in one), "two builds with one seed have other weights")
    differs = not one or any(not torch.equal(one[name], other[name]) for name in one)
    _require(differs, "builds with two seeds have the same weights")


def _head_gradients(subject: _Subject) -> None:
    trial = _head_trial(subject)
    loss = trial.loss
    _require(loss.ndim == 0, f"the loss has the shape {tuple(loss.shape)}, wanted a scalar")
    _require(bool(loss.isfinite()), "the loss is NaN or infinity")
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    without = [name for name, parameter in trial.head.named_parameters() if parameter.grad is None]
    _require(not without, f"no gradient reaches {', '.join(without)}, though every stack has pictures in the batch")
    bad = [name for name, parameter in trial.head.named_parameters() if not parameter.grad.isfinite().all()]
    _require(not bad, f"the gradient of {', '.join(bad)} holds NaN or infinity")


def _head_weights(subject: _Subject) -> None:
    for stacks in (1, 2, 3):
        trial = _head_trial(subject, stacks)
        weights = trial.head.weights(trial.features, trial.keys).detach()
        shape = (len(trial.features), stacks)
        _require(weights.shape == shape, f"weights have the shape {tuple(weights.shape)}, wanted {shape}")
        _require(bool((weights >= 0).all()), "a weight is negative")
        _require_close(weights.sum(1), torch.ones(shape[0]), f"the weights of {stacks} stack(s) and 1", 1e-6)


def _head_maps(subject: _Subject) -> None:
    trial = _head_trial(subject)
    maps, side = trial.maps(), _tower().spec.image_size
    shape = (len(trial.features), side, side)
    _require(maps.shape == shape, f"maps have the shape {tuple(maps.shape)}, wanted {shape}")
    _require(bool(maps.isfinite().all()), "maps hold NaN or infinity")


@torch.inference_mode()
def _head_batch_independent(subject: _Subject) -> None:
    trial = _head_trial(subject)
    together = trial.maps()
    for row in range(len(trial.features)):
        rows = slice(row, row + 1)
        alone = replace(trial, features=_picture(trial.features, row), anchors=trial.anchors[rows]).maps()
        _require_close(alone, together[rows], f"the map of picture {row} alone and in its batch", 1e-3)


@torch.inference_mode()
def _head_round_trip(subject: _Subject) -> None:
    one, other = _head_trial(subject, seed=0), _head_trial(subject, seed=1)
    other.head.load_state_dict(one.head.state_dict())
    _require_close(other.maps(), one.maps(), "the maps after loading its state_dict", 0.0)


_HEADS: Promises = {
    "it names its weighting, and needs parts that a tower can give": _head_recipe,
    "one seed gives one set of weights, and the global random state is left alone": _head_seeded,
    "its loss is a finite scalar whose gradient reaches every parameter": _head_gradients,
    "the weights of the stacks sum to 1 for every picture; a single stack has weight 1": _head_weights,
    "its maps are finite and as large as the picture": _head_maps,
    "a picture's map does not depend on its batch": _head_batch_independent,
    "its state_dict brings the same maps back": _head_round_trip,
}


# Selectors and scorers


def _ensemble(count: int) -> Tensor:
    """Text features as towers give them: close together, of different lengths (count, D)."""
    draws = np.random.default_rng(3).standard_normal((count + 1, 96), np.float32)
    return torch.from_numpy(3 * draws[:1] + draws[1:])


def _selects_unit(subject: _Subject) -> None:
    for count in (1, 2, 40):
        features = _ensemble(count)
        chosen = subject.make()(features)
        _require(chosen.shape == (96,), f"of {count} features (N, 96) it made {tuple(chosen.shape)}, wanted (96,)")
        _require(bool(chosen.isfinite().all()), f"of {count} features it made NaN or infinity")
        _require_close(chosen.norm(), torch.tensor(1.0), f"the length of the vector of {count} features and 1", 1e-5)


def _selects_the_only_one(subject: _Subject) -> None:
    features = _ensemble(1)
    _require_close(subject.make()(features), unit(features[0]), "the vector of one feature and that feature", 1e-5)


def _selects_again(subject: _Subject) -> None:
    features = _ensemble(40)
    kept = features.clone()
    with _global_randomness_untouched():
        first, again = subject.make()(features), subject.make()(features)
    _require(torch.equal(features, kept), "it changed the features that it was given")
    _require_close(again, first, "two calls", 0.0)


def _selects_in_any_order(subject: _Subject) -> None:
    features = _ensemble(40)
    found = subject.make()(features.flip(0))
    _require_close(found, subject.make()(features), "the phrases in another order", 1e-4)


_SELECTORS: Promises = {
    "it makes one vector of unit length of any number of features": _selects_unit,
    "of a single feature it makes that feature's direction": _selects_the_only_one,
    "it gives the same vector again, and leaves features and global random state alone": _selects_again,
    "the order of the phrases does not matter": _selects_in_any_order,
}


def _splits() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    points = np.random.default_rng(4).standard_normal((9, 12))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for clusters in (1, 2, 3, 9):
        yield points, np.arange(9) % clusters


def _prices(subject: _Subject) -> None:
    for points, labels in _splits():
        price = subject.make()(points, labels)
        clusters = len(set(labels.tolist()))
        number = isinstance(price, (int, float, np.floating)) and bool(np.isfinite(price))
        _require(number, f"the price of {clusters} cluster(s) of 9 points is {price!r}, wanted a finite number")


def _prices_again(subject: _Subject) -> None:
    for points, labels in _splits():
        kept = points.copy(), labels.copy()
        with _global_randomness_untouched():
            first, again = subject.make()(points, labels), subject.make()(points, labels)
        same = np.array_equal(points, kept[0]) and np.array_equal(labels, kept[1])
        _require(same, "it changed the points or labels that it was given")
        _require(first == again, f"first {first!r}, then {again!r}")


def _prices_renamed(subject: _Subject) -> None:
    for points, labels in _splits():
        price, renamed = subject.make()(points, labels), subject.make()(points, labels.max() - labels)
        _require(bool(np.isclose(price, renamed)), f"{price!r}, and with the clusters numbered otherwise {renamed!r}")


_SCORERS: Promises = {
    "its price is a finite number, from one cluster to one for each point": _prices,
    "it gives the same price again, and leaves points and global random state alone": _prices_again,
    "how the clusters are numbered does not matter": _prices_renamed,
}


# Data sets, backbones, executors


def _has_a_tree(subject: _Subject) -> None:
    reader = subject.make()
    _require(isinstance(getattr(reader, "tree", None), str) and bool(reader.tree.strip()), "it has no `tree`")
    _require(callable(getattr(reader, "read", None)), "it has no `read(root, name)`")


def _empty_folder(subject: _Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            samples = subject.make().read(Path(folder), "nothing")
        except DataError:
            return
    _require(not samples, f"of an empty folder it made {len(samples)} samples")


def _generates(subject: _Subject) -> None:
    if not hasattr(subject.make(), "generate"):
        return
    with tempfile.TemporaryDirectory() as folder:
        reader = subject.make()
        with _global_randomness_untouched():
            root = Path(reader.generate(Path(folder) / "one"))
        samples = reader.read(root, "one")
        _require(bool(samples), "it generated no sample")
        _require(subject.make().read(root, "one") == samples, "a second reading gave other samples")
        identities = [sample.id for sample in samples]
        _require(len(set(identities)) == len(samples), "two samples have one id")
        for sample in samples:
            _require(sample.label in (NORMAL, ANOMALOUS), f"{sample.id} has the label {sample.label!r}")
            _require(sample.label == NORMAL or sample.mask is not None, f"{sample.id} is anomalous without a mask")
        for label in (NORMAL, ANOMALOUS):
            shown = next((sample for sample in samples if sample.label == label), None)
            _require(shown is not None, f"no sample has the label {label}")
            if shown is not None:
                read_picture(shown.image)
                painted = bool(read_mask(shown, 64).any())
                _require(painted == (label == ANOMALOUS), f"the mask of {shown.id} does not go with its label")


_DATASETS: Promises = {
    "it shows the tree that it expects, and reads": _has_a_tree,
    "an empty folder has no samples, or is a DataError": _empty_folder,
    "what it generates can be read: unique ids, pictures, masks of the defects": _generates,
}


def _loaded(subject: _Subject, **changes: Any) -> Tower:
    wanted = {"image_size": None, "layers": None, "device": "cpu", "precision": "fp32", **changes}
    tower = subject.make().load(**wanted)
    _require(isinstance(tower, Tower), f"load() gave a {type(tower).__name__}, wanted a Tower")
    loaded: Tower = tower
    return loaded


def _tower_parts(tower: Tower, count: int = 2) -> dict[Part, Tensor]:
    side = tower.spec.image_size
    noise = np.random.default_rng(6).standard_normal((count, 3, side, side), np.float32)
    return tower.encode(torch.from_numpy(noise), (*tower.spec.taps, CLS))


def _gives_parts(subject: _Subject) -> None:
    tower = _loaded(subject)
    spec = tower.spec
    shapes = {CLS: (2, spec.joint), **dict.fromkeys(spec.taps, (2, spec.grid**2, spec.width))}
    for part, tensor in _tower_parts(tower).items():
        _require(tensor.shape == shapes[part], f"{part} has the shape {tuple(tensor.shape)}, wanted {shapes[part]}")
        _require(bool(tensor.isfinite().all()), f"{part} holds NaN or infinity")
    text = tower.encode_text(["a photo of a bottle."])
    _require(text.shape == (1, spec.joint), f"text features have the shape {tuple(text.shape)}")


def _gives_parts_again(subject: _Subject) -> None:
    with _global_randomness_untouched():
        one, same = _loaded(subject), _loaded(subject)
    _require(one.fingerprint == same.fingerprint, "two loads have two fingerprints")
    first, again = _tower_parts(one), _tower_parts(same)
    for part in first:
        _require_close(again[part], first[part], f"{part} of two loads", 0.0)


def _parts_batch_independent(subject: _Subject) -> None:
    tower = _loaded(subject)
    alone, together = _tower_parts(tower, 1), _tower_parts(tower, 3)
    for part in alone:
        _require_close(alone[part], together[part][:1], f"{part} of a picture alone and in a batch")


_BACKBONES: Promises = {
    "its parts are finite and have the shapes that it declares": _gives_parts,
    "it loads the same tower again, and leaves the global random state alone": _gives_parts_again,
    "a picture's parts do not depend on its batch": _parts_batch_independent,
}


def _number(value: int) -> int:
    return value


def _failing() -> int:
    raise StackclipError("this job fails on purpose")


def _in_order(subject: _Subject) -> None:
    for count in (0, 1, 7):
        results = list(subject.make().run([partial(_number, value) for value in range(count)]))
        _require(results == list(range(count)), f"the jobs 0 to {count - 1} gave {results}")


def _lets_errors_out(subject: _Subject) -> None:
    try:
        results = list(subject.make().run([partial(_number, 0), _failing]))
    except StackclipError:
        return
    raise _Unkept(f"a job that raises gave {results}")


_EXECUTORS: Promises = {
    "the results come in the order of the jobs": _in_order,
    "what a job raises comes out as it is": _lets_errors_out,
}

_OF_SHELF: Mapping[str, Promises] = {
    "backbones": _BACKBONES,
    "datasets": _DATASETS,
    "executors": _EXECUTORS,
    "heads": _HEADS,
    "learners": {},
    "methods": _METHODS,
    "prompts": _PROMPTS,
    "scorers": _SCORERS,
    "selectors": _SELECTORS,
}
