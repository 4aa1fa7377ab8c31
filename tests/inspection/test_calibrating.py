"""What good pictures say of a tested one whose score depends on its neighbours: the same whoever lies beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.errors import UsageError
from stackclip.inspection.calibrating import Calibration, surveys
from stackclip.inspection.sheet import scale_of, share_of
from stackclip.methods import Inspector


class Settled(Inspector):
    """Min-maxes its scores over all pictures, and adds their maxima."""

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        assert peaks is not None
        low, high = peaks.min(), peaks.max()
        return scores + (peaks - low) / (high - low)


def calibration(rate: float = 0.1, count: int = 19) -> Calibration:
    draws = torch.Generator().manual_seed(0)
    return Calibration(torch.randn(count, generator=draws), torch.rand(count, generator=draws), 0.1, "", True, rate)


def test_a_plain_score_is_held_against_the_threshold() -> None:
    known = calibration()
    tested = torch.linspace(-3, 3, 50)
    judged = known.judge(Inspector(), tested, None)
    assert judged.threshold is not None
    assert np.array_equal(judged.anomalous, tested.numpy() > judged.threshold)
    assert judged.anomalous.sum() < 50
    assert str(judged).startswith(f"{judged.anomalous.sum()} of 50 pictures anomalous")


def test_a_settled_score_is_ranked_among_the_good_ones_alone() -> None:
    known, inspector = calibration(), Settled()
    draws = torch.Generator().manual_seed(1)
    scores, peaks = 3 * torch.randn(30, generator=draws), 2 * torch.rand(30, generator=draws)
    together = known.judge(inspector, scores, peaks)
    assert together.threshold is None
    for row in range(30):
        alone = known.judge(inspector, scores[row : row + 1], peaks[row : row + 1])
        assert alone.p_value[0] == together.p_value[row]
        assert known.scores is not None
        assert known.peaks is not None
        every = inspector.settle(
            torch.cat([known.scores, scores[row : row + 1]]), torch.cat([known.peaks, peaks[row : row + 1]])
        )
        by_hand = sum(float(each) >= float(every[-1]) for each in every) / 20
        assert alone.p_value[0] == pytest.approx(by_hand)
    assert np.array_equal(together.anomalous, together.p_value <= 0.1)


def test_a_method_without_scores_is_judged_by_its_maps() -> None:
    known = Calibration(None, torch.arange(20.0), 3.0, "", True, 0.05)
    judged = known.judge(Inspector(), None, torch.tensor([18.5, 19.0, 19.5]))
    assert judged.threshold == known.pixel_threshold == 19.0
    assert judged.anomalous.tolist() == [False, False, True]
    scale = known.scale
    assert scale is not None
    assert (scale.cold, scale.threshold, scale.hot) == (3.0, 19.0, 35.0)
    with pytest.raises(UsageError, match="wants 99 good pictures"):
        Calibration(None, torch.arange(20.0), 3.0, "", True, 0.01).judge(Inspector(), None, torch.ones(1))


def test_who_surveys_is_known() -> None:
    class Surveying(Inspector):
        def survey(self, tested: object) -> None: ...

    assert surveys(Surveying())
    assert not surveys(Settled())


@pytest.mark.parametrize("level", [0.0, 1.0, 4e5, -4e5])
def test_maps_that_are_all_alike_have_a_scale_that_colours_can_be_told_on(level: float) -> None:
    flat = np.full((4, 4), level, np.float32)
    known = Calibration(None, torch.full((20,), level), level, "", True, 0.05)
    for scale in (known.scale, scale_of([flat], [flat > np.inf])):
        assert scale is not None
        assert scale.cold < scale.hot
        shares = share_of(np.array([level - 1, level, level + 1]), scale)
        assert np.isfinite(shares).all()
        assert shares[0] == 0.0
        assert shares[2] == 1.0
