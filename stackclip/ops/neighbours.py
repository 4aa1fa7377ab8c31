"""The nearest remembered vector: by faiss where it is installed, by torch elsewhere, with the same distances."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from stackclip.errors import UsageError
from stackclip.ops.maps import unit

__all__ = ["Engine", "engine_here", "nearest_cosine"]

Engine = Literal["faiss", "torch"]
_PAIRS = 1 << 24  # compared at once by torch: 64 MB of cosines


def engine_here() -> Engine:
    """What `nearest_cosine` uses unless told otherwise."""
    return "faiss" if find_spec("faiss") is not None else "torch"


def nearest_cosine(queries: Tensor, bank: Tensor, *, engine: Engine | None = None) -> Tensor:
    """1 - cos of each query with the most similar vector of the bank: (N, C) and (M, C) -> (N,), between 0 and 2.

    The search says which vector is the nearest; its distance is computed alike for both engines, so they can differ
    only where two are equally near to rounding. On a GPU torch always searches. Raises UsageError for an empty bank,
    and for faiss where it is not installed.
    """
    if not len(bank):
        raise UsageError("nothing is remembered, so nothing is near: show at least one normal picture")
    queries, bank = unit(queries), unit(bank)
    chosen = engine or engine_here()
    indices = _by_faiss(queries, bank) if chosen == "faiss" and not queries.is_cuda else _by_torch(queries, bank)
    return (1 - (queries * bank[indices]).sum(-1)).clamp(min=0)


def _by_torch(queries: Tensor, bank: Tensor) -> Tensor:
    some = max(1, _PAIRS // len(bank))
    found = torch.empty(len(queries), dtype=torch.long, device=queries.device)
    for start in range(0, len(queries), some):
        found[start : start + some] = (queries[start : start + some] @ bank.mT).argmax(1)
    return found


def _by_faiss(queries: Tensor, bank: Tensor) -> Tensor:
    if find_spec("faiss") is None:
        raise UsageError("faiss is not installed: pip install 'stackclip[faiss]', or leave the search to torch")
    import faiss

    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(bank.detach().float().contiguous().numpy())
    found = index.search(queries.detach().float().contiguous().numpy(), 1)[1][:, 0]
    return torch.from_numpy(found)
