"""The metrics, against scikit-learn, plain loops over all thresholds, and the field's own values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stackclip.errors import NonFiniteScores
from stackclip.metrics import (
    ALIASES,
    FPR_LIMIT,
    IMAGE_METRICS,
    PIXEL_METRICS,
    Measured,
    PixelMetrics,
    aupro_name,
    image_metrics,
)
from stackclip.ops.regions import label_regions

Array = NDArray[Any]
EXACT = PIXEL_METRICS[:4]
CFLOW = PIXEL_METRICS[4]


def snapped(z: Array) -> Array:
    """Scores moved to the nearest float32 of the script's thresholds, some just above and some just below."""
    z = np.square(z).astype(np.float32)  # a lowest score near 0 makes thresholds that float32 cannot hold
    thresholds = np.arange(z.min(), z.max(), (z.max() - z.min()) / np.float32(200)).astype(np.float32)
    return np.where(z == z.max(), z, thresholds[np.searchsorted(thresholds, z, side="right") - 1])


SHAPES: dict[str, Callable[[Array], Array]] = {
    "random": lambda z: z,
    "tied": lambda z: np.round(2 * z) / 2,
    "two values": lambda z: (z > 0.5).astype(z.dtype),
    "saturated": lambda z: 4 / (1 + np.exp(-25 * z)),
    "constant": lambda z: np.full_like(z, 0.7),
    "shifted": lambda z: -300 + 17 * z,
    "steep": lambda z: np.exp(3 * z),
    "inverted": lambda z: -z,
    "perfect": lambda z: z / 100,
    "at thresholds": lambda z: np.clip(np.round(80 * z + 100), 0, 200),
    "by thresholds": snapped,
}


class Case:
    """Some pictures of one category: maps (B, H, W) and the regions that were drawn into their masks.

    Each region is drawn inside its own cell of 5 x 5 pixels, one pixel from the cell's end, so no two touch.
    """

    def __init__(self, seed: int, shape: str, dtype: type = np.float32, pictures: int = 3) -> None:
        draw = np.random.default_rng(seed)
        self.numbers = np.zeros((pictures, 15, 20), dtype=int)  # of the region of each pixel, over all pictures
        count = 0
        for picture in range(pictures):
            for cell in draw.choice(12, size=0 if picture == 1 else draw.integers(1, 6), replace=False):
                count += 1
                y, x = 5 * (cell // 4), 5 * (cell % 4)
                height, width = draw.integers(1, 5, size=2)
                if draw.random() < 0.5:
                    self.numbers[picture, y : y + height, x : x + width] = count
                else:
                    for step in range(height):
                        self.numbers[picture, y + step, x + step] = count
        self.masks = self.numbers > 0
        z = draw.normal(size=self.numbers.shape) + draw.uniform(0, 3) * self.masks
        if shape == "perfect":
            z += 1000 * self.masks
        self.maps = SHAPES[shape](z).astype(dtype)

    @property
    def measured(self) -> Measured:
        return measure(self.maps, self.masks)


def measure(maps: Sequence[Array] | Array, masks: Sequence[Array] | Array, limits: tuple[float, ...] = ()) -> Measured:
    metrics = PixelMetrics(limits)
    for scores, mask in zip(maps, masks, strict=True):
        metrics.add(scores, label_regions(mask))
    return metrics.compute()


def best_f1(labels: Array, scores: Array) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    return max(2 * p * r / (p + r) for p, r in zip(precision, recall, strict=True) if p + r)


def ranking_of(labels: Array, scores: Array) -> list[float]:
    """AUROC, AP and F1-max as scikit-learn has them."""
    return [roc_auc_score(labels, scores), average_precision_score(labels, scores), best_f1(labels, scores)]


def aupro_by_loops(maps: Array, numbers: Array, limit: float = FPR_LIMIT) -> float:
    """One threshold for each distinct score of any pixel, one mask for each region, straight lines between."""
    regions = [numbers == number for number in range(1, numbers.max() + 1)]
    points = [(0.0, 0.0)]
    for threshold in sorted({float(score) for score in maps.flat}, reverse=True):
        positive = maps >= threshold
        overlap = sum(float(positive[region].mean()) for region in regions) / len(regions)
        points.append((float(positive[numbers == 0].mean()), overlap))
    area = 0.0
    for (x, y), (x_next, y_next) in pairwise(points):
        if x < limit and x_next > x:
            stop = min(x_next, limit)
            y_stop = y + (y_next - y) * (stop - x) / (x_next - x)
            area += (stop - x) * (y + y_stop) / 2
    return area / limit


def aupro_of_200_thresholds(maps: Array, numbers: Array) -> float | None:
    """The common script's definition, threshold by threshold; None where it has no answer."""
    regions = [numbers == number for number in range(1, numbers.max() + 1)]
    if maps.min() == maps.max():
        return None
    points = []
    for threshold in np.arange(maps.min(), maps.max(), (maps.max() - maps.min()) / maps.dtype.type(200)):
        positive = maps > np.float64(threshold)
        rate = np.count_nonzero(positive & (numbers == 0)) / np.count_nonzero(numbers == 0)
        if rate < 0.3:
            points.append((rate, sum(np.count_nonzero(positive & region) / region.sum() for region in regions)))
    if len({rate for rate, _ in points}) < 2:
        return None
    lowest, highest = min(points)[0], max(points)[0]
    area = 0.0
    for (x, y), (x_next, y_next) in pairwise(points):
        area += (x - x_next) / (highest - lowest) * (y + y_next) / 2 / len(regions)
    return area


cases = st.builds(
    Case, st.integers(0, 2**32 - 1), st.sampled_from(sorted(SHAPES)), st.sampled_from([np.float32, float])
)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_pixel_ranking_metrics_are_those_of_sklearn(case: Case) -> None:
    found = case.measured.values
    expected = ranking_of(case.masks.reshape(-1), case.maps.reshape(-1))
    assert [found[name] for name in PIXEL_METRICS[:3]] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_aupro_is_that_of_a_loop_over_all_distinct_scores(case: Case) -> None:
    assert case.measured.values["pixel_AUPRO"] == pytest.approx(aupro_by_loops(case.maps, case.numbers), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(cases, st.sampled_from([0.002, 0.05, 0.9]))
def test_aupro_up_to_another_limit_is_that_of_the_same_loop_and_changes_no_other(case: Case, limit: float) -> None:
    found, name = measure(case.maps, case.masks, (limit, 0.3)).values, aupro_name(limit)
    assert found[name] == pytest.approx(aupro_by_loops(case.maps, case.numbers, limit), abs=1e-9)
    assert found["pixel_AUPRO@0.3"] == found["pixel_AUPRO"]
    assert {key: value for key, value in found.items() if "@" not in key} == case.measured.values


@pytest.mark.parametrize("shape", sorted(SHAPES))
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, float]))
def test_the_200_threshold_aupro_is_that_of_a_loop_over_its_thresholds(shape: str, seed: int, dtype: type) -> None:
    case = Case(seed, shape, dtype)
    measured = case.measured
    expected = aupro_of_200_thresholds(case.maps, case.numbers)
    if expected is None:
        assert CFLOW not in measured.values
        assert measured.undefined[CFLOW]
    else:
        assert not measured.undefined
        assert measured.values[CFLOW] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(set(SHAPES) - {"perfect"})), st.integers(2, 40))
def test_image_metrics_are_those_of_sklearn(seed: int, shape: str, pictures: int) -> None:
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.append([0, 1], draw.integers(0, 2, size=pictures - 2)))
    scores = SHAPES[shape](draw.normal(size=pictures) + labels)
    found = image_metrics(scores, labels)
    assert list(found.values) == list(IMAGE_METRICS)
    assert list(found.values.values()) == pytest.approx(ranking_of(labels, scores), abs=1e-9)


def test_the_fields_released_code_gives_these_values(golden_arrays: Callable[[str], Any]) -> None:
    golden = golden_arrays("metrics")
    for kind in json.loads(str(golden.given("__config__")))["kinds"]:
        maps = golden.given(f"{kind}.maps_f32")
        if kind != "fp32":  # the released code measured this one in float32, the others in float64
            maps = maps.astype(np.float64)
        masks = np.unpackbits(golden.given(f"{kind}.masks"), axis=1).reshape(maps.shape)
        pixel = measure(maps, masks).values
        auroc, f1_max, ap = golden[f"{kind}.pixel_auroc_f1max_ap"]
        assert [pixel[name] for name in PIXEL_METRICS[:3]] == pytest.approx([auroc, ap, f1_max], abs=1e-12), kind
        assert pixel[CFLOW] == float(golden[f"{kind}.cal_pro_score"]), kind
        image = image_metrics(golden.given(f"{kind}.image_scores"), golden.given(f"{kind}.labels")).values
        ap, auroc, f1_max = golden[f"{kind}.image_ap_auroc_f1max"]
        assert [image[name] for name in IMAGE_METRICS] == pytest.approx([auroc, ap, f1_max], abs=1e-12), kind


@settings(max_examples=25, deadline=None)
@given(cases, st.randoms(use_true_random=False))
def test_neither_the_order_of_pictures_nor_their_batches_matter(case: Case, random: Any) -> None:
    expected = case.measured
    order = random.sample(range(3), 3)
    shuffled = measure(case.maps[order], case.masks[order])
    first, second = PixelMetrics(), PixelMetrics()
    for index in order:
        part = random.choice([first, second])
        part.add(case.maps[index], label_regions(case.masks[index]))
    first.merge(second)
    for other in (shuffled, first.compute()):
        assert other.values == pytest.approx(expected.values, abs=1e-12)
        assert other.undefined == expected.undefined


def test_merging_leaves_the_other_as_it_is() -> None:
    case, more = Case(1, "random"), Case(2, "tied")
    first, second = PixelMetrics(), PixelMetrics()
    for part, taken in ((first, case), (second, more)):
        for scores, mask in zip(taken.maps, taken.masks, strict=True):
            part.add(scores, label_regions(mask))
    first.merge(second)
    both = measure([*case.maps, *more.maps], [*case.masks, *more.masks])
    assert first.compute().values == pytest.approx(both.values, abs=1e-12)
    assert second.compute().values == pytest.approx(more.measured.values, abs=1e-12)


def test_pictures_may_come_after_a_first_result() -> None:
    case = Case(3, "random")
    metrics = PixelMetrics()
    metrics.add(case.maps[0], label_regions(case.masks[0]))
    assert metrics.compute().values == measure(case.maps[:1], case.masks[:1]).values
    for scores, mask in zip(case.maps[1:], case.masks[1:], strict=True):
        metrics.add(scores, label_regions(mask))
    assert metrics.compute().values == pytest.approx(case.measured.values, abs=1e-12)
    assert metrics.compute().values == pytest.approx(case.measured.values, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_exact_metrics_see_only_the_order_of_scores(seed: int) -> None:
    case = Case(seed, "random", np.float64)
    whole = np.round(4 * case.maps)  # small whole numbers: the transforms below are exact, so ties stay ties
    expected = measure(whole, case.masks).values
    for transform in (lambda z: 2 * z - 1024, lambda z: z**3, np.exp2, lambda z: -(0.5**z)):
        found = measure(transform(whole), case.masks).values
        assert [found[name] for name in EXACT] == [expected[name] for name in EXACT]


def test_the_200_threshold_aupro_does_not() -> None:
    case = Case(4, "random", np.float64)
    steep = measure(np.exp2(8 * case.maps), case.masks)
    assert abs(steep.values[CFLOW] - case.measured.values[CFLOW]) > 0.1
    assert steep.values["pixel_AUPRO"] == pytest.approx(case.measured.values["pixel_AUPRO"], abs=1e-12)


def test_a_case_worked_by_hand() -> None:
    # Two regions, of one pixel and of two, and thirteen normal pixels. From the highest score down:
    #   .9 the one-pixel region              no false alarm    overlap .5
    #   .8 a normal pixel                    1 of 13           overlap .5
    #   .7 half of the other region          1 of 13           overlap .75
    #   .6 its other half, a normal pixel    2 of 13           overlap 1, along a straight line
    scores = np.array([[0.9, 0, 0.7, 0.6], [0.8, 0, 0.6, 0.1], [0, 0.2, 0.1, 0], [0.3, 0.3, 0.3, 0.3]])
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = measure([scores], [mask]).values
    area = 1 / 13 * 0.5 + 1 / 13 * (0.75 + 1) / 2 + (0.3 - 2 / 13) * 1
    assert found["pixel_AUPRO"] == pytest.approx(area / 0.3, abs=1e-12)
    assert found["pixel_AUROC"] == pytest.approx((13 + 12 + 11.5) / (3 * 13), abs=1e-12)
    assert found["pixel_AP"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-12)
    assert found["pixel_F1max"] == pytest.approx(2 * 3 / (3 + 5), abs=1e-12)


@pytest.mark.parametrize(("shape", "aupro"), [("perfect", 1.0), ("constant", 0.15)])
def test_the_ends_of_the_scale(shape: str, aupro: float) -> None:
    found = Case(5, shape).measured.values
    assert found["pixel_AUPRO"] == pytest.approx(aupro, abs=1e-12)
    assert found["pixel_AUROC"] == pytest.approx(1.0 if shape == "perfect" else 0.5, abs=1e-12)


def test_a_detector_that_is_wrong_everywhere_has_no_overlap() -> None:
    case = Case(6, "perfect")
    found = measure(-case.maps, case.masks).values
    assert found["pixel_AUROC"] == 0
    assert found["pixel_AUPRO"] == 0


def test_each_region_weighs_the_same_however_large() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[0, 0] = True
    mask[10:, 10:] = True
    scores = np.zeros((20, 20))
    scores[0, 0] = 1
    found_small = measure([scores], [mask]).values["pixel_AUPRO"]
    scores[0, 0], scores[10:, 10:] = 0, 1
    assert found_small == pytest.approx(measure([scores], [mask]).values["pixel_AUPRO"], abs=1e-12)


def test_neighbouring_scores_of_float64_stay_apart() -> None:
    low, high = 1.0, float(np.nextafter(1.0, 2.0))
    mask = np.array([[True, False]])
    assert measure([np.array([[high, low]])], [mask]).values["pixel_AUROC"] == 1
    assert measure([np.array([[high, low]], dtype=np.float32)], [mask]).values["pixel_AUROC"] == 0.5


def test_float32_and_float64_pictures_mix_without_loss() -> None:
    case = Case(7, "random", np.float64)
    mixed = [case.maps[0].astype(np.float32), case.maps[1], case.maps[2]]
    expected = measure([scores.astype(np.float64) for scores in mixed], case.masks)
    assert measure(mixed, case.masks) == expected


def test_the_given_map_is_neither_kept_nor_changed() -> None:
    case = Case(8, "random")
    metrics, reused = PixelMetrics(), np.empty_like(case.maps[0])
    for scores, mask in zip(case.maps, case.masks, strict=True):
        reused[:] = scores
        metrics.add(reused, label_regions(mask))
        np.testing.assert_array_equal(reused, scores)
    assert metrics.compute().values == case.measured.values


@pytest.mark.parametrize(
    ("mask", "reason"),
    [(np.zeros((3, 4), dtype=bool), "no anomalous pixel"), (np.ones((3, 4), dtype=bool), "no normal pixel")],
)
def test_pixel_metrics_of_one_class_are_undefined_with_the_reason(mask: Array, reason: str) -> None:
    measured = measure([np.arange(12.0).reshape(3, 4)], [mask])
    assert not measured.values
    assert measured.undefined == dict.fromkeys(PIXEL_METRICS, reason)


def test_pixel_metrics_of_no_picture_are_undefined() -> None:
    assert PixelMetrics().compute().undefined == dict.fromkeys(PIXEL_METRICS, "no anomalous pixel")


@pytest.mark.parametrize(("labels", "reason"), [([0, 0], "no anomalous picture"), ([1, 1], "no normal picture")])
def test_image_metrics_of_one_class_are_undefined_with_the_reason(labels: list[int], reason: str) -> None:
    measured = image_metrics([0.1, 0.2], labels)
    assert not measured.values
    assert measured.undefined == dict.fromkeys(IMAGE_METRICS, reason)


def test_a_constant_map_has_every_metric_but_the_200_threshold_one() -> None:
    measured = Case(9, "constant").measured
    assert set(measured.values) == set(EXACT)
    assert measured.undefined == {CFLOW: "every pixel has the same score"}


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([[0.0, 1.0, 1.0, 1.0]], "fewer than two false-positive rates below 0.3"),
        ([[1.0, 0.0, 0.0, 0.0]], "fewer than two false-positive rates below 0.3"),
        ([[-3e38, 3e38, 0.0, 0.0]], "do not divide into 200 thresholds"),
        ([[0.0, 1e-45, 0.0, 0.0]], "do not divide into 200 thresholds"),
    ],
)
def test_the_200_threshold_aupro_is_undefined_where_its_script_fails(scores: list[list[float]], reason: str) -> None:
    measured = measure([np.array(scores, dtype=np.float32)], [np.array([[True, False, False, False]])])
    assert set(measured.values) == set(EXACT)
    assert reason in measured.undefined[CFLOW]


def test_the_200_threshold_aupro_leaves_out_a_rate_of_just_the_limit() -> None:
    scores = np.array([[10.0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]])
    mask = np.array([[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]])  # rates .1 and .2 are kept; the defect comes at the end of .2
    assert measure([scores], [mask]).values[CFLOW] == 0  # with the rate .3 it would be .5


def test_a_200_threshold_aupro_of_zero_has_no_sign() -> None:
    found = measure([np.array([[3.0, 2, 0, 0, 0, 0, 0, 0, 0]])], [np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1]])]).values[
        CFLOW
    ]
    assert found == 0
    assert not np.signbit(found)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(wrong: float) -> None:
    scores = np.ones((2, 3), dtype=np.float32)
    scores[1, 1] = wrong
    with pytest.raises(NonFiniteScores, match="1 of 6 pixels"):
        PixelMetrics().add(scores, label_regions(np.zeros((2, 3))))
    with pytest.raises(NonFiniteScores, match="1 of 3 picture scores"):
        image_metrics(scores[1], [0, 1, 1])


def test_a_refused_map_leaves_no_trace() -> None:
    case, metrics = Case(10, "random"), PixelMetrics()
    for scores, mask in zip(case.maps, case.masks, strict=True):
        metrics.add(scores, label_regions(mask))
    with pytest.raises(NonFiniteScores):
        metrics.add(np.full((4, 4), np.nan), label_regions(np.eye(4)))
    with pytest.raises(ValueError, match="inside the 4 pixels"):
        metrics.add(np.ones((2, 2)), label_regions(np.eye(4)))
    assert metrics.compute().values == case.measured.values


@pytest.mark.parametrize(
    ("scores", "runs", "message"),
    [
        (np.ones(4), np.empty((0, 3)), r"a map is \(H, W\)"),
        (np.ones((2, 2)), np.ones((1, 2)), r"runs are \(R, 3\)"),
        (np.ones((2, 2)), np.array([[0, 2, 1], [1, 3, 1]]), "sorted, apart"),
        (np.ones((2, 2)), np.array([[2, 2, 1]]), "sorted, apart"),
    ],
)
def test_maps_and_runs_of_the_wrong_form_are_refused(scores: Array, runs: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelMetrics().add(scores, runs.astype(np.uint32))


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 1, 1], "one length"), ([[0, 1]], "one length"), ([0, 2], "labels must be")]
)
def test_labels_of_the_wrong_form_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_metrics([0.1, 0.9], labels)


def test_booleans_and_half_floats_are_measured() -> None:
    assert image_metrics(np.array([0.25, 0.5], dtype=np.float16), [False, True]).values["image_AUROC"] == 1
    case = Case(11, "tied")
    assert measure(case.maps.astype(np.float16), case.masks) == case.measured  # halves are exact


def test_every_alias_names_a_metric() -> None:
    assert set(ALIASES.values()) <= {*IMAGE_METRICS, *PIXEL_METRICS}


def test_programs_that_know_the_former_place_find_the_same_there() -> None:
    from stackclip import metrics
    from stackclip.benchmarks import metrics as former

    assert former.__all__ == metrics.__all__
    assert all(getattr(former, name) is getattr(metrics, name) for name in metrics.__all__)
