"""Few points that lie near all others: the greedy coreset, farthest point first."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["farthest_first", "mean_distances", "row_norms"]

_POOL = 1 << 11  # candidates
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
    while len(chosen) < count:
        fresh = _from_candidates(points, squares, far, count - len(chosen))
        chosen = torch.cat([chosen, fresh.cpu()])
        if len(chosen) < count:
            _lower(far, points, squares, fresh)
    return chosen


def _from_candidates(points: Tensor, squares: Tensor, far: Tensor, count: int) -> Tensor:
    """At most `count` points, chosen for as long as the farthest of the candidates is farther than all others."""
    found = far.topk(min(_POOL + 1, len(far)))
    candidates = found.indices[:_POOL].sort().values
    others = found.values[_POOL].item() if len(far) > _POOL else -1.0
    own, lengths, level, fresh = points[candidates], squares[candidates], far[candidates], list[int]()
    while len(fresh) < count:
        top = int(level.argmax())
        if fresh and level[top] <= others:
            break
        fresh.append(top)
        level = torch.minimum(level, _nearest(own, lengths, own[top : top + 1]))
        level[fresh] = -1.0
    return candidates[fresh]


def _lower(far: Tensor, points: Tensor, squares: Tensor, chosen: Tensor) -> None:
    """Make `far` (N,) the distance to the nearest of newly chosen points where that is less; theirs becomes -1."""
    some = max(1, _PAIRS // len(chosen))
    for start in range(0, len(points), some):
        rows = slice(start, start + some)
        far[rows] = torch.minimum(far[rows], _nearest(points[rows], squares[rows], points[chosen]))
    far[chosen] = -1.0


def _nearest(points: Tensor, squares: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances of points (n, D) of known squared lengths to the nearest of others (m, D): (n,)."""
    return (squares + _without_squares(points, others).amin(1)).clamp_(min=0).sqrt_()


def _without_squares(points: Tensor, others: Tensor) -> Tensor:
    """|p - o|^2 - |p|^2 = |o|^2 - 2 p o: (n, m)."""
    return torch.addmm(others.square().sum(1), points, others.mT, alpha=-2)


def row_norms(points: Tensor) -> Tensor:
    """The length of each point's row of distances to all N points: (N, D) -> (N,).

    sum_j |x_i - x_j|^2 = N |x_i|^2 + sum_j |x_j|^2 - 2 x_i . sum_j x_j, so no N x N matrix is made.
    """
    centred = points - points.mean(0)  # the same distances, and sum_j x_j = 0
    squares = centred.square().sum(1)
    return (len(points) * squares + squares.sum()).sqrt()


def mean_distances(points: Tensor, others: Tensor) -> Tensor:
    """The mean Euclidean distance of each point (N, D) to others (n, D): (N,)."""
    squares = points.square().sum(1)[:, None]
    return (squares + _without_squares(points, others)).clamp_(min=0).sqrt_().mean(1)
