"""sPRO of a category: kinds apart, maps scaled up to pictures, and why there is no value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from stackclip.benchmarks.breakdown import image_aurocs
from stackclip.benchmarks.saturation import Native, Saturation, anomaly_kinds
from stackclip.data.defects import DEFECTS_CONFIG, DefectRegion
from stackclip.errors import PictureError
from stackclip.metrics import KINDS, SPRO_LIMITS, SaturatedOverlap, named_for_kind, spro_name
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

NAMES = tuple(map(spro_name, SPRO_LIMITS))
SIZE = (24, 36)
LOCO = (GOOD, GOOD, "logical_anomalies", "structural_anomalies", "logical_anomalies")


def sample(number: int, defect: str, *, mask: bool = True) -> Sample:
    path, label = Path(f"{number}.png"), NORMAL if defect == GOOD else ANOMALOUS
    masked = path if mask and label == ANOMALOUS else None
    config = Path(DEFECTS_CONFIG)
    return Sample(path.name, "toy", "box", "test", path, masked, label, defect, defects=config)


def read(sample: Sample) -> Native:
    """A defect at a place of each picture's own."""
    first = 40 * int(sample.image.stem)
    return Native(SIZE, [] if sample.label == NORMAL else [DefectRegion(np.arange(first, first + 30), 12)])


def maps(count: int) -> list[Any]:
    return list(np.random.default_rng(0).normal(size=(count, 8, 8)).astype(np.float32))


def measured(samples: list[Sample], reading: Callable[[Sample], Native] = read, metrics: str = "auto") -> Any:
    found = Saturation.of(samples, reading, metrics)
    assert found is not None
    for each, scores in zip(samples, maps(len(samples)), strict=True):
        found.add(each, scores)
    return found.compute()


def alone(samples: list[Sample], *kinds: str) -> dict[str, float]:
    """The areas of some kinds by themselves, of maps at the size of the pictures."""
    overlap = SaturatedOverlap()
    for each, scores in zip(samples, maps(len(samples)), strict=True):
        if each.defect in kinds:
            native = functional.interpolate(torch.from_numpy(scores)[None, None], size=SIZE, mode="bilinear")[0, 0]
            overlap.add(native.numpy(), read(each).defects)
    return dict(overlap.compute().values)


@pytest.mark.parametrize(("metrics", "form"), [("auto", "exact"), ("exact", "exact"), ("streamed", "streamed")])
def test_kinds_are_measured_apart_with_all_good_pictures_and_their_mean_is_the_headline(
    metrics: str, form: str
) -> None:
    samples = [sample(number, defect) for number, defect in enumerate(LOCO)]
    found = measured(samples, metrics=metrics)
    assert found.form == form
    of = {kind: alone(samples, GOOD, f"{kind}_anomalies") for kind in KINDS}
    for name in NAMES:
        for kind in KINDS:
            bound = found.bounds.get(named_for_kind(name, kind), 0) + 1e-9
            assert abs(found.values[named_for_kind(name, kind)] - of[kind][name]) <= bound
        mean = (of["logical"][name] + of["structural"][name]) / 2
        assert abs(found.values[name] - mean) <= found.bounds.get(name, 0) + 1e-9


def test_defects_of_other_names_are_measured_together() -> None:
    samples = [sample(number, defect) for number, defect in enumerate((GOOD, "missing", "loose"))]
    found = measured(samples)
    assert found.values == alone(samples, GOOD, "missing", "loose")
    assert anomaly_kinds(samples) == ()


def test_one_kind_alone_is_its_own_mean() -> None:
    samples = [sample(number, defect) for number, defect in enumerate((GOOD, "logical_anomalies"))]
    found = measured(samples)
    assert {name: found.values[name] for name in NAMES} == alone(samples, GOOD, "logical_anomalies")
    assert "pixel_AUsPRO@0.05_structural" not in found.values


def test_what_cannot_be_read_is_the_reason_of_all_values() -> None:
    def broken(each: Sample) -> Native:
        if each.defect == "structural_anomalies":
            raise PictureError(each.image, "mask with the value 1")
        return read(each)

    samples = [sample(number, defect) for number, defect in enumerate(LOCO)]
    found = measured(samples, broken)
    assert not found.values
    assert set(found.undefined) == {*NAMES, *(named_for_kind(name, kind) for name in NAMES for kind in KINDS)}
    assert set(found.undefined.values()) == {"3.png: mask with the value 1"}


def test_defective_pictures_without_a_mask_leave_it_undefined() -> None:
    samples = [sample(0, GOOD), sample(1, "missing", mask=False)]
    assert set(measured(samples).undefined.values()) == {"1 defective picture has no mask"}


def test_a_category_without_saturation_areas_or_without_defects_is_not_measured() -> None:
    plain = Sample("0.png", "toy", "box", "test", Path("0.png"), Path("0.png"), ANOMALOUS, "hole")
    assert Saturation.of([plain], read) is None
    assert Saturation.of([sample(0, GOOD)], read) is None


def test_the_image_auroc_of_each_kind_is_the_released_one(golden_arrays: Callable[[str], Any]) -> None:
    import json

    golden = golden_arrays("loco_spro")
    samples = [sample(number, defect) for number, defect in enumerate(golden.given("kinds").tolist())]
    scores = golden.given("maps").max((1, 2))
    wanted = json.loads(str(golden.given("image_json")))["auc_roc"]
    found = image_aurocs(samples, scores).values
    assert found == {named_for_kind("image_AUROC", kind): wanted[f"{kind}_anomalies"] for kind in KINDS}
