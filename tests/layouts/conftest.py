"""Pictures of known sizes, and data sets opened, for the readers of annotations and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackclip.data import Dataset, open_dataset
from stackclip.data.masks import anomalous_pixels
from stackclip.types import Sample


@pytest.fixture
def photo() -> Callable[..., Path]:
    """`photo(path, height, width, orientation)`: a picture of noise as its file has it, no two alike."""

    def photo(path: Path, height: int = 12, width: int = 16, orientation: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = abs(hash(str(path))) % 2**32
        values = np.random.default_rng(seed).integers(60, 200, (height, width, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(values).save(path, exif=exif)
        return path

    return photo


@pytest.fixture
def document() -> Callable[[Path, Any], Path]:
    """`document(path, content)`: a file of JSON, or of the text."""

    def document(path: Path, content: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return document


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Dataset]:
    """`opened(root, spec)`: the data set in a folder, detected, or as a reader with options has it."""

    def opened(root: Path, spec: str = "") -> Dataset:
        place = {"data_root": root} if spec else {}
        return open_dataset(spec or str(root), generated=tmp_path / "generated", **place)

    return opened


@pytest.fixture
def pixels() -> Callable[[Sample], NDArray[np.bool_]]:
    """`pixels(sample)`: its mask, (H, W)."""

    def pixels(sample: Sample) -> NDArray[np.bool_]:
        assert sample.mask is not None
        return anomalous_pixels(sample.mask)

    return pixels
