"""Nearest neighbours against a loop, and both engines against each other."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from stackclip.errors import UsageError
from stackclip.ops import neighbours
from stackclip.ops.neighbours import engine_here, nearest_cosine


def draw(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(seed))


def test_distances_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_PAIRS", 64)  # several portions
    queries, bank = draw(17, 0), draw(23, 1)
    expected = [min(1 - float(torch.cosine_similarity(query, known, dim=0)) for known in bank) for query in queries]
    torch.testing.assert_close(nearest_cosine(queries, bank, engine="torch"), torch.tensor(expected))


@pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
def test_faiss_and_torch_find_the_same() -> None:
    queries, bank = draw(200, 2), draw(500, 3)
    torch.testing.assert_close(
        nearest_cosine(queries, bank, engine="faiss"), nearest_cosine(queries, bank, engine="torch"), atol=1e-6, rtol=0
    )


def test_what_is_in_the_bank_is_at_no_distance_and_its_opposite_at_two() -> None:
    bank = draw(9, 4)
    torch.testing.assert_close(nearest_cosine(3 * bank, bank), torch.zeros(9), atol=1e-6, rtol=0)
    torch.testing.assert_close(nearest_cosine(-bank[:1], bank[:1]), torch.tensor([2.0]))


def test_an_empty_bank_and_a_missing_engine_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least one normal picture"):
        nearest_cosine(draw(2, 0), draw(0, 0))
    monkeypatch.setattr(neighbours, "find_spec", lambda name: None)
    assert engine_here() == "torch"
    with pytest.raises(UsageError, match="faiss is not installed"):
        nearest_cosine(draw(2, 0), draw(2, 1), engine="faiss")
