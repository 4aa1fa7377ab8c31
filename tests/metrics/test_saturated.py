"""Saturated overlap: against the released evaluation, and against a loop over all thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.data.defects import DefectKind
from stackclip.errors import NonFiniteScores
from stackclip.metrics import KINDS, SPRO_LIMITS, SaturatedOverlap, spro_name
from stackclip.metrics.saturated import Weighed

Array = NDArray[Any]
NAMES = tuple(map(spro_name, SPRO_LIMITS))
EVERYTHING, NOTHING = 2**62, 0  # pixels whose scores are kept


@dataclass(frozen=True)
class Painted:
    pixels: NDArray[np.int64]
    saturation: int


@dataclass(frozen=True)
class Case:
    """Pictures with their kinds, maps (H, W), and defects."""

    kinds: Sequence[str]
    maps: Sequence[Array]
    defects: Sequence[Sequence[Painted]]

    def areas(self, keep: int, *kinds: str) -> tuple[dict[str, float], dict[str, float]]:
        """The values and bounds of the pictures of some kinds, all where none is named."""
        overlap = SaturatedOverlap(keep)
        for kind, scores, defects in zip(self.kinds, self.maps, self.defects, strict=True):
            if not kinds or kind in kinds:
                overlap.add(scores, defects)
        found = overlap.compute()
        assert (found.form == "streamed") == bool(found.bounds)
        return dict(found.values), dict(found.bounds)


@pytest.fixture
def released(golden_arrays: Callable[[str], Any]) -> tuple[Case, Any]:
    golden = golden_arrays("loco_spro")
    config = json.loads(str(golden.given("__config__")))["defects_config"]
    of_value = {
        each["pixel_value"]: DefectKind("", each["saturation_threshold"], each["relative_saturation"])
        for each in config
    }
    defects = []
    for number in range(len(golden.given("kinds"))):
        channels = [np.flatnonzero(channel) for channel in golden.given(f"channels_{number}")]
        values = [int(channel.max()) for channel in golden.given(f"channels_{number}")]
        pairs = zip(channels, values, strict=True)
        defects.append([Painted(pixels, of_value[value].saturation(pixels.size)) for pixels, value in pairs])
    return Case(golden.given("kinds").tolist(), golden.given("maps"), defects), golden


def test_saturation_areas_and_overlap_at_thresholds_are_the_released_ones(released: tuple[Case, Any]) -> None:
    case, golden = released
    flat = [(scores.reshape(-1), each) for scores, own in zip(case.maps, case.defects, strict=True) for each in own]
    assert [each.saturation for _, each in flat] == golden["saturation_areas"].tolist()
    thresholds = golden["thresholds"].astype(np.float32)
    found = []
    for scores, defect in flat:
        weighed = Weighed.of(scores, [defect])
        found.append([weighed.shares[scores[weighed.anomalous] > each].sum() for each in thresholds])
    np.testing.assert_allclose(found, golden["spro_per_channel"], atol=1e-6)


@pytest.mark.parametrize("keep", [EVERYTHING, NOTHING])
def test_areas_are_the_released_ones_as_far_as_its_thresholds_are_apart(released: tuple[Case, Any], keep: int) -> None:
    case, golden = released
    kinds = {}
    for kind in KINDS:
        values, bounds = case.areas(keep, "good", f"{kind}_anomalies")
        kinds[kind] = np.array([values[name] for name in NAMES])
        np.testing.assert_allclose(kinds[kind], golden[f"auc_spro_{kind}_anomalies"], atol=2e-4)
        assert all(bound < 1e-4 for bound in bounds.values())
    np.testing.assert_allclose(np.mean(list(kinds.values()), axis=0), golden["auc_spro_mean"], atol=2e-4)
    np.testing.assert_array_equal(golden["max_fprs"], SPRO_LIMITS)


def looped(case: Case, limit: float) -> float:
    """The area by a loop over all thresholds, up to the limit, on a line between the two points around it."""
    marked = [np.unique(np.concatenate([each.pixels for each in own] or [[]])).astype(int) for own in case.defects]
    flats = [scores.reshape(-1) for scores in case.maps]
    normal = np.concatenate([np.delete(flat, each) for flat, each in zip(flats, marked, strict=True)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate(flats))[::-1]:
        overlap = [
            min((flat[each.pixels] >= threshold).sum() / each.saturation, 1.0)
            for flat, own in zip(flats, case.defects, strict=True)
            for each in own
        ]
        points.append(((normal >= threshold).mean(), float(np.mean(overlap))))
    x, y = np.array(points).T
    inside = x <= limit
    if not inside.all():
        after = int(np.flatnonzero(~inside)[0])
        part = (limit - x[after - 1]) / (x[after] - x[after - 1])
        end = y[after - 1] + part * (y[after] - y[after - 1])
        x, y = np.append(x[inside], limit), np.append(y[inside], end)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / limit)


def drawn(seed: int, *, levels: int = 0, dtype: Any = np.float32) -> Case:
    """Six small pictures of three sizes, every other one with up to three defects, which may lie above each other."""
    draw = np.random.default_rng(seed)
    maps, defects = [], []
    for number in range(6):
        height, width = ((9, 11), (12, 7), (10, 10))[number % 3]
        scores, own = draw.normal(size=(height, width)), []
        for _ in range(draw.integers(1, 4) if number % 2 else 0):
            top, left = draw.integers(0, height - 4), draw.integers(0, width - 4)
            mask = np.zeros((height, width), bool)
            mask[top : top + 4, left : left + draw.integers(2, 5)] = True
            scores[mask] += draw.random()
            own.append(Painted(np.flatnonzero(mask), int(draw.integers(1, mask.sum() + 1))))
        maps.append((np.round(scores * levels) if levels else scores).astype(dtype))
        defects.append(own)
    return Case([""] * 6, maps, defects)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_areas_are_those_of_a_loop_over_all_thresholds_with_and_without_ties(
    seed: int, levels: int, dtype: Any
) -> None:
    case = drawn(seed, levels=levels, dtype=dtype)
    wanted = {name: looped(case, limit) for name, limit in zip(NAMES, SPRO_LIMITS, strict=True)}
    assert case.areas(EVERYTHING)[0] == pytest.approx(wanted, abs=1e-9)
    values, bounds = case.areas(NOTHING)
    for name in NAMES:
        assert abs(values[name] - wanted[name]) <= bounds[name], name
    if levels and dtype == np.float32:
        assert max(bounds.values()) < 1e-9  # whole numbers: every bin has one score


def test_pixels_beyond_the_kept_ones_are_binned_with_a_small_bound_and_the_first_are_not_lost() -> None:
    case = drawn(0)
    pixels = sum(scores.size for scores in case.maps)
    exact, _ = case.areas(pixels)
    values, bounds = case.areas(pixels // 2)
    assert bounds
    assert all(abs(values[name] - exact[name]) <= bounds[name] for name in NAMES)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keeps", [(EVERYTHING,) * 2, (NOTHING,) * 2, (EVERYTHING, NOTHING), (NOTHING, EVERYTHING)])
def test_parts_of_a_category_add_up(seed: int, keeps: tuple[int, int]) -> None:
    case = drawn(seed)
    wanted, _ = case.areas(EVERYTHING)
    first, second = (SaturatedOverlap(keep) for keep in keeps)
    for number, (scores, defects) in enumerate(zip(case.maps, case.defects, strict=True)):
        (first if number % 4 < 2 else second).add(scores, defects)
    first.merge(second)
    found = first.compute()
    assert bool(found.bounds) == (NOTHING in keeps)
    for name in NAMES:
        assert abs(found.values[name] - wanted[name]) <= found.bounds.get(name, 1e-9), name


def test_a_defect_is_found_once_enough_of_it_is_and_more_of_it_changes_nothing() -> None:
    scores = np.arange(100, dtype=np.float32).reshape(10, 10)  # the defect's pixels are the highest ten
    defect = np.arange(90, 100)
    for saturation in (1, 5, 10):
        hidden = scores.copy()
        hidden.reshape(-1)[90 : 100 - saturation] = -1  # what is beyond the saturation may score as it likes
        (found, _) = Case([""], [hidden], [[Painted(defect, saturation)]]).areas(EVERYTHING)
        assert found == pytest.approx(dict.fromkeys(NAMES, 1.0))


def test_what_has_no_defect_or_no_normal_pixel_has_no_value() -> None:
    scores = np.zeros((3, 3), np.float32)
    for keep in (EVERYTHING, NOTHING):
        for defects, why in (([], "no anomalous pixel"), ([Painted(np.arange(9), 2)], "no normal pixel")):
            overlap = SaturatedOverlap(keep)
            overlap.add(scores, defects)
            assert overlap.compute().undefined == dict.fromkeys(NAMES, why)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(NonFiniteScores, match="1 of 4 pixels"):
        SaturatedOverlap().add(np.array([[0, np.nan], [1, 2]], np.float32), [])
