"""Votes of remembered vectors against a loop over them, and against torch's own quantiles."""

from __future__ import annotations

import math

import pytest
import torch

from stackclip.heads import retrieval
from stackclip.heads.retrieval import Retrieval


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def remembering(count: int, width: int = 6, joint: int | None = None, *, room: int | None = None) -> Retrieval:
    found = Retrieval(room or count, width, joint, draws=torch.Generator().manual_seed(1))
    found.remember(noise(count, width), torch.arange(count).float() % 2)
    return found


def test_each_key_votes_by_its_cosine() -> None:
    memory, queries = remembering(5), noise(2, 3, 6, seed=2)
    with torch.no_grad():
        found = memory(queries)
    for query, vote in zip(queries.flatten(0, 1), found.flatten(), strict=True):
        weights = [math.exp(float(torch.cosine_similarity(query, key, dim=0))) for key in noise(5, 6)]
        assert float(vote) == pytest.approx((weights[1] + weights[3]) / sum(weights), rel=1e-5)


@torch.no_grad()
def test_trained_layers_take_the_place_of_cosines() -> None:
    memory, query = remembering(4, joint=3), noise(1, 6, seed=2)
    unit = query / query.norm()
    likeness = [float((memory.query(unit) * memory.key(key[None] / key.norm())).sum()) for key in noise(4, 6)]
    weights = [math.exp(each) for each in likeness]
    assert float(memory(query)) == pytest.approx((weights[1] + weights[3]) / sum(weights), rel=1e-5)


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("count", [1, 2, 5, 11, 40])
def test_hidden_are_the_keys_above_the_quantile_as_torch_has_it(quantile: float, count: int) -> None:
    values = noise(7, count)
    values[0] = 1.0  # all alike: none is above
    expected = values > torch.quantile(values.double(), quantile, dim=1, keepdim=True)
    assert torch.equal(retrieval._above(values, quantile), expected)


def test_a_training_picture_does_not_find_itself() -> None:
    memory = remembering(8)
    with torch.no_grad():
        one, other = memory(memory.keys[1]), memory(memory.keys[1], hidden=0.95)
    assert other < one  # its own key was anomalous


def test_what_there_is_no_room_for_is_left_out_and_what_is_there_stays() -> None:
    memory = remembering(5, room=8)
    before = memory.keys[:5].clone()
    memory.remember(noise(6, 6, seed=3), torch.ones(6))
    assert int(memory.held) == 8
    assert torch.equal(memory.keys[:5], before)
    assert memory.labels.tolist() == [0, 1, 0, 1, 0, 1, 1, 1]


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, queries = remembering(5, joint=4), noise(3, 7, 6, seed=2)
    whole = memory(queries, hidden=0.5).detach()
    monkeypatch.setattr(retrieval, "_PAIRS", 10)
    torch.testing.assert_close(memory(queries, hidden=0.5).detach(), whole)


def test_projected_keys_follow_training_and_memory() -> None:
    memory, queries = remembering(4, joint=3, room=6), noise(2, 6, seed=2)
    with torch.no_grad():
        before = memory(queries)
        memory.remember(noise(2, 6, seed=5), torch.ones(2))
        assert not torch.equal(memory(queries), before)
        before = memory(queries)
        memory.key.weight += 1
        assert not torch.equal(memory(queries), before)


@pytest.mark.parametrize(("labels", "both"), [([], False), ([0, 0], False), ([1], False), ([0, 1], True)])
def test_it_knows_whether_both_sides_are_there(labels: list[int], both: bool) -> None:
    memory = Retrieval(4, 3, draws=torch.Generator())
    memory.remember(noise(len(labels), 3), torch.tensor(labels).float())
    assert memory.knows_both is both


def test_what_is_remembered_later_or_loaded_votes_too() -> None:
    memory, whole, labels = remembering(0, room=5), remembering(5), torch.arange(5).float() % 2
    with torch.no_grad():
        memory.remember(noise(5, 6)[:2], labels[:2])
        alone = memory(noise(3, 6, seed=2))
        memory.remember(noise(5, 6)[2:], labels[2:])
        assert torch.allclose(memory(noise(3, 6, seed=2)), whole(noise(3, 6, seed=2)))
        other = Retrieval(5, 6, None, draws=torch.Generator().manual_seed(1))
        assert not other.knows_both
        other.load_state_dict(whole.state_dict())
        assert other.knows_both
        assert torch.equal(other(noise(3, 6, seed=2)), whole(noise(3, 6, seed=2)))
    assert not torch.allclose(alone, whole(noise(3, 6, seed=2)))
