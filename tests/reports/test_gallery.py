"""A gallery holds each picture once, the worst where there is no room for all, and says what it lost."""

from __future__ import annotations

import base64
import io
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.benchmarks.sidecars import CellPictures
from stackclip.reports.exhibits import Exhibit
from stackclip.reports.gallery import Gallery


def cell(count: int = 6, *, maps: bool = True) -> CellPictures:
    draws = np.random.default_rng(count)
    labels = np.arange(count) % 2
    return CellPictures(
        ids=tuple(f"{number}.png" for number in range(count)),
        images=tuple(f"{number}.png" for number in range(count)),
        labels=labels.astype(np.uint8),
        defects=tuple("dent" if label else "good" for label in labels),
        masks=(draws.random((count, 64, 64)) < 0.05) & (labels == 1)[:, None, None],
        localised=np.ones(count, bool),
        scores=draws.random(count),
        levels=draws.integers(0, 256, (count, 64, 64)).astype(np.uint8) if maps else None,
        low=np.zeros(count) if maps else None,
        high=np.ones(count) if maps else None,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(6):
        Image.effect_noise((300, 150), 60).convert("RGB").save(tmp_path / f"{number}.png")
    return tmp_path


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_maps_masks_and_pictures_come_back_as_they_were(root: Path) -> None:
    pictures = cell()
    found = Gallery([Exhibit("m", "c", pictures, root), Exhibit("n", "c", pictures, root)]).data
    assert len(found["pictures"]) == len(pictures)  # each once, whoever looked at it
    assert [wall["method"] for wall in found["walls"]] == ["m", "n"]
    for row, each in enumerate(found["pictures"]):
        assert each["size"] == [128, 64]
        assert opened(each["thumb"]).size == (128, 64)
        assert pictures.levels is not None
        back = np.asarray(opened(found["walls"][1]["maps"][row]).convert("L"))
        np.testing.assert_array_equal(back, pictures.levels[row] // 2)
        ends = list(accumulate(each["mask"]))
        mask = np.zeros(64 * 64, bool)
        for first, stop in zip(ends[::2], ends[1::2], strict=False):
            mask[first:stop] = True
        np.testing.assert_array_equal(mask.reshape(64, 64), pictures.masks[row])
        assert ends[-1] == 64 * 64


def test_where_there_is_no_room_the_worst_of_each_stay_and_all_scores(root: Path) -> None:
    exhibits = [Exhibit(method, "c", cell(), root) for method in "mn"]
    whole = Gallery(exhibits)
    assert whole.unshown == 0
    for limit in (8_000, 20_000, 30_000, 45_000):
        small = Gallery(exhibits, limit)
        walls = small.data["walls"]
        for wall, exhibit in zip(walls, exhibits, strict=True):
            assert len(wall["scores"]) == 6
            shown = list(wall["maps"])
            assert shown == list(exhibit.worst_first[: len(shown)])
        assert small.unshown == 12 - sum(len(wall["maps"]) for wall in walls) > 0
        held = sum(len(each["thumb"] or "") for each in small.data["pictures"])
        held += sum(len(each) for wall in walls for each in wall["maps"].values())
        assert held <= limit


def test_pictures_that_are_gone_are_counted_once_and_their_maps_stay(root: Path) -> None:
    (root / "3.png").unlink()
    (root / "4.png").write_bytes(b"no picture")
    gallery = Gallery([Exhibit(method, "c", cell(), root) for method in "mn"])
    assert gallery.unreadable == 2
    assert [each["thumb"] is None for each in gallery.data["pictures"]] == [False, False, False, True, True, False]
    assert all(wall["maps"][3] for wall in gallery.data["walls"])


def test_a_method_without_maps_shows_its_pictures(root: Path) -> None:
    found = Gallery([Exhibit("m", "c", cell(maps=False), root)]).data
    assert set(found["walls"][0]["maps"].values()) == {""}
    assert found["walls"][0]["peaks"] is None
    assert found["walls"][0]["scale"] is None
