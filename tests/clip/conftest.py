"""A small architecture of our own among open_clip's, and its weights in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
from torch import Tensor

from stackclip.clip.doubles import random_weights

TINY: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 6, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture
def tiny_config() -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(TINY))
    return copy


@pytest.fixture(scope="session")
def tiny_weights() -> dict[str, Tensor]:
    return random_weights(TINY, seed=3)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a tiny ViT that open_clip lists for the time of one test."""
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    path = tmp_path / "ViT-tiny-test.json"
    path.write_text(json.dumps(TINY), "utf-8")
    open_clip.add_model_config(path)
    return "ViT-tiny-test"
