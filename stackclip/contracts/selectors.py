"""What selectors and scorers promise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from stackclip.contracts.trial import (
    Promises,
    Subject,
    global_randomness_untouched,
    require,
    require_close,
)
from stackclip.ops.maps import unit

__all__ = ["SCORERS", "SELECTORS"]


def _ensemble(count: int) -> Tensor:
    """Text features as towers give them: close together, of different lengths (count, D)."""
    draws = np.random.default_rng(3).standard_normal((count + 1, 96), np.float32)
    return torch.from_numpy(3 * draws[:1] + draws[1:])


def _selects_unit(subject: Subject) -> None:
    for count in (1, 2, 40):
        features = _ensemble(count)
        chosen = subject.make()(features)
        require(chosen.shape == (96,), f"of {count} features (N, 96) it made {tuple(chosen.shape)}, wanted (96,)")
        require(bool(chosen.isfinite().all()), f"of {count} features it made NaN or infinity")
        require_close(chosen.norm(), torch.tensor(1.0), f"the length of the vector of {count} features and 1", 1e-5)


def _selects_the_only_one(subject: Subject) -> None:
    features = _ensemble(1)
    require_close(subject.make()(features), unit(features[0]), "the vector of one feature and that feature", 1e-5)


def _selects_again(subject: Subject) -> None:
    features = _ensemble(40)
    kept = features.clone()
    with global_randomness_untouched():
        first, again = subject.make()(features), subject.make()(features)
    require(torch.equal(features, kept), "it changed the features that it was given")
    require_close(again, first, "two calls", 0.0)


def _selects_in_any_order(subject: Subject) -> None:
    features = _ensemble(40)
    found = subject.make()(features.flip(0))
    require_close(found, subject.make()(features), "the phrases in another order", 1e-4)


SELECTORS: Promises = {
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


def _prices(subject: Subject) -> None:
    for points, labels in _splits():
        price = subject.make()(points, labels)
        clusters = len(set(labels.tolist()))
        number = isinstance(price, (int, float, np.floating)) and bool(np.isfinite(price))
        require(number, f"the price of {clusters} cluster(s) of 9 points is {price!r}, wanted a finite number")


def _prices_again(subject: Subject) -> None:
    for points, labels in _splits():
        kept = points.copy(), labels.copy()
        with global_randomness_untouched():
            first, again = subject.make()(points, labels), subject.make()(points, labels)
        same = np.array_equal(points, kept[0]) and np.array_equal(labels, kept[1])
        require(same, "it changed the points or labels that it was given")
        require(first == again, f"first {first!r}, then {again!r}")


def _prices_renamed(subject: Subject) -> None:
    for points, labels in _splits():
        price, renamed = subject.make()(points, labels), subject.make()(points, labels.max() - labels)
        require(bool(np.isclose(price, renamed)), f"{price!r}, and with the clusters numbered otherwise {renamed!r}")


SCORERS: Promises = {
    "its price is a finite number, from one cluster to one for each point": _prices,
    "it gives the same price again, and leaves points and global random state alone": _prices_again,
    "how the clusters are numbered does not matter": _prices_renamed,
}
