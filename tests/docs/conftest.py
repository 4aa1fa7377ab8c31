"""Fixtures of the tests of pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TRAINING = "synthetic[categories=3,per_category=4,train_good=4,size=56]"
SMALL = {
    "STACKCLIP_BENCH_TRAIN_ON": TRAINING,
    "STACKCLIP_BENCH_TEST_ON": TRAINING.replace("[", "[part=shapes,"),
    "STACKCLIP_BENCH_EPOCHS": "1",
    "STACKCLIP_CACHE_FEATURES_DATASET": TRAINING,
    **{f"STACKCLIP_{verb}_IMAGE_SIZE": "56" for verb in ("BENCH", "CACHE_FEATURES", "INSPECT", "FIT", "EXPORT_ONNX")},
}


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry_as_it_was: None) -> Path:
    """A folder with pictures of plates, some of them with a spot: FOLDER, OK."""
    draws = np.random.default_rng(0)
    for place, count in (("FOLDER", 4), ("OK", 6)):
        (tmp_path / place).mkdir()
        for number in range(count):
            plate = draws.integers(90, 110, (56, 56, 3), dtype=np.uint8)
            if place == "FOLDER" and number % 2:
                plate[20:30, 20:30] = (200, 30, 30)
            Image.fromarray(plate).save(tmp_path / place / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    return tmp_path
