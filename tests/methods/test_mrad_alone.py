"""MRAD by itself: what it remembers, a training that is stopped, and what it refuses."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import Moment, resolve
from stackclip.methods.mrad import region_keys
from stackclip.ops.windows import window_means
from stackclip.sizes import Size
from stackclip.types import Features


@pytest.fixture
def features() -> Features:
    return features_of(resolve("mrad").needs(trial_tower().spec, "train"), CATEGORIES)


def begun(options: str = "", **changes: Any) -> Any:
    return resolve(f"mrad[{options}]").begin(task_of(**changes))


def test_it_remembers_in_one_pass_whatever_epochs_are_asked_for() -> None:
    for options, names in (("mode=tf", []), ("mode=ft", ["retrieval"]), ("mode=clip", ["retrieval", "prompts"])):
        for epochs in (0, 3):
            stages = begun(options, epochs=epochs).stages
            assert [(stage.name, stage.epochs) for stage in stages] == [
                ("memory", 1),
                *((name, epochs) for name in names if epochs),
            ]


def test_it_remembers_as_many_as_there_is_room_for_and_says_so(
    features: Features, caplog: pytest.LogCaptureFixture, logging_as_it_was: None
) -> None:
    logging.getLogger("stackclip").propagate = True
    detector = begun("mode=tf,most=4")
    assert "remembers 4 of 6 training pictures" in caplog.text
    for start in (0, 3):
        detector.step(features.rows(start, start + 3), Moment(detector.stages[0], 0, 0, False))
    whole = begun("mode=tf", pictures=4)
    whole.step(features.rows(0, 4), Moment(whole.stages[0], 0, 0, True))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(detector.state_dict()[name], tensor)


def test_who_remembers_nothing_says_so(features: Features) -> None:
    found = begun().predict(features)
    assert (found.scores, found.maps) == (None, None)
    assert "remembers no normal, or no anomalous," in found.why_no_scores


@pytest.mark.parametrize("mode", ["tf", "ft", "clip"])
def test_a_stopped_training_goes_on_with_the_same_digits(goes_on: Any, features: Features, mode: str) -> None:
    spec = f"mrad[mode={mode},epochs=1,prompts_epochs=1]"
    epochs = {"tf": 1, "ft": 2, "clip": 3}[mode]
    resumed, whole = goes_on(spec, features, max(1, epochs - 1), epochs=epochs, size=4)
    one, other = (each.working.predict(features) for each in (resumed, whole))
    assert torch.equal(one.maps, other.maps)


def test_regions_are_means_of_patches_that_the_mask_covers_wholly_or_not_at_all() -> None:
    patches = torch.arange(8.0).reshape(1, 4, 2)  # a grid of 2 x 2
    mask = torch.zeros(1, 4, 4)
    mask[0, :2, :2], mask[0, 3, 3] = 1, 1  # the first patch wholly, the last in part
    keys, labels = region_keys(patches, mask, Size(2, 2))
    assert labels.tolist() == [1, 0]
    assert keys.tolist() == [[0, 1], [3, 4]]
    keys, labels = region_keys(patches, torch.zeros(1, 4, 4), Size(2, 2))
    assert (keys.tolist(), labels.tolist()) == ([[3, 4]], [0])
    keys, labels = region_keys(patches, mask[:, :2].repeat(1, 1, 2), Size(1, 4))  # patches 1 and 3 of a row
    assert (keys.tolist(), labels.tolist()) == ([[2, 3], [4, 5]], [1, 0])


def test_neighbourhoods_are_means_of_mean_poolings() -> None:
    patches = torch.randn(2, 36, 3, generator=torch.Generator().manual_seed(0))
    grid = patches.mT.reshape(2, 3, 6, 6)
    pooled = [F.avg_pool2d(grid, side, stride=1, padding=side // 2) for side in (1, 3, 5)]
    torch.testing.assert_close(window_means(patches, Size(6, 6)), torch.stack(pooled).mean(0).flatten(2).mT)


def test_micro_batches_take_the_same_step(features: Features) -> None:
    for mode, stage in (("ft", 1), ("clip", 2)):
        whole, small = begun(f"mode={mode}"), begun(f"mode={mode}", micro_batch=2)
        for detector in (whole, small):
            detector.step(features, Moment(detector.stages[0], 0, 0, True))
        one, other = (each.step(features, Moment(each.stages[stage], 0, 0, True)) for each in (whole, small))
        assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("most=0", "most=0"),
        ("picture_share=2", "picture_share=2"),
        ("masked_patches=-1", "masked_patches=-1"),
        ("region=1.5", "region=1.5"),
        ("prompts_epochs=-1", "epochs=-1"),
        ("lr=0", "lr=0"),
        ("sigma=-1", "sigma=-1"),
    ],
)
def test_options_that_cannot_be_are_refused(option: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        resolve(f"mrad[{option}]")


def test_a_tower_that_is_not_there_is_told_so() -> None:
    with pytest.raises(NotApplicable, match="live towers"):
        begun(image=None)
    with pytest.raises(NotApplicable, match="live towers"):
        begun("mode=clip", text=None)
    assert begun("mode=ft", text=None).prompts is None
