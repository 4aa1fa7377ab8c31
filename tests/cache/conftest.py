"""A small data set, a tower that only counts and averages, and a store of what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, extract
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, Part, Sample, TowerSpec, patch

SPEC = TowerSpec(name="Fake/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))
FINGERPRINT = {"model": SPEC.name, "weights": "a" * 64, "mean": (0.5, 0.5, 0.5), "semantics": 1}
PARTS = frozenset({CLS, patch(1), patch(2), MASK})


@dataclass
class FakeTower:
    """Features that a test can work out: the picture's mean, times the layer, plus the position."""

    spec: TowerSpec = SPEC
    encoded: list[frozenset[Part]] = field(default_factory=list)
    before: Callable[[int], None] = lambda count: None

    picture_range = "auto"

    def prepare(self, image: Image.Image) -> Any:
        return np.asarray(image.resize((16, 16)), np.float32).transpose(2, 0, 1) / 255

    def encode(self, pictures: Any, parts: Iterable[Part]) -> dict[Part, Any]:
        import torch

        parts = tuple(parts)
        for _ in pictures:
            self.before(len(self.encoded))
            self.encoded.append(frozenset(parts))
        mean = pictures.mean((1, 2, 3))
        position = torch.arange(16 * 8).reshape(16, 8) / 128
        return {
            part: mean[:, None].repeat(1, 6) if part == CLS else mean[:, None, None] * part.index + position
            for part in parts
        }


@pytest.fixture
def spec() -> TowerSpec:
    return SPEC


@pytest.fixture
def fingerprint() -> dict[str, Any]:
    return dict(FINGERPRINT)


@pytest.fixture
def parts() -> frozenset[Part]:
    return PARTS


@pytest.fixture
def tower() -> FakeTower:
    return FakeTower()


@pytest.fixture
def make_samples(tmp_path: Path) -> Callable[..., list[Sample]]:
    """Write `count` pictures (every second one anomalous, with a mask) and give their samples."""

    def make(count: int, *, root: Path = tmp_path / "data", dataset: str = "screws", seed: int = 0) -> list[Sample]:
        root.mkdir(parents=True, exist_ok=True)
        samples = []
        for index in range(count):
            random = np.random.default_rng((seed, index))
            image, mask = root / f"{index:03d}.png", None
            Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(image)
            if index % 2:
                mask = root / f"{index:03d}_mask.png"
                pixels = np.zeros((20, 24), np.uint8)
                pixels[2:9, 3 : 8 + index] = 255
                pixels[15:, index:] = 1
                Image.fromarray(pixels).save(mask)
            label = ANOMALOUS if index % 2 else NORMAL
            samples.append(
                Sample(image.name, dataset, "long", "test", image, mask, label, "cut" if index % 2 else GOOD)
            )
        return samples

    return make


@pytest.fixture
def samples(make_samples: Callable[..., list[Sample]]) -> list[Sample]:
    return make_samples(6)


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[], Store]:
    """Open the store, which is made the first time: what another process would see."""
    return lambda: Store.create(tmp_path / "cache", FINGERPRINT, spec=SPEC, recorded={"torch": "0"})


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


@pytest.fixture
def filled(store: Store, samples: list[Sample], tower: FakeTower) -> Store:
    """A store of all parts of the six samples, in one segment."""
    extract(store, tower, samples, PARTS, batch_size=4)
    return store
