"""How far the patches of pictures are from those of each other: all pairs, in tiles, each product used both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["lowest_means", "lowest_pooled", "mutual_distances", "neighbour_means"]

_PAIRS = 1 << 24  # patches compared at once: 64 MB of cosines
_ALIKE = 0.995  # a larger cosine is too near 1 for its distance: that is computed from the difference of the two


def mutual_distances(
    pictures: Callable[[], Iterator[Tensor]], count: int, *, room: int, same_place: bool = False
) -> Tensor:
    """From each patch of picture i to the nearest one of picture j: Euclidean distances (N, N, P), infinite for i = j.

    Each `pictures()` streams the unit tokens (P, C) of all `count` pictures anew. As many as fit into `room` bytes are
    held and compared with all that follow; the stream is then run through for the next ones. One matrix of
    cosines serves both directions of two pictures, and only a tile of it is there at a time. With `same_place` a patch
    is compared with that of its own place alone.
    """
    found, start = torch.empty(0), 0
    while start < count:
        held, number = torch.empty(0), 0
        for index, tokens in enumerate(pictures()):
            if index < start:
                continue
            if not len(held):
                fitting = max(1, room // (tokens.numel() * tokens.element_size()))
                held = tokens.new_empty(min(count - start, fitting), *tokens.shape)
            if not len(found):
                found = tokens.new_full((count, count, len(tokens)), torch.inf)
            for some in _tiles(number, len(tokens)):
                others = slice(start + some.start, start + some.stop)
                compare = _in_place if same_place else _nearest
                found[index, others], found[others, index] = compare(tokens, held[some])
            if number < len(held):
                held[number], number = tokens, number + 1
        start += number
    return found


def _tiles(pictures: int, patches: int) -> Iterator[slice]:
    size = max(1, _PAIRS // patches**2)
    for start in range(0, pictures, size):
        yield slice(start, min(start + size, pictures))


def _nearest(tokens: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of tokens (P, C) to the nearest of n other pictures (n, P, C), and of theirs to them: (n, P) each."""
    cosines = (others.flatten(0, 1) @ tokens.mT).reshape(*others.shape[:2], -1)  # (n, P of others, P)
    largest, of_others = cosines.amax(1), cosines.amax(2)
    ahead, back = (_apart(each) for each in (largest, of_others))
    picture, place = (largest > _ALIKE).nonzero(as_tuple=True)
    near = others[picture, cosines[picture, :, place].argmax(1)]
    ahead[picture, place] = (tokens[place] - near).norm(dim=-1)
    picture, place = (of_others > _ALIKE).nonzero(as_tuple=True)
    near = tokens[cosines[picture, place].argmax(1)]
    back[picture, place] = (others[picture, place] - near).norm(dim=-1)
    return ahead, back


def _apart(cosines: Tensor) -> Tensor:
    """|a - b|^2 = 2 - 2 cos for unit vectors."""
    return (2 - 2 * cosines).clamp_(min=0).sqrt_()


def _in_place(tokens: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    apart = (others - tokens).norm(dim=-1)
    return apart, apart


def lowest_means(distances: Tensor, low: float, high: float) -> Tensor:
    """The mean of the lowest of the distances of each patch to the other pictures: (N, N, P) -> (N, P).

    In order from the nearest, of the N - 1 those from int(low (N - 1)) to int(high (N - 1)) count, and at least one.
    MuSc, equation 5.
    """
    others = len(distances) - 1
    last = max(1, int(high * others))
    first = min(int(low * others), last - 1)
    return torch.stack([each.topk(last, dim=0, largest=False).values[first:].mean(0) for each in distances])


def lowest_pooled(pictures: Tensor, share: float) -> Tensor:
    """1 - cos of each patch to the most similar ones of all other pictures together, in the mean: (N, P, C) -> (N, P).

    Of the M patches of the others those count that are nearer than the int(share M)-th, and at least one. AnomalyDINO,
    batched zero-shot. Tokens are unit vectors.
    """
    count = max(1, int(share * (len(pictures) - 1) * pictures.shape[1]))
    return torch.stack([_pooled(pictures, index, count) for index in range(len(pictures))])


def _pooled(pictures: Tensor, index: int, count: int) -> Tensor:
    tokens = pictures[index]
    best = tokens.new_full((len(tokens), count), -torch.inf)  # (P, n), the largest cosines so far
    for part in (pictures[:index], pictures[index + 1 :]):
        for some in _tiles(len(part), len(tokens)):
            best = torch.cat([best, tokens @ part[some].flatten(0, 1).mT], 1).topk(count, dim=1).values
    counted = best > best[:, -1:]
    counted[:, 0] = True
    return ((1 - best) * counted).sum(1) / counted.sum(1)


def neighbour_means(scores: Tensor, tokens: Tensor, neighbours: int) -> Tensor:
    """Scores (N,) as the means over the `neighbours` nearest pictures by unit tokens (N, D), itself among them.

    Means weighted by cosines. MuSc, equation 8.
    """
    near = (tokens @ tokens.mT).topk(neighbours, dim=1)
    weights = near.values / near.values.sum(1, keepdim=True)
    return (weights * scores[near.indices]).sum(1)
