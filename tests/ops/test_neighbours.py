"""Nearest neighbours against a loop, and both engines against each other."""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from stackclip.errors import UsageError
from stackclip.ops import neighbours
from stackclip.ops.maps import unit
from stackclip.ops.neighbours import Bank, Metric, engine_here


def draw(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 24, generator=torch.Generator().manual_seed(seed))


def test_distances_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_PAIRS", 64)  # several portions
    queries, bank = draw(17, 0), draw(23, 1)
    expected = [min(1 - float(torch.cosine_similarity(query, known, dim=0)) for known in bank) for query in queries]
    torch.testing.assert_close(Bank(bank, engine="torch").distances(queries), torch.tensor(expected))


@pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
@pytest.mark.parametrize(("metric", "count"), [("cosine", 1), ("cosine", 3), ("squared", 1), ("squared", 3)])
def test_faiss_and_torch_find_the_same(metric: Metric, count: int) -> None:
    queries, bank = draw(200, 2), draw(500, 3)
    by_faiss, by_torch = (Bank(bank, metric=metric, engine=engine) for engine in ("faiss", "torch"))
    torch.testing.assert_close(
        by_faiss.distances(queries, count), by_torch.distances(queries, count), atol=1e-6, rtol=0
    )


def test_what_is_in_the_bank_is_at_no_distance_and_its_opposite_at_two() -> None:
    bank = draw(9, 4)
    torch.testing.assert_close(Bank(bank).distances(3 * bank), torch.zeros(9), atol=1e-6, rtol=0)
    torch.testing.assert_close(Bank(bank[:1]).distances(-bank[:1]), torch.tensor([2.0]))


@pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
@pytest.mark.parametrize(("metric", "index"), [("cosine", "IndexFlatIP"), ("squared", "IndexFlatL2")])
def test_faiss_finds_what_its_flat_index_finds(metric: Metric, index: str) -> None:
    import faiss

    queries, bank = unit(draw(200, 5)), unit(draw(500, 6))
    flat = getattr(faiss, index)(bank.shape[1])
    flat.add(bank.numpy())
    nearest = flat.search(queries.numpy(), 2)[1]
    assert neighbours._by_faiss(queries, bank, metric, 2).tolist() == nearest.tolist()


def test_vectors_are_scaled_once_however_often_they_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled: list[int] = []
    monkeypatch.setattr(neighbours, "unit", lambda vectors: scaled.append(len(vectors)) or unit(vectors))
    bank = Bank(draw(9, 7))
    for seed in range(3):
        bank.distances(draw(4, seed))
    assert scaled == [9, 4, 4, 4]


def test_a_pickled_bank_finds_the_same() -> None:
    bank, queries = Bank(draw(9, 8)), draw(5, 9)
    again = pickle.loads(pickle.dumps(bank))
    assert again.engine == bank.engine
    assert torch.equal(again.distances(queries), bank.distances(queries))


@pytest.mark.skipif(find_spec("faiss") is not None, reason="faiss is installed, and found before the folder")
def test_a_folder_called_faiss_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faiss").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert find_spec("faiss") is not None  # a namespace
    assert engine_here() == "torch"
    assert Bank(draw(9, 4)).engine == "torch"


def test_an_empty_bank_and_a_missing_engine_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least one normal picture"):
        Bank(draw(0, 0))
    monkeypatch.setattr(neighbours, "find_spec", lambda name: None)
    assert engine_here() == "torch"
    with pytest.raises(UsageError, match="faiss is not installed"):
        Bank(draw(2, 1), engine="faiss")
