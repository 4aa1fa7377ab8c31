"""Every method over pictures that are no squares: what it says lies where the picture has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from stackclip.benchmarks.facts import facts_of
from stackclip.clip import Tower, random_tower
from stackclip.methods import component_of, method_names
from stackclip.methods.memory import PatchMemory
from stackclip.methods.segmenter import RegionSegmenter, centres_of
from stackclip.session import Session, TowerRecipe
from stackclip.sizes import Size
from stackclip.types import GOOD, NORMAL, Features, Sample

DATA = "synthetic[categories=1,per_category=4,train_good=3,size=64]"
WORDS: dict[str, Any] = {"train_on": DATA, "test_on": DATA.replace("[", "[part=combinations,"), "epochs": 1}
SHOWN = ("anomaly-dino", "clip-lad", "patchcore-clip", "promptad")  # which there are not without shots
CORNERS = [(0, 0), (0, 48), (16, 0), (16, 48)]


@cache
def tower() -> Tower:
    """32 x 64 pixels: patches of 8 on 4 x 8."""
    return random_tower(image_size=(32, 64))


def shown(corner: tuple[int, int] | None = None) -> Features:
    """A picture of noise, with a bright square of two patches a side in a corner if there is one."""
    picture = torch.randn(1, 3, 32, 64, generator=torch.Generator().manual_seed(0)) / 10
    if corner is not None:
        top, left = corner
        picture[..., top : top + 16, left : left + 16] += 4
    sample = Sample("0.png", "own", "plate", "test", Path("0.png"), None, NORMAL, GOOD)
    return Features((sample,), tower().encode(picture, tower().spec.taps))


@pytest.mark.parametrize("corner", CORNERS)
def test_a_square_in_a_corner_is_anomalous_there(corner: tuple[int, int]) -> None:
    maps = PatchMemory(tower().spec, [shown()]).maps(shown(corner))
    assert maps.shape == (1, 32, 64)
    place = divmod(int(maps.argmax()), 64)
    assert all(start <= at < start + 16 for start, at in zip(corner, place, strict=True)), place


@pytest.mark.parametrize("corner", CORNERS)
def test_a_square_in_a_corner_is_a_region_there(corner: tuple[int, int]) -> None:
    part, grid, features = tower().spec.taps[0], tower().spec.frame.grid, shown(corner)
    centres = centres_of([features], [part], 2, grid=grid, seed=0)
    [mask] = RegionSegmenter([part], centres, grid=grid).masks(features)
    assert mask.regions.shape == (8, 16)
    top, left = (each // 4 for each in corner)
    inside = mask.regions[top : top + 4, left : left + 4]
    beyond = mask.regions.flip(0, 1)[top : top + 4, left : left + 4]
    assert inside.float().mean().round() != beyond.float().mean().round()


def test_every_method_says_something_of_oblong_pictures_and_is_not_asked_twice(tmp_path: Path) -> None:
    session = Session(tmp_path, TowerRecipe("random-vit-8", image_size="32x64", device="cpu"))
    own = [name for name in method_names() if component_of(name).is_own]  # other tests register more
    plain = [f"{name}[shots=1]" if name in SHOWN else name for name in own]
    names = [*plain, "winclip[shots=1]", "af-clip[shots=1]", "stacked[head=efa]", "mrad[mode=clip]"]
    rows = session.bench(names, **WORDS)
    assert {row.method: row.error for row in rows if row.error} == {}
    assert {facts_of(row).image_size for row in rows} == {"32x64"}
    for row in rows:
        assert "image_AUROC" in row.metrics, row.method
        assert "pixel_AUPRO" in row.metrics or row.undefined["pixel_AUPRO"], row.method
    again = Session(tmp_path, TowerRecipe("random-vit-8", image_size=(32, 64), device="cpu")).bench(names, **WORDS)
    assert (again.computed, len(again)) == (0, len(rows))


@pytest.mark.parametrize("size", ["56x112", "112x56"])
def test_maps_of_oblong_pictures_lie_over_their_masks(tmp_path: Path, size: str) -> None:
    """Maps with rows for columns would be worth no more than chance."""
    session = Session(tmp_path, TowerRecipe(image_size=size, device="cpu"))
    rows = session.bench(["clip-surgery", "sdp", "winclip"], **WORDS)
    assert {row.method: row.metrics["pixel_AUROC"] > 0.9 for row in rows} == {row.method: True for row in rows}
    [tiled] = session.bench("clip-surgery", tiles="1x2", **WORDS)
    height, width = (int(side) for side in size.split("x"))
    assert facts_of(tiled).map_side == str(Size(round(1.75 * height), round(1.75 * width)))
    assert tiled.metrics["pixel_AUROC"] > 0.9
