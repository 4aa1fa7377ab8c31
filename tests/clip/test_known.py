"""Facts of towers that were kept: what they spare, what they are worth, and when they are worth nothing."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stackclip.clip import TowerRecipe, known, load_tower, loading
from stackclip.clip.architecture import packaged_config
from stackclip.clip.doubles import random_weights
from stackclip.clip.known import KnownTower, find_tower
from stackclip.clip.tower import Tower
from stackclip.errors import UnknownComponent, UsageError, WeightsError
from stackclip.ops import states
from stackclip.ops.seals import sealed, unsealed
from stackclip.types import CLS, patch

OWN = TowerRecipe("random-vit-8", image_size=56, device="cpu")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[TowerRecipe]:
    """The recipes of the towers that were loaded."""
    found: list[TowerRecipe] = []

    def counting(recipe: TowerRecipe) -> Tower:
        found.append(recipe)
        return load_tower(recipe)

    monkeypatch.setattr(known, "load_tower", counting)
    return found


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens ten seconds after the files were written."""
    for module in (known, states):
        monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + 10**10)


@pytest.fixture
def packaged(tiny: str, tiny_config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny ViT that comes with open_clip."""
    folder = tmp_path / "package" / "model_configs"
    folder.mkdir(parents=True)
    (folder / f"{tiny}.json").write_text(json.dumps(tiny_config), "utf-8")
    there = type("Package", (), {"origin": str(folder.parent / "__init__.py")})
    monkeypatch.setattr("stackclip.clip.architecture.find_spec", lambda name: there)
    return tiny


@pytest.fixture
def weights(tmp_path: Path, tiny_weights: dict[str, Tensor]) -> Path:
    save_file(tiny_weights, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def kept(recipe: TowerRecipe, folder: Path) -> KnownTower:
    found = find_tower(recipe, folder)
    found.keep()
    return found


def same(one: Tower, other: Tower) -> bool:
    """Whether two towers are alike in all that is said of them."""
    names = ("spec", "transform", "precision", "recorded", "context_length", "fingerprint", "text_fingerprint")
    return all(getattr(one, name) == getattr(other, name) for name in (*names, "device", "picture_range"))


@pytest.mark.parametrize(
    "recipe",
    [
        OWN,
        TowerRecipe("random-vit-8[seed=2,activation=quick-gelu]", layers=(8, 3), device="cpu", picture_range="0:4095"),
        TowerRecipe("stackclip-tiny", image_size=96, position_embedding="bilinear", device="cpu", precision="bf16"),
    ],
)
def test_a_known_tower_is_the_loaded_one_and_is_built_when_it_is_used(
    recipe: TowerRecipe, tmp_path: Path, loaded: list[TowerRecipe]
) -> None:
    first = kept(recipe, tmp_path).tower
    assert loaded == [recipe]
    tower = kept(recipe, tmp_path).tower
    assert same(tower, first)
    assert json.dumps(tower.recorded, sort_keys=True) == json.dumps(first.recorded, sort_keys=True)
    side = first.spec.image_size
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    prepared = torch.from_numpy(tower.prepare(Image.fromarray(noise)))[None]
    assert loaded == [recipe]
    parts = (CLS, patch(2))
    assert all(torch.equal(tower.encode(prepared, parts)[part], first.encode(prepared, parts)[part]) for part in parts)
    assert torch.equal(tower.encode_text(["a bottle"]), first.encode_text(["a bottle"]))
    assert tower.count_tokens("a bottle") == first.count_tokens("a bottle")
    assert loaded == [recipe, recipe]


def test_a_tower_of_oblong_pictures_is_known_by_any_spelling(tmp_path: Path, loaded: list[TowerRecipe]) -> None:
    find_tower(replace(OWN, image_size="56x112"), tmp_path).keep()
    tower = find_tower(replace(OWN, image_size=(56, 112)), tmp_path).tower
    assert len(loaded) == 1
    assert (str(tower.spec.image_size), str(tower.spec.grid), tower.is_built) == ("56x112", "7x14", False)
    assert tower.fingerprint["image_size"] == "56x112"
    assert tower.prepare(Image.new("RGB", (9, 9))).shape == (3, 56, 112)
    tower.build()


def test_a_tower_that_reads_another_range_is_built_with_it_and_once(tmp_path: Path, loaded: list[TowerRecipe]) -> None:
    kept(OWN, tmp_path)
    tower = find_tower(OWN, tmp_path).tower
    ranged = tower.with_range("0:4095")
    assert ranged.fingerprint == load_tower(replace(OWN, picture_range="0:4095")).fingerprint
    assert ranged.model is tower.model
    assert ranged.text is tower.text
    assert len(loaded) == 2


def test_nothing_is_written_before_it_is_to_be_kept(tmp_path: Path) -> None:
    found = find_tower(OWN, tmp_path / "towers")
    assert not (tmp_path / "towers").exists()
    found.keep()
    [file] = (tmp_path / "towers").iterdir()
    before = file.stat()
    found.keep()
    find_tower(OWN, tmp_path / "towers").keep()
    assert file.stat() == before


@pytest.mark.parametrize(
    "other",
    [
        {"backbone": "random-vit-8[seed=1]"},
        {"image_size": 64},
        {"layers": (2, 4)},
        {"position_embedding": "bilinear"},
        {"precision": "bf16"},
        {"picture_range": "file"},
    ],
)
def test_what_is_asked_otherwise_is_another_tower(
    other: dict[str, Any], tmp_path: Path, loaded: list[TowerRecipe]
) -> None:
    kept(OWN, tmp_path)
    kept(replace(OWN, **other), tmp_path)
    assert len(loaded) == len([*tmp_path.iterdir()]) == 2


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the code of the package": lambda patch: patch.setattr(known, "_code", lambda: "0" * 64),
    "its version": lambda patch: patch.setattr(known, "VERSION", "9.9"),
    "the meaning of features": lambda patch: patch.setattr(known, "TOWER_SEMANTICS", 99),
    "torch": lambda patch: patch.setattr(torch, "__version__", "9.9"),
    "open_clip": lambda patch: patch.setattr(metadata, "version", lambda name: "9.9"),
    "the device": lambda patch: patch.setattr(known, "name_device", lambda device: "another"),
    "what auto means": lambda patch: patch.setattr(known, "choose_precision", lambda name, device: "bf16"),
    "the format": lambda patch: patch.setattr(known, "_FORMAT", 2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_around_it_has_the_tower_loaded(
    what: str, tmp_path: Path, loaded: list[TowerRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(OWN, tmp_path)
    CHANGES[what](monkeypatch)
    find_tower(OWN, tmp_path)
    assert len(loaded) == 2


def test_the_code_of_the_package_and_its_weights_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(known, "file_hash", lambda path: names.append(path.name) or "")
    known._code.__wrapped__()
    assert {"tower.py", "doubles.py", "patch.py", "stackclip-tiny.safetensors", "stackclip-tiny.json"} <= {*names}


def other_content(data: bytes) -> bytes:
    return data.replace(b'"grid":7', b'"grid":8')


def resealed(data: bytes, **changes: Any) -> bytes:
    return sealed({**unsealed(data), **changes})


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-20],
    "empty": lambda data: b"",
    "another number": other_content,
    "no text": lambda data: b"\xff\xfe" + data,
    "of another tower": lambda data: resealed(data, asked={}),
    "without a part": lambda data: resealed(data, tower={}),
    "a list for facts": lambda data: resealed(data, tower=[1]),
    "a field too many": lambda data: resealed(data, tower={**unsealed(data)["tower"], "more": 1}),
    "no files": lambda data: resealed(data, files=None),
    "another format": lambda data: resealed(data, format=99),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_not_as_it_was_written_is_found_anew(
    what: str, tmp_path: Path, loaded: list[TowerRecipe], caplog: pytest.LogCaptureFixture
) -> None:
    first = kept(OWN, tmp_path).tower
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[what](whole))
    assert same(kept(OWN, tmp_path).tower, first)
    assert len(loaded) == 2
    assert file.read_bytes() == whole
    assert all(str(file) in message for message in caplog.messages)


def test_a_file_under_another_name_is_not_believed(tmp_path: Path, loaded: list[TowerRecipe]) -> None:
    kept(OWN, tmp_path)
    [file] = tmp_path.iterdir()
    kept(replace(OWN, image_size=64), tmp_path)
    [other] = {*tmp_path.iterdir()} - {file}
    other.write_bytes(file.read_bytes())
    assert find_tower(replace(OWN, image_size=64), tmp_path).tower.spec.image_size == 64
    assert len(loaded) == 3


@pytest.mark.parametrize(("place", "said"), [("a folder", 2), ("a file above", 0)])
def test_where_nothing_can_be_kept_the_tower_is_loaded(
    place: str, said: int, tmp_path: Path, loaded: list[TowerRecipe], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "towers"
    if place == "a folder":
        kept(OWN, folder)
        [file] = folder.iterdir()
        file.unlink()
        file.mkdir()
    else:
        folder.write_text("in the way")
    loaded.clear()
    with caplog.at_level(logging.INFO):
        assert kept(OWN, folder).tower.spec.image_size == 56
        assert kept(OWN, folder).tower.spec.image_size == 56
    assert len(loaded) == 2
    assert len(caplog.messages) == said


def test_a_backbone_from_outside_is_loaded_each_time(
    tmp_path: Path, loaded: list[TowerRecipe], registry_as_it_was: None
) -> None:
    @known.backbones.register("mine-of-a-test")
    class Mine:
        """The tower of this test."""

        def load(self, *, image_size: Any, layers: Any, device: str, precision: Any) -> Tower:
            return load_tower("random-vit-8", image_size=image_size, device=device)

    recipe = replace(OWN, backbone="mine-of-a-test")
    assert kept(recipe, tmp_path).tower.spec == kept(recipe, tmp_path).tower.spec
    assert len(loaded) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        (replace(OWN, backbone="random-vit-9"), UnknownComponent),
        (replace(OWN, backbone="random-vit-8[sede=1]"), UsageError),
        (replace(OWN, backbone="[[", device="nowhere"), UsageError),
        (replace(OWN, image_size=57), UsageError),
        (replace(OWN, layers=(99,)), UsageError),
        (replace(OWN, device="nowhere"), UsageError),
        (replace(OWN, device="cuda:77"), UsageError),
        (replace(OWN, precision="fp8"), UsageError),
        (replace(OWN, pretrained="openai"), UsageError),
        (replace(OWN, picture_range="3"), UsageError),
        (TowerRecipe("ViT-B-16", device="nowhere"), WeightsError),
        (TowerRecipe("ViT-B-16", pretrained="opnai"), UsageError),
        (TowerRecipe("ViT-B-16", weights=Path("nowhere.safetensors")), WeightsError),
    ],
)
def test_what_is_wrong_is_said_at_once_in_the_words_of_loading(
    recipe: TowerRecipe, error: type[Exception], tmp_path: Path
) -> None:
    kept(OWN, tmp_path)
    with pytest.raises(error) as caught:
        find_tower(recipe, tmp_path)
    with pytest.raises(error) as wanted:
        load_tower(recipe)
    assert str(caught.value) == str(wanted.value)


def test_the_weights_in_a_file_are_known_until_the_file_is_another(
    packaged: str, weights: Path, tiny_config: dict[str, Any], tmp_path: Path, loaded: list[TowerRecipe], later: None
) -> None:
    recipe = TowerRecipe(packaged, weights=weights, device="cpu")
    first = kept(recipe, tmp_path / "towers").tower
    tower = kept(recipe, tmp_path / "towers").tower
    assert same(tower, first)
    assert len(loaded) == 1
    times = weights.stat()
    save_file(random_weights(tiny_config, seed=4), weights)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert weights.stat().st_size == times.st_size
    another = kept(recipe, tmp_path / "towers").tower
    assert len(loaded) == 2
    assert another.fingerprint["weights"] != first.fingerprint["weights"]
    assert same(find_tower(recipe, tmp_path / "towers").tower, another)
    weights.unlink()
    with pytest.raises(WeightsError, match="there is no such weights file"):
        find_tower(recipe, tmp_path / "towers")


def test_weights_that_are_others_when_the_tower_is_built_are_refused_and_forgotten(
    packaged: str, weights: Path, tiny_config: dict[str, Any], tmp_path: Path, later: None
) -> None:
    recipe = TowerRecipe(packaged, weights=weights, device="cpu")
    kept(recipe, tmp_path / "towers")
    tower = find_tower(recipe, tmp_path / "towers").tower
    save_file(random_weights(tiny_config, seed=4), weights)
    for use in (tower.build, lambda: tower.model, lambda: tower.encode_text(["a bottle"])):
        with pytest.raises(WeightsError, match=rf"{packaged} is no longer .* another weights: run the same command"):
            use()
    assert list((tmp_path / "towers").iterdir()) == []


def test_a_file_that_was_just_written_is_not_relied_on(packaged: str, weights: Path, tmp_path: Path) -> None:
    kept(TowerRecipe(packaged, weights=weights, device="cpu"), tmp_path / "towers")
    assert not (tmp_path / "towers").exists()


def test_a_file_that_changes_while_it_is_read_is_not_relied_on(
    packaged: str, weights: Path, tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touching(recipe: TowerRecipe) -> Tower:
        tower = load_tower(recipe)
        weights.touch()
        return tower

    monkeypatch.setattr(known, "load_tower", touching)
    kept(TowerRecipe(packaged, weights=weights, device="cpu"), tmp_path / "towers")
    assert not (tmp_path / "towers").exists()


def test_published_weights_are_known_while_the_cache_of_the_hub_is_as_it_was(
    packaged: str,
    weights: Path,
    tiny_config: dict[str, Any],
    tmp_path: Path,
    loaded: list[TowerRecipe],
    later: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "hub" / "models--a--b"
    snapshot, ref = home / "snapshots" / "1" / "open_clip_model.safetensors", home / "refs" / "main"
    for path, data in ((snapshot, weights.read_bytes()), (ref, b"1")):
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: ["openai"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: {"hf_hub": "a/b/", "quick_gelu": True})
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda *_: str(snapshot) if snapshot.exists() else None
    )
    recipe = TowerRecipe(packaged, pretrained="OpenAI", device="cpu")
    first = kept(recipe, tmp_path / "towers").tower
    assert first.fingerprint["activation"] == "quick-gelu"
    assert same(kept(recipe, tmp_path / "towers").tower, first)
    assert len(loaded) == 1
    ref.write_bytes(b"2")
    kept(recipe, tmp_path / "towers")
    assert len(loaded) == 2
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    kept(recipe, tmp_path / "towers")
    assert len(loaded) == 3
    kept(recipe, tmp_path / "towers")
    assert len(loaded) == 3


def test_a_file_of_which_loading_warns_is_loaded_each_time(
    packaged: str, weights: Path, tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"openai": {"quick_gelu": True}, "laion": {}}
    monkeypatch.setattr(loading, "published", lambda model: tags)
    recipe = TowerRecipe(packaged, weights=weights, device="cpu")
    kept(recipe, tmp_path / "towers")
    assert not (tmp_path / "towers").exists()
    kept(replace(recipe, activation="gelu"), tmp_path / "towers")
    assert len([*(tmp_path / "towers").iterdir()]) == 1


def test_a_model_that_was_added_to_the_list_of_open_clip_is_loaded_each_time(
    tiny: str, weights: Path, tmp_path: Path, loaded: list[TowerRecipe], later: None
) -> None:
    recipe = TowerRecipe(tiny, weights=weights, device="cpu")
    kept(recipe, tmp_path / "towers")
    kept(recipe, tmp_path / "towers")
    assert len(loaded) == 2


def test_a_packaged_configuration_is_open_clips_own_and_is_not_mistaken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert packaged_config("ViT-L-14-336") == open_clip.get_model_config("ViT-L-14-336")
    assert packaged_config("ViT-nowhere") is None
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-L-14-336", {"embed_dim": 8})
    assert packaged_config("ViT-L-14-336") is None


@pytest.mark.usefixtures("later")
def test_a_tower_that_a_prediction_builds_can_be_trained_in(tmp_path: Path) -> None:
    find_tower(OWN, tmp_path).keep()
    tower = find_tower(OWN, tmp_path).tower
    assert not tower.is_built
    with torch.inference_mode():
        tower.encode_text(["a bottle"])
    hidden = torch.randn(1, 50, tower.spec.width, requires_grad=True)
    (tokens,) = tower.image.resume(hidden, 1).values()
    tokens.square().mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert hidden.grad is not None
    assert float(hidden.grad.abs().sum()) > 0
