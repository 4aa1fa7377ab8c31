"""What rows say of kinds of defects and of components: against the pictures measured alone, and scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from stackclip.benchmarks.breakdown import BY_DEFECT, Breakdown, component_aurocs, has_kinds, sample_metrics
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import row_from_json, row_to_json
from stackclip.benchmarks.runner import Bench
from stackclip.errors import BrokenPlugin
from stackclip.methods import Detector
from stackclip.metrics import PixelMetrics, PixelMetricsByKind
from stackclip.ops.regions import label_regions
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Prediction, Sample

KINDS = ("good", "crack", "good", "dent", "crack", "good", "good")
COUNT = len(KINDS)


class Unchanged:
    """A detector of which only `settle` is asked."""

    def settle(self, scores: Tensor, peaks: Tensor | None) -> Tensor:
        return scores


UNCHANGED = cast(Detector, Unchanged())


def pictures(*, masked: bool = True) -> list[Sample]:
    def one(number: int, defect: str) -> Sample:
        path, label = Path(f"{number}.png"), NORMAL if defect == GOOD else ANOMALOUS
        return Sample(path.name, "toy", "disc", "test", path, path if label and masked else None, label, defect)

    return [one(number, defect) for number, defect in enumerate(KINDS)]


def evaluated(samples: list[Sample], prediction: Prediction) -> tuple[Evaluation, np.ndarray]:
    masks = np.zeros((COUNT, 16, 16), bool)
    masks[[1, 3, 4], 4:8, 2:9] = True
    evaluation = Evaluation(breakdown=Breakdown(PixelMetricsByKind("exact", ("crack", "dent"))))
    evaluation.add(prediction, samples, [label_regions(mask) for mask in masks])
    return evaluation, masks


def drawn(**more: Any) -> Prediction:
    draw = np.random.default_rng(0)
    scores, maps = draw.normal(size=COUNT), draw.normal(size=(COUNT, 16, 16))
    return Prediction(torch.from_numpy(scores).float(), torch.from_numpy(maps).float(), **more)


def test_each_kind_is_measured_with_all_good_pictures() -> None:
    samples, prediction = pictures(), drawn()
    evaluation, masks = evaluated(samples, prediction)
    measured = evaluation.compute(samples, UNCHANGED)
    found = evaluation.breakdown.facts["by_defect"]
    assert {kind: each["pictures"] for kind, each in found.items()} == {"crack": 2, "dent": 1}
    assert prediction.scores is not None
    assert prediction.maps is not None
    for kind, each in found.items():
        chosen = np.array([defect in (kind, GOOD) for defect in KINDS])
        labels, scores = np.array([s.label for s in samples])[chosen], prediction.scores.numpy()[chosen]
        pixels, maps = masks[chosen], prediction.maps.numpy()[chosen]
        alone = PixelMetrics()
        for own, mask in zip(maps, pixels, strict=True):
            alone.add(own, label_regions(mask))
        wanted = {
            "image_AUROC": roc_auc_score(labels, scores),
            "image_AP": average_precision_score(labels, scores),
            "pixel_AUROC": roc_auc_score(pixels.reshape(-1), maps.reshape(-1)),
            "pixel_AUPRO": alone.compute().values["pixel_AUPRO"],
        }
        assert each["metrics"] == pytest.approx(wanted)
        assert tuple(each["metrics"]) == BY_DEFECT
    plain = Evaluation()
    plain.add(prediction, samples, [label_regions(mask) for mask in masks])
    assert plain.compute(samples, UNCHANGED) == measured  # nothing else changes


@pytest.mark.parametrize(
    ("masked", "prediction", "image", "pixel"),
    [
        (False, drawn(), None, "2 defective pictures have no mask"),
        (True, replace(drawn(), maps=None, why_no_maps="no map"), None, "no map"),
        (True, replace(drawn(), scores=None, why_no_scores="no score"), "no score", None),
    ],
)
def test_what_a_kind_lacks_has_a_reason(
    masked: bool, prediction: Prediction, image: str | None, pixel: str | None
) -> None:
    samples = pictures(masked=masked)
    evaluation, _ = evaluated(samples, prediction)
    evaluation.compute(samples, UNCHANGED)
    undefined = evaluation.breakdown.facts["by_defect"]["crack"]["undefined"]
    wanted = {**dict.fromkeys(BY_DEFECT[:2], image), **dict.fromkeys(BY_DEFECT[2:], pixel)}
    assert undefined == {name: why for name, why in wanted.items() if why}


def view(name: str, group: str, label: int) -> Sample:
    return Sample(name, "own", "nut", "test", Path(name), None, label, "dent" if label else GOOD, group=group)


def test_an_object_scores_as_its_highest_view_and_is_anomalous_if_one_is() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (12, 5)) * draw.integers(0, 2, (12, 1))
    scores = draw.normal(labels, 1.5).astype(np.float32)
    order = draw.permutation(60)
    cells = [(number, place) for number in range(12) for place in range(5)]
    samples = [view(f"{number}-{place}", f"S{number:04}", int(labels[number, place])) for number, place in cells]
    found = sample_metrics([samples[each] for each in order], scores.ravel()[order])
    assert not found.undefined
    assert found.values["sample_AUROC"] == pytest.approx(roc_auc_score(labels.max(1), scores.max(1)))
    assert found.values["sample_AP"] == pytest.approx(average_precision_score(labels.max(1), scores.max(1)))
    assert set(found.values) == {"sample_AUROC", "sample_AP", "sample_F1max"}


def test_pictures_that_are_no_views_have_no_sample_metrics_and_stand_for_themselves_beside_views() -> None:
    alone = [view("a", "", NORMAL), view("b", "", ANOMALOUS)]
    scores = np.array([0.5, 0.4])
    assert sample_metrics(alone, scores).values == {}
    both = [*alone, view("c", "a", NORMAL), view("d", "a", ANOMALOUS)]
    # objects: a .5 good, b .4 bad, and the views c .1 and d .9 of one: bad, .9
    assert sample_metrics(both, np.array([0.5, 0.4, 0.1, 0.9])).values["sample_AUROC"] == 0.5
    assert sample_metrics(both, None, "no scores").undefined["sample_AP"] == "no scores"
    good = [view("c", "a", NORMAL), view("d", "a", NORMAL)]
    assert sample_metrics(good, scores).undefined["sample_AUROC"] == "no anomalous object"


def test_rows_of_views_have_the_metrics_of_their_objects() -> None:
    samples = [replace(each, group=f"S{place // 2}") for place, each in enumerate(pictures())]
    prediction = drawn()
    assert prediction.scores is not None
    found = evaluated(samples, prediction)[0].compute(samples, UNCHANGED)
    expected = sample_metrics(samples, prediction.scores.numpy())
    assert len(expected.values) == 3
    assert expected.values.items() <= found.values.items()
    assert not [name for name in found.values if name.startswith("image_AUROC_")]


def test_components_are_kept_picture_by_picture_and_have_their_auroc() -> None:
    samples = pictures()
    parts = {"logical": torch.arange(COUNT).float(), "structural": -(torch.arange(COUNT).float() ** 2)}
    evaluation, _ = evaluated(samples, drawn(components=parts))
    evaluation.compute(samples, UNCHANGED)
    assert {name: each.tolist() for name, each in evaluation.breakdown.components.items()} == {
        name: each.tolist() for name, each in parts.items()
    }
    labels = [sample.label for sample in samples]
    assert evaluation.breakdown.facts["components"] == {
        name: {"image_AUROC": pytest.approx(roc_auc_score(labels, each.numpy()))} for name, each in parts.items()
    }


def test_components_of_a_category_of_kinds_have_the_auroc_of_each_kind() -> None:
    samples = [
        replace(each, defect={"crack": "logical_anomalies", "dent": "structural_anomalies"}.get(each.defect, GOOD))
        for each in pictures()
    ]
    scores = np.random.default_rng(1).normal(size=COUNT)
    found = component_aurocs({"part": scores}, samples)["part"]
    for kind in ("logical", "structural"):
        chosen = [each.defect in (GOOD, f"{kind}_anomalies") for each in samples]
        labels = np.array([each.label for each in samples])[chosen]
        assert found[f"image_AUROC_{kind}"] == pytest.approx(roc_auc_score(labels, scores[chosen]))
    assert set(found) == {"image_AUROC", "image_AUROC_logical", "image_AUROC_structural"}


@pytest.mark.parametrize(
    ("components", "said"),
    [
        ([torch.zeros(COUNT)], "gave a list as components; wanted scores by name"),
        ({1: torch.zeros(COUNT)}, "wanted scores by name"),
        ({"part": torch.zeros(COUNT, 1)}, rf"its component part has the shape \({COUNT}, 1\) for {COUNT} pictures"),
        ({"part": None}, f"its component part has None for {COUNT} pictures"),
        ({"part": torch.full((COUNT,), torch.nan)}, "its component part has NaN or infinity"),
        ({"part": [0.0] * COUNT}, "gave the component part a list; wanted a tensor of real numbers"),
    ],
)
def test_components_that_are_no_scores_are_refused(components: Mapping[str, Tensor], said: str) -> None:
    with pytest.raises(BrokenPlugin, match=said):
        evaluated(pictures(), drawn(components=components))


def test_components_have_the_same_names_in_every_batch() -> None:
    evaluation, _ = evaluated(pictures(), drawn(components={"logical": torch.zeros(COUNT)}))
    with pytest.raises(BrokenPlugin, match="gave the components none after logical; wanted the same ones"):
        evaluation.add(drawn(), pictures(), [None] * COUNT)


def test_a_bench_adds_the_kinds_to_rows_that_are_else_the_same(bench: Callable[..., Bench], small: Any) -> None:
    plain = bench(small.plan("precise", "clip")).run().rows
    asked = bench(small.plan("precise", "clip", per_defect=True))
    rows = asked.run()
    assert rows.computed == len(plain)  # those of before do not tell the kinds
    for row, before in zip(rows.rows, plain, strict=True):
        assert (row.metrics, row.undefined) == (before.metrics, before.undefined)
        assert has_kinds(row)
        assert not has_kinds(before)
        kinds = facts_of(row_from_json(json.loads(json.dumps(row_to_json(row))))).by_defect
        [dataset] = asked.plan.test_on
        tested = dataset.select(split="test", categories=(row.category,))
        defects = [sample.defect for sample in tested if sample.label == ANOMALOUS]
        assert {name: kind.pictures for name, kind in kinds.items()} == {d: defects.count(d) for d in defects}
    assert bench(small.plan("precise", "clip", per_defect=True)).run().computed == 0
    assert bench(small.plan("precise", "clip")).run().rows == rows.rows  # what is told stays
