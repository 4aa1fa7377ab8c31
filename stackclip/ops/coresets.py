"""Few points that lie near all others: the greedy coreset, farthest point first."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["farthest_first", "mean_distances", "row_norms"]

_POOL = 1 << 12  # candidates at least
_SHARE = 16  # of all points one in so many is a candidate
_PAIRS = 1 << 24  # distances at once: 64 MB


def farthest_first(points: Tensor, count: int, start: Tensor) -> Tensor:
    """The places (count,) of points (N, D), each the farthest from those before it, which is chosen once at most.

    `start` (N,) is how far each is before any is chosen; the Euclidean distance to a chosen one lowers it. Only
    candidates, those that were the farthest of all, are compared with one new point at a time. When others might be
    farther, all are brought up to date by all new points at once: the same choice in a fraction of the time, for
    distances only fall (Minoux 1978). Raises ValueError for more than there are.
    """
    if count > len(points):
        raise ValueError(f"{count} of {len(points)} points; wanted at most all")
    far, squares, chosen = start.clone(), points.square().sum(1), torch.empty(0, dtype=torch.long)
    size = min(len(points), max(_POOL, len(points) // _SHARE))
    while len(chosen) < count:
        fresh = _from_candidates(points, squares, far, size, count - len(chosen))
        chosen = torch.cat([chosen, fresh.cpu()])
        if len(chosen) < count:
            _lower(far, points, squares, fresh)
    return chosen


def _from_candidates(points: Tensor, squares: Tensor, far: Tensor, size: int, count: int) -> Tensor:
    """At most `count` points, chosen for as long as the farthest of the `size` farthest is farther than all others."""
    found = far.topk(min(size + 1, len(far)))
    candidates = found.indices[:size].sort().values
    others = found.values[size].item() if len(far) > size else -1.0
    own, level, fresh = points[candidates], far[candidates], list[int]()
    while len(fresh) < count:
        top = int(level.argmax())
        if fresh and level[top] <= others:
            break
        fresh.append(top)
        level = torch.minimum(level, _distances(own, squares[candidates], own[top : top + 1])[:, 0])
        level[fresh] = -1.0
    return candidates[fresh]


def _lower(far: Tensor, points: Tensor, squares: Tensor, chosen: Tensor) -> None:
    """Make `far` (N,) the distance to the nearest of newly chosen points where that is less; theirs becomes -1."""
    some = max(1, _PAIRS // len(chosen))
    for start in range(0, len(points), some):
        rows = slice(start, start + some)
        far[rows] = torch.minimum(far[rows], _distances(points[rows], squares[rows], points[chosen]).amin(1))
    far[chosen] = -1.0


def _distances(points: Tensor, squares: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances of points (n, D) of known squared lengths to others (m, D): (n, m)."""
    return (squares[:, None] + others.square().sum(1) - 2 * points @ others.mT).clamp_(min=0).sqrt_()


def row_norms(points: Tensor) -> Tensor:
    """The length of each point's row of distances to all N points: (N, D) -> (N,).

    sum_j |x_i - x_j|^2 = N |x_i|^2 + sum_j |x_j|^2 - 2 x_i . sum_j x_j, so no N x N matrix is made.
    """
    centred = points - points.mean(0)  # the same distances, and sum_j x_j = 0
    squares = centred.square().sum(1)
    return (len(points) * squares + squares.sum()).sqrt()


def mean_distances(points: Tensor, others: Tensor) -> Tensor:
    """The mean Euclidean distance of each point (N, D) to others (n, D): (N,)."""
    return _distances(points, points.square().sum(1), others).mean(1)
