"""Selectors turn the text features of an ensemble into one representative vector (RVS: CLIP-AD, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stackclip.errors import BadOption
from stackclip.registry import selectors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Dbscan", "Kde", "Mean", "MeanOfUnit", "MeanShift", "Pca"]


@selectors.register("mean")
class Mean:
    """The mean of the raw features, made unit (anomalib and Accurate-WinCLIP ensemble so)."""

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        from stackclip.ops.maps import unit

        return unit(features.mean(0))


@selectors.register("mean-of-unit")
class MeanOfUnit:
    """The mean of the unit features, made unit again (APRIL-GAN, CLIP-AD and AA-CLIP ensemble so)."""

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        from stackclip.ops.maps import unit

        return unit(unit(features).mean(0))


@selectors.register("pca")
@dataclass(frozen=True, kw_only=True)
class Pca:
    """The first principal component of the features, turned towards their mean (CLIP-AD, equations 17 to 19).

    `variant=released` is what the code does: it takes the channels for samples and the prompts for variables, so that
    the vector is a weighted sum of the prompts, each less its mean over the channels. Features without spread give
    their mean.
    """

    variant: Literal["paper", "released"] = "paper"

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        return _of_unit(features, self._choose)

    def _choose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = points.mean(0)
        chosen: NDArray[np.float64]
        if self.variant == "paper":
            centred = points - mean
            directions = np.linalg.svd(centred, full_matrices=False)[2]
            chosen, spread = directions[0], float(np.abs(centred).max())
        else:
            centred = points - points.mean(1, keepdims=True)
            weights = np.linalg.svd(centred, full_matrices=False)[0][:, 0]  # one for each prompt
            chosen = weights @ centred
            spread = float(np.abs(chosen).max())
        if len(points) == 1 or spread < 1e-9:
            return mean
        return chosen if chosen @ mean >= 0 else -chosen


@selectors.register("kde")
@dataclass(frozen=True, kw_only=True)
class Kde:
    """The mean of the features weighed by their density under a Gaussian kernel (CLIP-AD, equation 20).

    `bandwidth` is the kernel's standard deviation, in distances of unit vectors.
    """

    bandwidth: float = 0.3

    def __post_init__(self) -> None:
        """Raise BadOption for a bandwidth that no kernel has."""
        _check_above_0("kde", bandwidth=self.bandwidth)

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        return _of_unit(features, self._choose)

    def _choose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        from sklearn.neighbors import KernelDensity

        densities = KernelDensity(bandwidth=self.bandwidth).fit(points).score_samples(points)
        weights = np.exp(densities - densities.max())  # their common factor falls out of the mean
        return np.average(points, axis=0, weights=weights)


@selectors.register("mean-shift")
@dataclass(frozen=True, kw_only=True)
class MeanShift:
    """The mean of the largest cluster that mean shift finds (CLIP-AD, equation 21).

    `bandwidth` is the radius that it looks around, in distances of unit vectors.
    """

    bandwidth: float = 2.0

    def __post_init__(self) -> None:
        """Raise BadOption for a radius within which nothing is."""
        _check_above_0("mean-shift", bandwidth=self.bandwidth)

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        return _of_unit(features, self._choose)

    def _choose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        from sklearn.cluster import MeanShift as Clusterer

        return _largest(points, Clusterer(bandwidth=self.bandwidth).fit_predict(points))


@selectors.register("dbscan")
@dataclass(frozen=True, kw_only=True)
class Dbscan:
    """The mean of the largest cluster that DBSCAN finds, of all features where all are noise (CLIP-AD, equation 22).

    A feature with `min_samples` within the distance `eps`, itself among them, is in a cluster, and so are those. The
    defaults are CLIP-AD's for MVTec-AD; for VisA it takes 1.5 and 25.
    """

    eps: float = 0.5
    min_samples: int = 15

    def __post_init__(self) -> None:
        """Raise BadOption for numbers by which nothing is a cluster."""
        _check_above_0("dbscan", eps=self.eps, min_samples=self.min_samples)

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) -> (D,), unit length."""
        return _of_unit(features, self._choose)

    def _choose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        from sklearn.cluster import DBSCAN

        return _largest(points, DBSCAN(eps=self.eps, min_samples=self.min_samples).fit_predict(points))


def _check_above_0(owner: str, **options: float) -> None:
    for name, value in options.items():
        if not 0 < value < np.inf:
            raise BadOption(f"{owner}: {name}={value}; wanted a number above 0")


def _of_unit(features: Tensor, choose: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Tensor:
    """What is chosen of the unit features as points (N, D) in float64, made unit: (D,)."""
    import torch

    from stackclip.ops.maps import unit

    points: NDArray[np.float64] = unit(features).double().cpu().numpy()
    return unit(torch.from_numpy(choose(points)).to(features))


def _largest(points: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of the largest cluster; -1 is noise. Of clusters of one size, the one whose mean is the longest."""
    clusters = [points[labels == label] for label in np.unique(labels[labels >= 0])] or [points]
    means: list[NDArray[np.float64]] = [cluster.mean(0) for cluster in clusters]
    best = max(range(len(means)), key=lambda index: (len(clusters[index]), float(np.linalg.norm(means[index]))))
    return means[best]
