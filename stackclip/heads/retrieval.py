"""How anomalous the remembered vectors are that a vector is like: a soft vote of all of them (MRAD, ICLR 2026)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from stackclip.heads.projections import draw_linear, empty_linear
from stackclip.ops.maps import unit
from stackclip.ops.modules import WhileUnchanged

__all__ = ["Retrieval"]

_PAIRS = 1 << 24  # compared at once: 64 MB of similarities


class Retrieval(nn.Module):
    """Up to `room` unit keys (M, C) with labels, and what they say of queries: softmax(similarities) @ labels.

    Similarities are cosines. With a `joint` width they are the products of two linear layers, one for queries and one
    for keys, Linear(C -> joint) with bias, named `query` and `key` and drawn from the generator.
    """

    keys: Tensor
    labels: Tensor
    held: Tensor

    def __init__(self, room: int, width: int, joint: int | None = None, *, draws: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(room, width))
        self.register_buffer("labels", torch.zeros(room))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))
        self.query = None if joint is None else empty_linear(width, joint)
        self.key = None if joint is None else empty_linear(width, joint)
        draw_linear(self, draws)
        self._projected = WhileUnchanged(self)
        self._filling: tuple[Tensor, int, int, bool] | None = None

    def remember(self, keys: Tensor, labels: Tensor) -> None:
        """Keep vectors (N, C) with labels (N,), 1 for ANOMALOUS; those that there is no room for are left out."""
        start = int(self.held)
        stop = min(start + len(keys), len(self.keys))
        self.keys[start:stop], self.labels[start:stop] = unit(keys)[: stop - start], labels[: stop - start]
        self.held.fill_(stop)

    @property
    def knows_both(self) -> bool:
        """Whether normal and anomalous vectors are remembered."""
        return self._filled[1]

    @property
    def _filled(self) -> tuple[int, bool]:
        """How many vectors are remembered and whether of both kinds, read once until that changes.

        So a prediction reads no number out of a tensor: it can be exported, and waits for no GPU.
        """
        if self._filling is None or self._filling[0] is not self.held or self._filling[1] != self.held._version:
            known = self.labels[: int(self.held)]
            both = 0 < float(known.sum()) < len(known)
            self._filling = self.held, self.held._version, len(known), both
        return self._filling[2:]

    def forward(self, queries: Tensor, *, hidden: float | None = None) -> Tensor:
        """The probability of ANOMALOUS of queries (..., C) of any length: (...).

        Where keys are `hidden`, as while it trains, those whose cosine with a query is above that quantile of its
        cosines do not count for it: a training picture would find itself.
        """
        count, _ = self._filled
        keys, labels, flat = self.keys[:count], self.labels[:count], unit(queries).reshape(-1, queries.shape[-1])
        products = self._product_keys(keys)
        some = max(1, _PAIRS // max(1, count))
        found = [self._votes(part, keys, products, hidden) @ labels for part in torch.split(flat, some)]
        return torch.cat(found).reshape(queries.shape[:-1])

    def _votes(self, queries: Tensor, keys: Tensor, products: Tensor, hidden: float | None) -> Tensor:
        """How much each key counts for each query: (N, M), rows sum to 1."""
        likeness = (queries if self.query is None else self.query(queries)) @ products.mT
        if hidden is not None:
            likeness = likeness.masked_fill(_above(queries @ keys.mT, hidden), -torch.inf)
        return likeness.softmax(-1)

    def _product_keys(self, keys: Tensor) -> Tensor:
        """The keys as queries are multiplied with them, made anew where training or memory changed them."""
        key = self.key
        if key is None:
            return keys
        if torch.is_grad_enabled():
            projected: Tensor = key(keys)
            return projected
        known: Tensor = self._projected.get(lambda: key(keys), (self.keys._version, self.held._version))
        return known


def _above(values: Tensor, quantile: float) -> Tensor:
    """Which values (N, M) are above the quantile of their row, as `torch.quantile` has it, without its limit of size.

    Between two values it interpolates: nothing lies between, so whatever is above it is above the lower of them.
    """
    rank = math.floor(round(quantile * (values.shape[-1] - 1), 9))
    return values > values.kthvalue(rank + 1, dim=-1, keepdim=True).values
