"""AnomalyDINO's recipe against outputs of its released code on given tokens, and by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import PHASES, resolve
from stackclip.methods.anomaly_dino import tail_mean
from stackclip.ops.foreground import foreground
from stackclip.ops.maps import gaussian_matrix, interpolation_matrix, unit
from stackclip.ops.mutual import lowest_pooled
from stackclip.ops.neighbours import Bank
from stackclip.types import Features, Part

GRID, PICTURE = (18, 24), (96, 131)
PLAIN = (0, 8)  # the references without rotations


@pytest.fixture(scope="module")
def stored(golden_arrays: Callable[[str], Any]) -> Any:
    return golden_arrays("anomalydino")


def tokens(stored: Any, name: str) -> Tensor:
    return torch.from_numpy(stored.given(f"{name}_tokens")).float()


def mask_of(patches: Tensor, threshold: float = 10.0) -> Tensor:
    return foreground(patches, GRID, threshold, spread=False, reach="row")


def close(found: Tensor, wanted: Any, *, atol: float) -> None:
    np.testing.assert_allclose(found.numpy(), wanted, atol=atol, rtol=0)


def test_the_object_is_that_of_the_released_code(stored: Any) -> None:
    tested, shots = tokens(stored, "test"), tokens(stored, "ref")
    for name, pictures in (("test_masks", tested), ("ref_masks", shots[list(PLAIN)])):
        close(torch.stack([mask_of(each) for each in pictures]).float(), stored[name], atol=0)
    first = tested[0]
    found = torch.stack([mask_of(-first), mask_of(0.2 * first), mask_of(first, 25.0)])
    close(found.float(), stored["mask_negated_input"], atol=0)


@pytest.mark.parametrize("name", ["agnostic", "no_mask", "mask_refs", "k3", "l2_k3", "oneshot_seed1"])
def test_distances_maps_and_scores_are_the_released_ones(stored: Any, name: str) -> None:
    tested, shots = tokens(stored, "test"), tokens(stored, "ref")
    turned = name in ("agnostic", "no_mask")
    pictures = {"oneshot_seed1": [8]}.get(name, range(16) if turned else PLAIN)
    shown = [shots[each][mask_of(shots[each])] if name == "mask_refs" else shots[each] for each in pictures]
    metric: Any = "squared" if name == "l2_k3" else "cosine"
    bank = Bank(torch.cat(shown), metric=metric, engine="torch")
    found = torch.stack([bank.distances(each, 3 if name.endswith("k3") else 1) for each in tested])
    found = found.sqrt() if metric == "squared" else found
    if name in ("agnostic", "mask_refs", "oneshot_seed1"):
        found = found * torch.stack([mask_of(each) for each in tested])
    atol = 3e-4 if metric == "squared" else 1e-6  # of 65
    close(found.unflatten(1, GRID), stored[f"{name}_dists"], atol=atol)
    close(tail_mean(found), stored[f"{name}_scores"], atol=atol)
    maps = found.unflatten(1, GRID).double()
    for axis, (grid, side) in enumerate(zip(GRID, PICTURE, strict=True)):
        matrix = gaussian_matrix(side, 4.0) @ interpolation_matrix(grid, side, align_corners=False)
        maps = matrix @ maps if axis == 0 else maps @ matrix.mT
    close(maps[:, ::4, ::4], stored[f"{name}_maps"], atol=atol)


def test_scores_of_few_patches_are_the_released_ones(stored: Any) -> None:
    first = torch.from_numpy(stored.given("batched_dists"))[0]
    found = torch.cat([tail_mean(first[None, :count]) for count in (99, 100, 199, 250)])
    close(found, stored["top1p_short"], atol=1e-6)


def test_pictures_beside_each_other_score_as_released(stored: Any) -> None:
    tested, shots = tokens(stored, "test"), tokens(stored, "ref")
    found = lowest_pooled(unit(torch.cat([tested, shots[[0, 4, 8, 12]]])), 0.001)
    close(found, stored["batched_dists"], atol=5e-5)
    close(tail_mean(found), stored["batched_scores"], atol=5e-5)
    masked = found[:4] * torch.stack([mask_of(each) for each in tested])
    close(tail_mean(masked), stored["batched_scores_masked_tests"], atol=5e-5)


def pictures(spec: str, seed: int = 0) -> Features:
    """Two pictures of a bottle with all that a method reads of any."""
    needs = (resolve(spec).needs(trial_tower().spec, phase) for phase in PHASES)
    return features_of(frozenset[Part]().union(*needs), ("bottle",), seed=seed)


def begun(spec: str, **changes: Any) -> Any:
    return resolve(spec).begin(task_of(**changes))


def test_shots_are_read_in_all_rotations_and_tested_pictures_as_they_are() -> None:
    spec = trial_tower().spec
    shots, tested = (resolve("anomaly-dino").needs(spec, phase) for phase in ("shots", "test"))
    assert sorted(part.view for part in shots) == ["", *sorted(f"rot{45 * turn}" for turn in range(1, 8))]
    assert {part.view for part in tested} == {""}
    assert resolve("anomaly-dino[rotations=1]").needs(spec, "shots") == tested


@pytest.mark.parametrize("mask", ["none", "tested", "all"])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_patches_are_as_far_as_in_a_loop(mask: str, metric: str) -> None:
    spec = f"anomaly-dino[rotations=4,mask={mask},metric={metric},sigma=0.0,neighbours=2]"
    shots, tested, detector = pictures(spec), pictures(spec, seed=1), begun(spec, shots=2)
    inspector = detector.on("bottle", iter([shots]), iter(()))
    remembered = [each for part in detector.method.views(detector.part) for each in detector.tokens(shots, part)]
    if mask == "all":
        remembered = [each[detector.of_object(each)] for each in remembered]
    bank, wanted = torch.cat(remembered), []
    for picture in detector.tokens(tested):
        counted = torch.ones(len(picture)) if mask == "none" else detector.of_object(picture).float()
        if metric == "cosine":
            near = (1 - torch.cosine_similarity(picture[:, None], bank[None], dim=-1)).sort(1).values[:, :2].mean(1)
        else:
            near = (picture[:, None] - bank[None]).square().sum(-1).sort(1).values[:, :2].mean(1).sqrt()
        wanted.append((near * counted).max())
    torch.testing.assert_close(inspector.predict(tested).scores, torch.stack(wanted), atol=1e-4, rtol=1e-4)


def test_beside_each_other_pictures_take_no_shots_and_see_all_others() -> None:
    spec = "anomaly-dino[references=tested,mask=none]"
    tested, detector = pictures(spec), begun(spec)
    assert not detector.takes_shots
    assert detector.facts["transductive"] == "scores and maps"
    inspector = detector.on("bottle", iter(()), iter(()))
    inspector.survey(lambda: (tested.rows(row, row + 1) for row in range(2)))
    first, other = detector.tokens(tested)
    wanted = (1 - torch.cosine_similarity(first[:, None], other[None], dim=-1)).amin(1)  # fewer than 2000: the nearest
    torch.testing.assert_close(inspector.predict(tested).scores[0], wanted.max(), atol=1e-5, rtol=0)
    with pytest.raises(NotApplicable, match="was not among those it surveyed"):
        inspector.predict(features_of(frozenset(tested.parts), ("nut",)))
    with pytest.raises(NotApplicable, match="give it at least 2"):
        inspector.survey(lambda: iter((tested.rows(0, 1),)))


@pytest.mark.parametrize("options", ["rotations=0", "rotations=361", "neighbours=0", "threshold=-1.0", "sigma=-1.0"])
def test_numbers_that_cannot_be_are_refused(options: str) -> None:
    with pytest.raises(BadOption, match=options.partition("=")[0]):
        resolve(f"anomaly-dino[{options}]")


def test_shots_without_any_object_are_told() -> None:
    spec = "anomaly-dino[rotations=1,mask=all,threshold=1000]"
    with pytest.raises(NotApplicable, match=r"no patch of the normal pictures shown .* lower threshold=1000"):
        begun(spec, shots=2).on("bottle", iter([pictures(spec)]), iter(()))
