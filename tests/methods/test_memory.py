"""The patch memory against a loop over patches."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

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
    memory = PatchMemory(TOWER)
    shots = {name: features_of((name,) * 2, seed) for seed, name in enumerate(("nut", "pill"))}
    for name, shown in shots.items():
        memory.remember(name, shown)
    tested = features_of(("pill", "nut"), 7)
    wanted = torch.zeros(2, 12, 12)
    for row, name in enumerate(("pill", "nut")):
        for part in TOWER.taps:
            distances = torch.zeros(9)
            for index, token in enumerate(tested[part][row]):
                bank = shots[name][part].reshape(-1, 6)
                distances[index] = min(float(1 - F.cosine_similarity(token, other, dim=0)) for other in bank)
            grid = distances.reshape(1, 1, 3, 3)
            wanted[row] += F.interpolate(grid, size=12, mode="bilinear", align_corners=True)[0, 0]
    torch.testing.assert_close(memory.maps(tested), wanted, atol=1e-5, rtol=0)


def test_a_picture_that_was_shown_is_nowhere_anomalous():
    memory = PatchMemory(TOWER)
    shown = features_of(("nut",) * 3, 0)
    memory.remember("nut", shown)
    torch.testing.assert_close(memory.maps(shown), torch.zeros(3, 12, 12), atol=1e-5, rtol=0)


def test_shots_shown_again_replace_those_before():
    memory, fresh = PatchMemory(TOWER), PatchMemory(TOWER)
    memory.remember("nut", features_of(("nut",), 0))
    for each in (memory, fresh):
        each.remember("nut", features_of(("nut",), 1))
    tested = features_of(("nut",), 2)
    assert torch.equal(memory.maps(tested), fresh.maps(tested))
