"""A small text tower in float64, with real tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stackclip.clip import Tower
from stackclip.clip.assembly import assemble_tower
from stackclip.clip.doubles import random_weights
from stackclip.types import CLS, Features, Sample

SMALL: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 16, "layers": 4, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 4},
}


@pytest.fixture(scope="session")
def small_tower() -> Tower:
    """Four text layers of width 8, joint width 12."""
    tower = assemble_tower(
        SMALL, random_weights(SMALL, seed=5), name="small", activation="gelu", device="cpu", precision="fp32", note=""
    )
    tower.model.double()
    return tower


@pytest.fixture(scope="session")
def pictures() -> Features:
    """Eight class tokens, the odd ones anomalous, moved along one direction by their label."""
    draws = np.random.default_rng(0)
    labels = [index % 2 for index in range(8)]
    tokens = draws.standard_normal((8, 12)) + np.outer(labels, draws.standard_normal(12))
    samples = tuple(
        Sample(f"{index}.png", "random", "bottle", "test", None, None, label, "hole")  # type: ignore[arg-type]  # no picture is read
        for index, label in enumerate(labels)
    )
    return Features(samples, {CLS: torch.from_numpy(tokens)})
