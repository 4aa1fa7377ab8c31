"""The nearest remembered vectors: by faiss where it is installed, by torch elsewhere, with the same distances."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from stackclip.errors import UsageError
from stackclip.ops.maps import unit

__all__ = ["Bank", "Engine", "Metric", "engine_here"]

Engine = Literal["faiss", "torch"]
Metric = Literal["cosine", "squared"]
"""1 - cos, or the squared Euclidean distance."""

_PAIRS = 1 << 24  # compared at once by torch: 64 MB of cosines


def engine_here() -> Engine:
    """What a `Bank` is searched by unless told otherwise."""
    return "faiss" if _is_faiss_here() else "torch"


def _is_faiss_here() -> bool:
    """Whether it is installed; a mere folder of the name, which Python takes for a package too, has no file to load."""
    found = find_spec("faiss")
    return found is not None and found.origin is not None


@dataclass(frozen=True, eq=False)
class Bank:
    """Remembered vectors (M, C), for cosines scaled to length 1 once, and searched many times.

    Vectors on a GPU, and those of a graph that is exported, are always searched by torch. Raises UsageError where there
    is nothing to remember, and for faiss where it is not installed.
    """

    vectors: Tensor
    metric: Metric = field(default="cosine", kw_only=True)
    engine: Engine = field(default_factory=engine_here, kw_only=True)

    def __post_init__(self) -> None:
        if not len(self.vectors):
            raise UsageError("nothing is remembered, so nothing is near: show at least one normal picture")
        if self.engine == "faiss" and not _is_faiss_here():
            raise UsageError("faiss is not installed: pip install 'stackclip[faiss]', or leave the search to torch")
        object.__setattr__(self, "vectors", self._compared(self.vectors))

    def distances(self, queries: Tensor, neighbours: int = 1) -> Tensor:
        """The mean distance of each query to its nearest vectors: (N, C) -> (N,); cosines give 0 to 2.

        The search says which vectors are the nearest; their distances are computed alike for both engines, so they can
        differ only where two are equally near to rounding. A bank of fewer vectors than `neighbours` gives all it has.
        """
        queries, count = self._compared(queries), min(neighbours, len(self.vectors))
        by_faiss = self.engine == "faiss" and not self.vectors.is_cuda and not torch.compiler.is_exporting()
        search = _by_faiss if by_faiss else _by_torch
        near = self.vectors[search(queries, self.vectors, self.metric, count)]  # (N, n, C)
        if self.metric == "squared":
            return (queries[:, None] - near).square().sum(-1).mean(1)
        return (1 - (queries[:, None] * near).sum(-1)).clamp(min=0).mean(1)

    def _compared(self, vectors: Tensor) -> Tensor:
        return unit(vectors) if self.metric == "cosine" else vectors


def _by_torch(queries: Tensor, bank: Tensor, metric: Metric, count: int) -> Tensor:
    """The places (N, n) of the nearest vectors of a bank, the nearest first."""
    some = max(1, _PAIRS // len(bank))
    found = torch.empty(len(queries), count, dtype=torch.long, device=queries.device)
    own = bank.square().sum(1) / 2 if metric == "squared" else None
    for start in range(0, len(queries), some):
        near = queries[start : start + some] @ bank.mT
        near = near if own is None else near - own  # |q - b|^2 = |q|^2 - 2 (q b - |b|^2 / 2)
        found[start : start + some] = near.argmax(1, keepdim=True) if count == 1 else near.topk(count).indices
    return found


def _by_faiss(queries: Tensor, bank: Tensor, metric: Metric, count: int) -> Tensor:
    import faiss

    asked, known = (vectors.detach().float().contiguous().numpy() for vectors in (queries, bank))
    measure = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
    # The search of a flat index, without the copy of the bank that such an index is.
    return torch.from_numpy(faiss.knn(asked, known, count, metric=measure)[1])
