"""The patch memory against a loop over patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from stackclip.errors import UsageError
from stackclip.methods.memory import PatchMemory
from stackclip.types import NORMAL, Features, Sample, TowerSpec

TOWER = TowerSpec("tiny", image_size=12, grid=3, depth=4, width=6, joint=4, layers=(2, 4))


def features_of(categories: tuple[str, ...], seed: int) -> Features:
    draws = torch.Generator().manual_seed(seed)
    samples = tuple(
        Sample(f"{i}.png", "random", name, "test", Path("x"), None, NORMAL, "good") for i, name in enumerate(categories)
    )
    return Features(samples, {part: torch.randn(len(samples), 9, 6, generator=draws) for part in TOWER.taps})


def test_the_map_is_the_cosine_distance_to_the_nearest_patch_of_the_categorys_shots():
    shots = {name: features_of((name,) * 2, seed) for seed, name in enumerate(("nut", "pill"))}
    for seed, name in enumerate(("pill", "nut"), start=7):
        memory, tested, wanted = (
            PatchMemory(TOWER, [shots[name]]),
            features_of((name,) * 2, seed),
            torch.zeros(2, 12, 12),
        )
        for row in range(2):
            for part in TOWER.taps:
                distances = torch.zeros(9)
                for index, token in enumerate(tested[part][row]):
                    bank = shots[name][part].reshape(-1, 6)
                    distances[index] = min(float(1 - F.cosine_similarity(token, other, dim=0)) for other in bank)
                grid = distances.reshape(1, 1, 3, 3)
                wanted[row] += F.interpolate(grid, size=12, mode="bilinear", align_corners=True)[0, 0]
        torch.testing.assert_close(memory.maps(tested), wanted, atol=1e-5, rtol=0)


def test_a_picture_that_was_shown_is_nowhere_anomalous():
    shown = features_of(("nut",) * 3, 0)
    memory = PatchMemory(TOWER, [shown])
    torch.testing.assert_close(memory.maps(shown), torch.zeros(3, 12, 12), atol=1e-5, rtol=0)


def test_shots_that_come_in_several_batches_are_one_memory_though_the_buffers_are_used_again():
    shown, tested = features_of(("nut",) * 5, 0), features_of(("nut",), 2)

    def stream() -> Iterator[Features]:
        for rows in (slice(0, 2), slice(2, 5)):
            batch = Features(shown.samples[rows], {part: tensor[rows].clone() for part, tensor in shown.parts.items()})
            yield batch
            for tensor in batch.parts.values():
                tensor.fill_(float("nan"))

    assert torch.equal(PatchMemory(TOWER, stream()).maps(tested), PatchMemory(TOWER, [shown]).maps(tested))


def test_a_memory_of_one_stream_knows_nothing_of_another():
    one, other = (features_of(("nut",), seed) for seed in (0, 1))
    before = PatchMemory(TOWER, [other]).maps(one)
    PatchMemory(TOWER, [one])
    assert torch.equal(PatchMemory(TOWER, [other]).maps(one), before)
    assert before.amax() > 0.1


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(UsageError):
        PatchMemory(TOWER, [])
