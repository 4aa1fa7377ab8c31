"""PatchCore against outputs of its released code on given taps, and on its own: memory, seeds, what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import resolve
from stackclip.methods.patchcore import coreset, joined_patches
from stackclip.ops.coresets import farthest_first, mean_distances, row_norms
from stackclip.ops.maps import local_means, pixels, smooth
from stackclip.ops.neighbours import Bank
from stackclip.sizes import frame_of
from stackclip.types import Features

SIDES = {"t12s_112": 112, "t12m_160": 160}
TAPS = {"t12s_112": "aprilgan_t12s_112_gelu", "t12m_160": "aprilgan_t12m_160_gelu"}


@pytest.fixture(scope="module", params=sorted(SIDES))
def case(request: pytest.FixtureRequest, golden_arrays: Callable[[str], Any]) -> tuple[str, Any, Any]:
    name: str = request.param
    return name, golden_arrays(f"patchcore_{name}"), golden_arrays(TAPS[name])


def close(found: torch.Tensor, stored: Any, *, atol: float) -> None:
    np.testing.assert_allclose(found.numpy(), stored, atol=atol, rtol=0)


def given(arrays: Any, name: str) -> torch.Tensor:
    return torch.from_numpy(arrays.given(name)).float()


def test_patches_are_described_as_released(case: tuple[str, Any, Any]) -> None:
    side, stored, taps = SIDES[case[0]], *case[1:]
    grid = frame_of(side, given(taps, "tap6").shape[1] - 1).grid
    for prefix, name in (("", "embed"), ("shot_", "shot_embed")):
        layers = [given(taps, f"{prefix}tap{layer}")[:, 1:] for layer in (6, 12)]
        for join in ("concat", "merged"):
            found = joined_patches(layers, merged=join == "merged", grid=grid)
            close(found.flatten(0, 1), stored[f"{join}_{name}"], atol=1e-5)
    pooled = [local_means(given(taps, f"{prefix}tap6")[:, 1:], 3, grid).flatten(0, 1) for prefix in ("", "shot_")]
    close(torch.cat(pooled), stored["meanpool_reference_tap6"], atol=1e-5)


def test_the_coresets_are_the_released_ones(case: tuple[str, Any, Any]) -> None:
    _, stored, _ = case
    patches, draws = given(stored, "concat_shot_embed"), torch.Generator()
    for percent in (10, 25):
        found = coreset(patches, percent / 100, sampler="exact", draws=draws)
        close(found, stored[f"greedy_exact_indices_{percent}pct"], atol=0)
    close(patches[found], stored["bank"], atol=0)
    points = patches @ given(stored, "projection").mT
    close(farthest_first(points, len(found), row_norms(points)), stored["greedy_projected_indices_25pct"], atol=0)
    starts = torch.from_numpy(stored.given("approx_start_points")).long()
    close(
        farthest_first(patches, len(found), mean_distances(patches, patches[starts])),
        stored["approx_indices_25pct"],
        atol=0,
    )


def test_distances_maps_and_scores_are_the_released_ones(case: tuple[str, Any, Any]) -> None:
    name, stored, _ = case
    chosen = torch.from_numpy(stored.given("greedy_exact_indices_25pct")).long()
    for join in ("concat", "merged"):
        patches, bank = given(stored, f"{join}_embed"), given(stored, f"{join}_shot_embed")[chosen]
        pictures = patches.unflatten(0, (3, -1))
        for neighbours in (1, 3):
            found = torch.stack(
                [Bank(bank, metric="squared", engine="torch").distances(each, neighbours) for each in pictures]
            )
            wanted = stored[f"{join}_nn{neighbours}_patch_scores"].reshape(found.shape)
            close(found, wanted, atol=1e-4)
            close(found.amax(1), stored[f"{join}_nn{neighbours}_image_scores"], atol=1e-4)
            maps = smooth(pixels(found, SIDES[name], align_corners=False), 4.0)
            close(maps[:, ::4, ::4], stored[f"{join}_nn{neighbours}_maps"], atol=1e-4)


def pictures(count: int, seed: int = 0) -> Features:
    """Pictures of one category."""
    parts = resolve("patchcore-clip").needs(trial_tower().spec, "test")
    found = features_of(parts, ("bottle",) * -(-count // 2), seed=seed)
    return found.rows(0, count)


def shown(spec: str, *shots: Features, **changes: Any) -> Any:
    return resolve(spec).begin(task_of(shots=2, **changes)).on("bottle", iter(shots), iter(()))


def test_a_picture_is_as_far_as_its_patches_are_in_a_loop() -> None:
    shots, tested = pictures(2), pictures(2, seed=1)
    inspector = shown("patchcore-clip[share=1.0,sigma=0.0]", shots)
    bank, own = (inspector.detector.described(each) for each in (shots, tested))
    distances = torch.cdist(own, bank.flatten(0, 1)[None]).square().amin(2)  # (B, P)
    torch.testing.assert_close(inspector.predict(tested).scores, distances.amax(1), atol=1e-3, rtol=1e-3)
    assert inspector.predict(shots).scores.max() < 1e-6 < inspector.predict(tested).scores.min()


def test_shots_that_come_in_batches_whose_buffers_are_used_again_make_the_same_bank() -> None:
    shots = pictures(6)

    def stream() -> Iterator[Features]:
        for start in range(0, 6, 2):
            batch = Features(
                shots.samples[start : start + 2], {p: t[start : start + 2].clone() for p, t in shots.parts.items()}
            )
            yield batch
            for tensor in batch.parts.values():
                tensor.fill_(float("nan"))

    once = shown("patchcore-clip", shots)
    streamed = resolve("patchcore-clip").begin(task_of(shots="all")).on("bottle", stream(), iter(()))
    assert torch.equal(once.bank.vectors, streamed.bank.vectors)


def test_what_there_is_no_room_for_is_not_remembered_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    shots = pictures(6)
    picture = shown("patchcore-clip", shots).detector.described(shots)[0]
    room = 3.5 * picture.numel() * 4 / 2**30
    kept = [shown(f"patchcore-clip[room={room},share=1.0]", shots, seed=seed) for seed in (0, 0, 1)]
    assert [each.calibrated["remembered"]["pictures"] for each in kept] == [3, 3, 3]
    assert all(each.calibrated["remembered"]["of"] == 6 for each in kept)
    assert "the patches of 3 of 6 normal pictures fit into room=" in caplog.text
    scores = [each.predict(shots).scores for each in kept]
    assert [int((each < 1e-6).sum()) for each in scores] == [3, 3, 3]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


def test_the_bank_is_drawn_by_the_seed_and_by_nothing_else() -> None:
    shots = pictures(4)
    banks = [shown("patchcore-clip[share=0.3]", shots, seed=seed).bank.vectors for seed in (0, 0, 1)]
    assert torch.equal(banks[0], banks[1])
    assert not torch.equal(banks[0], banks[2])
    exact = [shown("patchcore-clip[share=0.3,sampler=exact]", shots, seed=seed).bank.vectors for seed in (0, 1)]
    assert torch.equal(*exact)


@pytest.mark.parametrize("options", ["share=0.0", "share=1.5", "neighbours=0", "room=0.0", "sigma=-1.0", "shots=-1"])
def test_numbers_that_cannot_be_are_refused(options: str) -> None:
    with pytest.raises(BadOption, match=options.partition("=")[0]):
        resolve(f"patchcore-clip[{options}]")


def test_a_tower_of_one_layer_is_refused() -> None:
    spec = trial_tower().spec
    with pytest.raises(NotApplicable, match="joins the patches of two layers"):
        resolve("patchcore-clip").needs(type(spec)("flat", 32, 4, 2, 8, 8, (2,)), "test")
