"""Position embeddings resized in each of the four ways of published code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from stackclip.cache.fingerprint import fingerprint_digest
from stackclip.clip import load_tower
from stackclip.clip.doubles import RandomViT
from stackclip.clip.positions import POSITIONS, resize_positions
from stackclip.errors import UsageError
from stackclip.registry import backbones
from stackclip.sizes import Size

WAYS = {
    "aprilgan_t12m_160_gelu": "bicubic-antialias",
    "winclip_accurate_t12m_160": "bicubic-antialias",
    "adaclip_t24m_160": "bicubic",
    "anomalyclip_t24s_160": "bilinear",
    "clip_surgery_t12m_160": "bilinear",
}


@pytest.mark.parametrize("name", WAYS)
def test_each_way_is_that_of_the_released_code_and_the_others_are_not(golden: Callable[[str], Any], name: str) -> None:
    case = golden(name)
    own = torch.from_numpy(np.load(case.weights)["visual.positional_embedding"]).float()
    used, grid = case.stored["pos_embed_used"], case.config["image_size"] // 16
    for way in POSITIONS:
        apart = float(np.abs(resize_positions(own, grid, way).numpy() - used).max())
        assert (apart < 1e-6) == (way == WAYS[name]), (way, apart)


def test_the_default_is_open_clips_own_to_the_last_bit() -> None:
    tower = load_tower("random-vit-8")
    larger = load_tower("random-vit-8", image_size=136)
    state = {"visual.positional_embedding": tower.model.visual.positional_embedding.detach().clone()}
    open_clip.model.resize_pos_embed(state, larger.model)
    assert torch.equal(larger.model.visual.positional_embedding, state["visual.positional_embedding"])


@pytest.mark.parametrize("size", ["56x112", "184x96"])
def test_those_of_an_oblong_are_open_clips_own_to_the_last_bit(size: str) -> None:
    own, tower = load_tower("random-vit-8"), load_tower("random-vit-8", image_size=size)
    state = {"visual.positional_embedding": own.model.visual.positional_embedding.detach().clone()}
    open_clip.model.resize_pos_embed(state, tower.model)
    assert torch.equal(tower.model.visual.positional_embedding, state["visual.positional_embedding"])
    assert tower.recorded["positions_resized"]
    assert tower.fingerprint == {**own.fingerprint, "image_size": size}


@pytest.mark.parametrize("way", POSITIONS)
def test_as_many_patches_on_another_grid_are_other_places(way: Any) -> None:
    """16 x 16 patches lie as 8 x 32: their number says nothing, by which open_clip would keep the square's."""
    own = torch.randn(257, 4, generator=torch.Generator().manual_seed(0))
    found = resize_positions(own, Size(8, 32), way)
    square = own[1:].T.reshape(1, 4, 16, 16)
    wanted = (
        F.interpolate(square, size=(8, 32), mode=way.partition("-")[0], antialias="anti" in way)
        if (way != "scale-factor")
        else F.interpolate(square, scale_factor=(8.1 / 16, 32.1 / 16), mode="bicubic")
    )
    torch.testing.assert_close(found[1:], wanted.flatten(2)[0].T)
    assert torch.equal(found[0], own[0])
    tower = load_tower("random-vit-8", image_size="56x224", position_embedding=way)  # 14 x 14 as 7 x 28
    assert tower.recorded["positions_resized"]


def bicubic(values: np.ndarray, at: float) -> float:
    """What torch's cubic (a = -0.75) reads between values, those beyond the ends being the last ones."""
    first, a, total = int(np.floor(at)) - 1, -0.75, 0.0
    for place in range(first, first + 4):
        far = abs(at - place)
        near = (a + 2) * far**3 - (a + 3) * far**2 + 1
        weight = near if far <= 1 else a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a
        total += weight * values[min(max(place, 0), len(values) - 1)]
    return total


def test_a_scale_factor_reads_at_other_places_than_a_size_does() -> None:
    line = np.random.default_rng(0).standard_normal(7)
    grid = torch.from_numpy(line).float().repeat(7, 1).reshape(49, 1)
    for way, factor in (("scale-factor", 10.1 / 7), ("bicubic", 10 / 7)):
        found = resize_positions(torch.cat([torch.zeros(1, 1), grid]), 10, way)[1:].reshape(10, 10)  # type: ignore[arg-type]
        wanted = [bicubic(line, (i + 0.5) / factor - 0.5) for i in range(10)]
        np.testing.assert_allclose(found[5], wanted, atol=1e-5)


def test_ways_are_part_of_the_fingerprint_and_the_default_is_what_it_was() -> None:
    towers = {way: load_tower("stackclip-tiny", image_size=128, position_embedding=way) for way in POSITIONS}
    assert len({fingerprint_digest(tower.fingerprint) for tower in towers.values()}) == len(POSITIONS)
    plain = load_tower("stackclip-tiny", image_size=128)
    assert plain.fingerprint == towers["bicubic-antialias"].fingerprint
    assert plain.fingerprint["position_embedding"] == "bicubic-antialias"
    assert plain.recorded["positions_resized"]
    assert not load_tower("stackclip-tiny").recorded["positions_resized"]


def test_a_way_that_there_is_not_and_a_backbone_that_knows_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, registry_as_it_was: None
) -> None:
    with pytest.raises(UsageError, match="'nearest' is no way to resize"):
        load_tower("stackclip-tiny", position_embedding="nearest")  # type: ignore[arg-type]

    @backbones.register("own-vit")
    class Own:
        """A backbone from before there were ways."""

        def load(self, *, image_size: Any, layers: Any, device: str, precision: Any) -> Any:
            return RandomViT().load(image_size=image_size, layers=layers, device=device, precision=precision)

    assert load_tower("own-vit").spec.name == "random-vit-8"
    with pytest.raises(UsageError, match="leave out --position-embedding"):
        load_tower("own-vit", position_embedding="bilinear")
