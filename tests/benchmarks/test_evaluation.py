"""The metrics of a category do not depend on how its pictures were batched, and what is undefined says why."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from stackclip.benchmarks.evaluation import Evaluation
from stackclip.errors import BrokenPlugin, NonFiniteScores, NotApplicable
from stackclip.methods import Detector
from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS
from stackclip.metrics.counts import PixelCounter
from stackclip.ops.regions import label_regions
from stackclip.types import ANOMALOUS, NORMAL, Prediction, Sample

SIDE = 16


class Settled:
    """A detector of which only `settle` is asked."""

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        return scores if peaks is None else scores + peaks


class Unchanged(Settled):
    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        return scores


UNCHANGED = cast(Detector, Unchanged())


def sample(number: int, label: int, *, mask: bool = True) -> Sample:
    path = Path(f"{number}.png")
    defect = "scratch" if label else "good"
    return Sample(path.name, "toy", "disc", "test", path, path if label and mask else None, label, defect)


def toy(count: int = 6) -> tuple[list[Sample], Tensor, Tensor, np.ndarray]:
    draw = np.random.default_rng(0)
    samples = [sample(number, number % 2) for number in range(count)]
    masks = np.zeros((count, SIDE, SIDE), bool)
    masks[1::2, 4:8, 4:8] = True
    scores, maps = draw.random(count), draw.random((count, SIDE, SIDE))
    return samples, torch.from_numpy(scores).float(), torch.from_numpy(maps).float(), masks


@pytest.mark.parametrize(("detector", "changed"), [(UNCHANGED, False), (cast(Detector, Settled()), True)])
def test_scores_that_settling_changes_depend_on_the_other_pictures(detector: Detector, changed: bool) -> None:
    samples, scores, maps, masks = toy()
    tally = Evaluation()
    assert not tally.are_scores_dependent  # nothing was settled yet
    for part in (slice(0, 2), slice(2, None)):
        runs = [label_regions(mask) for mask in masks[part]]
        tally.add(Prediction(scores[part].half(), maps[part]), samples[part], runs)
    tally.compute(samples, detector)
    assert tally.are_scores_dependent is changed


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_whose_sum_overflows_have_the_figures_of_the_same_values_in_float32(dtype: torch.dtype) -> None:
    samples, scores, maps, masks = toy()
    halves = (maps * 1000).to(dtype)  # sums of 256 pixels are beyond 65504
    measured = []
    for given in (halves, halves.float(), halves.double()):
        tally = Evaluation()
        tally.add(Prediction(scores.to(given), given), samples, [label_regions(mask) for mask in masks])
        measured.append(tally.compute(samples, UNCHANGED).values)
    assert measured[0]["pixel_AUROC"] == measured[1]["pixel_AUROC"] == measured[2]["pixel_AUROC"]


def test_large_finite_maps_are_measured_and_one_infinite_pixel_names_its_picture() -> None:
    samples, scores, maps, masks = toy()
    runs = [label_regions(mask) for mask in masks]
    plain, large = Evaluation(), Evaluation()
    plain.add(Prediction(scores, maps), samples, runs)
    large.add(Prediction(scores, maps * 2.0**126), samples, runs)
    found, wanted = large.pixels.compute().values, plain.pixels.compute().values
    assert found["pixel_AUPRO"] == wanted["pixel_AUPRO"]
    for bad in (torch.inf, -torch.inf, torch.nan):
        broken = maps.clone()
        broken[3, 5, 5] = bad
        with pytest.raises(NonFiniteScores, match=r"toy/3\.png"):
            Evaluation().add(Prediction(scores, broken), samples, runs)


def test_scores_that_differ_in_float64_alone_are_not_tied() -> None:
    samples, *_, masks = toy()
    scores = torch.tensor([1 + 1e-12 * sample.label for sample in samples], dtype=torch.float64)
    close = torch.from_numpy(1 + 1e-12 * masks)
    tally = Evaluation()
    tally.add(Prediction(scores, close), samples, [label_regions(mask) for mask in masks])
    values = tally.compute(samples, UNCHANGED).values
    assert [values[name] for name in ("image_AUROC", "pixel_AUROC", "pixel_AUPRO")] == pytest.approx([1, 1, 1])


def test_whole_numbers_are_scores_too() -> None:
    samples, scores, maps, masks = toy()
    tally = Evaluation()
    tally.add(
        Prediction((scores * 1000).long(), (maps * 255).to(torch.uint8)), samples, list(map(label_regions, masks))
    )
    assert len(tally.compute(samples, UNCHANGED).values) > 6


def test_one_batch_without_scores_is_a_category_without() -> None:
    samples, scores, maps, masks = toy()
    runs, tally = [label_regions(mask) for mask in masks], Evaluation()
    tally.add(Prediction(scores[:2], maps[:2]), samples[:2], runs[:2])
    tally.add(Prediction(None, maps[2:4], why_no_scores="out of order"), samples[2:4], runs[2:4])
    tally.add(Prediction(scores[4:], maps[4:]), samples[4:], runs[4:])
    measured = tally.compute(samples, UNCHANGED)
    assert {measured.undefined[name] for name in IMAGE_METRICS} == {"out of order"}
    assert "pixel_AUROC" in measured.values


def test_batches_of_any_size_give_the_figures_of_the_whole() -> None:
    samples, scores, maps, masks = toy()
    measured = []
    for size in (1, 4, 6):
        tally = Evaluation()
        for start in range(0, 6, size):
            part = slice(start, start + size)
            runs = [label_regions(mask) for mask in masks[part]]
            tally.add(Prediction(scores[part], maps[part]), samples[part], runs)
        measured.append(tally.compute(samples, UNCHANGED))
    assert measured[0] == measured[1] == measured[2]
    labels = [each.label for each in samples]
    assert measured[0].values["image_AUROC"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert measured[0].values["pixel_AUROC"] == pytest.approx(
        roc_auc_score(masks.ravel(), maps.numpy().ravel()), abs=1e-12
    )


def test_a_method_settles_its_scores_with_the_maxima_of_its_maps() -> None:
    samples, scores, maps, masks = toy()
    tally = Evaluation()
    tally.add(Prediction(scores, maps), samples, [label_regions(mask) for mask in masks])
    settled = roc_auc_score([each.label for each in samples], scores + maps.amax((1, 2)))
    measured = tally.compute(samples, cast(Detector, Settled()))
    assert measured.values["image_AUROC"] == pytest.approx(settled, abs=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["scores", "maps"])
def test_a_number_that_is_none_names_the_picture(bad: float, where: str) -> None:
    samples, scores, maps, masks = toy()
    (scores if where == "scores" else maps[:, 3, 3])[2] = bad
    with pytest.raises(NonFiniteScores, match=r"toy/2\.png"):
        Evaluation().add(Prediction(scores, maps), samples, [label_regions(mask) for mask in masks])


def test_no_place_of_a_map_hides_a_number_that_is_none() -> None:
    samples, _, maps, masks = toy()
    run = label_regions(masks[2])
    for place in range(SIDE * SIDE):
        one = maps[2:3].clone()
        one.view(-1)[place] = float("nan")
        with pytest.raises(NonFiniteScores, match=r"toy/2\.png"):
            Evaluation().add(Prediction(None, one), samples[2:3], [run])


@pytest.mark.parametrize(
    ("scores", "maps", "said"),
    [
        (torch.zeros(6, 1), None, r"scores of shape \(6, 1\) came for 6 pictures, wanted \(6,\)"),
        (torch.zeros(()), None, r"scores of shape \(\)"),
        (None, torch.zeros(5, SIDE, SIDE), r"maps of shape \(5, 16, 16\) came for 6 pictures"),
        (None, torch.zeros(6, 1, SIDE, SIDE), r"wanted \(6, H, W\)"),
    ],
)
def test_other_shapes_are_told(scores: Tensor | None, maps: Tensor | None, said: str) -> None:
    samples, _, _, masks = toy()
    with pytest.raises(BrokenPlugin, match=said):
        Evaluation().add(Prediction(scores, maps), samples, [label_regions(mask) for mask in masks])


@pytest.mark.parametrize("side", [SIDE // 2, SIDE * 2])
def test_maps_of_another_side_than_the_masks_are_refused(side: int) -> None:
    samples, _, _, masks = toy()
    runs = [label_regions(mask) for mask in masks]  # places in a picture laid flat, which another side would misread
    with pytest.raises(BrokenPlugin, match=rf"\(6, {side}, {side}\) came for 6 pictures, wanted \(6, 16, 16\)"):
        Evaluation(side=SIDE).add(Prediction(None, torch.zeros(6, side, side)), samples, runs)


def test_a_method_without_maps_or_scores_says_why() -> None:
    samples, scores, maps, masks = toy()
    runs = [label_regions(mask) for mask in masks]
    tally = Evaluation()
    tally.add(Prediction(scores, None, why_no_maps="it has none"), samples, runs)
    assert tally.compute(samples, UNCHANGED).undefined == dict.fromkeys(PIXEL_METRICS, "it has none")
    tally = Evaluation()
    tally.add(Prediction(None, maps, why_no_scores="only maps"), samples, runs)
    assert tally.compute(samples, UNCHANGED).undefined == dict.fromkeys(IMAGE_METRICS, "only maps")


def test_a_defect_without_a_mask_leaves_the_pixel_metrics_undefined() -> None:
    samples, scores, maps, masks = toy()
    samples[1] = sample(1, ANOMALOUS, mask=False)
    tally = Evaluation()
    tally.add(Prediction(scores, maps), samples, [label_regions(mask) for mask in masks])
    measured = tally.compute(samples, UNCHANGED)
    assert measured.undefined == dict.fromkeys(PIXEL_METRICS, "1 defective picture has no mask")
    assert set(measured.values) == set(IMAGE_METRICS)


def test_one_class_alone_leaves_metrics_undefined_with_the_reason() -> None:
    _, scores, maps, masks = toy()
    normal = [sample(number, NORMAL) for number in range(6)]
    tally = Evaluation()
    tally.add(Prediction(scores, maps), normal, [label_regions(np.zeros_like(mask)) for mask in masks])
    measured = tally.compute(normal, UNCHANGED)
    assert set(measured.undefined) >= {"image_AUROC", "pixel_AUROC", "pixel_AUPRO"}
    assert all(measured.undefined.values())
    assert not set(measured.values) & set(measured.undefined)


def test_a_category_of_which_nothing_could_be_used_is_told() -> None:
    with pytest.raises(NotApplicable, match="none of the pictures could be used"):
        Evaluation().compute([], UNCHANGED)


def test_a_picture_whose_mask_cannot_be_used_counts_for_image_metrics_alone() -> None:
    samples, scores, maps, masks = toy(8)
    kept = [number for number in range(8) if number not in (2, 5)]
    tallies = [Evaluation(counter=PixelCounter()), Evaluation(counter=PixelCounter())]
    runs = [None if number in (2, 5) else label_regions(mask) for number, mask in enumerate(masks)]
    tallies[0].add(Prediction(scores, maps), samples, runs)
    tallies[1].add(Prediction(scores[kept], maps[kept]), [samples[n] for n in kept], [runs[n] for n in kept])
    whole, fewer = (
        tally.compute(some, UNCHANGED).values
        for tally, some in zip(tallies, (samples, [samples[n] for n in kept]), strict=True)
    )
    assert whole["image_AUROC"] == pytest.approx(roc_auc_score([s.label for s in samples], scores))
    assert {name: whole[name] for name in PIXEL_METRICS} == {name: fewer[name] for name in PIXEL_METRICS}
    said = tallies[0].evidence(samples)
    assert said.pixels is not None
    assert len(said.pixels) == 8
    assert said.pixels.anomalous[5].sum() == said.pixels.normal[2].sum() == 0
    own = tallies[1].evidence([samples[n] for n in kept]).pixels
    assert own is not None
    np.testing.assert_array_equal(said.pixels.normal[kept], own.normal)


def test_where_no_mask_can_be_used_pixel_metrics_say_so() -> None:
    samples, scores, maps, _ = toy(4)
    tally = Evaluation()
    tally.add(Prediction(scores, maps), samples, [None] * 4)
    measured = tally.compute(samples, UNCHANGED)
    assert measured.undefined == dict.fromkeys(PIXEL_METRICS, "no mask can be used")
    assert set(measured.values) == set(IMAGE_METRICS)
