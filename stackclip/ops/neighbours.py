"""The nearest remembered vector: by faiss where it is installed, by torch elsewhere, with the same distances."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from stackclip.errors import UsageError
from stackclip.ops.maps import unit

__all__ = ["Bank", "Engine", "engine_here"]

Engine = Literal["faiss", "torch"]
_PAIRS = 1 << 24  # compared at once by torch: 64 MB of cosines


def engine_here() -> Engine:
    """What a `Bank` is searched by unless told otherwise."""
    return "faiss" if find_spec("faiss") is not None else "torch"


@dataclass(frozen=True, eq=False)
class Bank:
    """Remembered vectors (M, C), scaled to length 1 once and searched many times.

    Vectors on a GPU are always searched by torch. Raises UsageError where there is nothing to remember, and for faiss
    where it is not installed.
    """

    vectors: Tensor
    engine: Engine = field(default_factory=engine_here, kw_only=True)

    def __post_init__(self) -> None:
        if not len(self.vectors):
            raise UsageError("nothing is remembered, so nothing is near: show at least one normal picture")
        if self.engine == "faiss" and find_spec("faiss") is None:
            raise UsageError("faiss is not installed: pip install 'stackclip[faiss]', or leave the search to torch")
        object.__setattr__(self, "vectors", unit(self.vectors))

    def distances(self, queries: Tensor) -> Tensor:
        """1 - cos of each query with the most similar vector: (N, C) -> (N,), between 0 and 2.

        The search says which vector is the nearest; its distance is computed alike for both engines, so they can
        differ only where two are equally near to rounding.
        """
        queries = unit(queries)
        by_faiss = self.engine == "faiss" and not self.vectors.is_cuda
        nearest = _by_faiss(queries, self.vectors) if by_faiss else _by_torch(queries, self.vectors)
        return (1 - (queries * self.vectors[nearest]).sum(-1)).clamp(min=0)


def _by_torch(queries: Tensor, bank: Tensor) -> Tensor:
    some = max(1, _PAIRS // len(bank))
    found = torch.empty(len(queries), dtype=torch.long, device=queries.device)
    for start in range(0, len(queries), some):
        found[start : start + some] = (queries[start : start + some] @ bank.mT).argmax(1)
    return found


def _by_faiss(queries: Tensor, bank: Tensor) -> Tensor:
    import faiss

    asked, known = (vectors.detach().float().contiguous().numpy() for vectors in (queries, bank))
    # The search of a flat index, without the copy of the bank that such an index is.
    return torch.from_numpy(faiss.knn(asked, known, 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 0])
