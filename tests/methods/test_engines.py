"""Methods that remember patches give the same with faiss as with torch alone."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch

from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.methods import resolve
from stackclip.ops import neighbours
from stackclip.types import Prediction

REMEMBERING = (
    "patchcore-clip",
    "patchcore-clip[neighbours=3]",
    "anomaly-dino[rotations=2]",
    "anomaly-dino[rotations=2,metric=l2,neighbours=2]",
    "af-clip",
    "april-gan",
    "winclip",
)


def predicted(spec: str) -> Prediction:
    method, tower = resolve(spec), trial_tower().spec
    shots, tested = (
        features_of(method.needs(tower, phase), ("bottle",), seed=seed) for seed, phase in enumerate(("shots", "test"))
    )
    found: Any = method.begin(task_of(shots=2)).on("bottle", iter([shots]), iter(()))
    prediction: Prediction = found.predict(tested)
    return prediction


@pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
@pytest.mark.parametrize("spec", REMEMBERING)
def test_faiss_and_torch_predict_the_same(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    search = neighbours._by_faiss
    monkeypatch.setattr(neighbours, "_by_faiss", lambda *words: searched.append(1) or search(*words))
    by_faiss = predicted(spec)
    assert searched
    monkeypatch.setattr(neighbours, "find_spec", lambda name: None)
    count, by_torch = len(searched), predicted(spec)
    assert len(searched) == count
    for ours, wanted in ((by_faiss.scores, by_torch.scores), (by_faiss.maps, by_torch.maps)):
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
