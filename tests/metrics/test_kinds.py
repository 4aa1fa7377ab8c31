"""Pixel metrics by kind of defect are those of the pictures of the kind and all good ones, measured alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from stackclip.metrics import Form, PixelMetricsByKind, pixel_metrics
from stackclip.ops.regions import label_regions

KINDS = ("good", "crack", "good", "dent", "crack", "good")


@pytest.mark.parametrize("form", ["exact", "streamed"])
def test_each_kind_has_the_figures_that_its_pictures_and_the_good_ones_have_alone(form: Form) -> None:
    draw = np.random.default_rng(0)
    maps = draw.normal(size=(6, 20, 20)).astype(np.float32)
    masks = np.zeros((6, 20, 20), bool)
    masks[[1, 3, 4], 5:9, 3:12] = True
    by_kind = PixelMetricsByKind(form, ("crack", "dent"))
    for kind, scores, mask in zip(KINDS, maps, masks, strict=True):
        by_kind.add(kind, scores, label_regions(mask))
    found = by_kind.compute()
    assert list(found) == ["crack", "dent"]
    for kind in found:
        chosen = np.array([each in (kind, "good") for each in KINDS])
        alone = pixel_metrics(form)
        for scores, mask in zip(maps[chosen], masks[chosen], strict=True):
            alone.add(scores, label_regions(mask))
        assert found[kind] == alone.compute()
        labels, scores = masks[chosen].reshape(-1), maps[chosen].reshape(-1)
        for name, oracle in (("pixel_AUROC", roc_auc_score), ("pixel_AP", average_precision_score)):
            bound = found[kind].bounds.get(name, 0) + 1e-9
            assert found[kind].values[name] == pytest.approx(oracle(labels, scores), abs=bound)


@pytest.mark.parametrize("form", ["exact", "streamed"])
def test_parts_of_a_category_add_up(form: Form) -> None:
    draw = np.random.default_rng(1)
    maps = draw.normal(size=(6, 20, 20)).astype(np.float32)
    masks = np.zeros((6, 20, 20), bool)
    masks[[1, 3, 4], 5:9, 3:12] = True
    whole, first, second = (PixelMetricsByKind(form, ("crack", "dent")) for _ in range(3))
    for number, (kind, scores, mask) in enumerate(zip(KINDS, maps, masks, strict=True)):
        for each in (whole, first if number < 3 else second):
            each.add(kind, scores, label_regions(mask))
    first.merge(second)
    assert first.compute() == whole.compute()
