"""The diagnostic map from patches that nothing aligned with text, by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_tower
from stackclip.errors import NotApplicable
from stackclip.methods import Moment, resolve
from stackclip.ops.maps import min_max, pixels
from stackclip.types import ANOMALOUS, CLS, MASK, Part

LAST = Part("joint", trial_tower().spec.depth)


def test_the_map_is_the_softmax_of_each_projected_patch_of_the_last_block() -> None:
    method = resolve("clip-direct[sigma=0]")
    assert method.needs(trial_tower().spec, "test") == {LAST, CLS}
    assert not any(method.needs(trial_tower().spec, phase) for phase in ("train", "shots", "calibrate"))
    features = features_of(frozenset({LAST, CLS, MASK}), CATEGORIES)
    detector = method.begin(task_of())
    said = detector.predict(features)
    anchors = detector.anchors(features.samples)
    for row in range(len(features)):
        by_hand = []
        for token in features[LAST][row]:
            cosines = torch.cosine_similarity(token, anchors[row], dim=-1)
            by_hand.append((100 * cosines).softmax(0)[ANOMALOUS])
        wanted = pixels(torch.stack(by_hand)[None], trial_tower().spec.image_size, align_corners=False)[0]
        torch.testing.assert_close(said.maps[row], wanted, atol=1e-4, rtol=0)
        cosines = torch.cosine_similarity(features[CLS][row], anchors[row], dim=-1)
        torch.testing.assert_close(said.scores[row], (100 * cosines).softmax(0)[ANOMALOUS], atol=1e-4, rtol=0)
    peaks = said.maps.amax((1, 2))
    torch.testing.assert_close(detector.settle(said.scores, peaks), min_max(said.scores) + min_max(peaks))


def test_it_neither_trains_nor_takes_shots(at: Callable[..., Moment]) -> None:
    detector = resolve("clip-direct").begin(task_of())
    with pytest.raises(NotApplicable, match="learns nothing"):
        detector.step(features_of(frozenset({LAST, CLS, MASK}), CATEGORIES), at(detector))
    assert not detector.stages
    assert not detector.takes_shots
