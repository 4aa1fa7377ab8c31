"""A tower from a name: which weights, which activation, and every refusal."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stackclip.clip import assemble_tower, load_tower
from stackclip.clip import loading as module
from stackclip.clip.doubles import random_weights
from stackclip.clip.loading import native_activation
from stackclip.errors import BadOption, UnknownComponent, UsageError, WeightsError
from stackclip.types import CLS, patch


@pytest.fixture
def file(tmp_path: Path, tiny_weights: dict[str, Tensor]) -> Path:
    save_file(tiny_weights, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_a_file_gives_the_same_tower_in_either_container(
    tiny: str, file: Path, tiny_weights: dict[str, Tensor], tiny_config: dict[str, Any]
) -> None:
    torch.save(tiny_weights, file.with_suffix(".pt"))
    direct = assemble_tower(tiny_config, tiny_weights, name=tiny, device="cpu", precision="fp32")
    pictures = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    for path in (file, file.with_suffix(".pt")):
        tower = load_tower(tiny, weights=path, device="cpu", precision="fp32")
        assert tower.fingerprint == direct.fingerprint
        assert tower.text_fingerprint == direct.text_fingerprint
        assert tower.recorded["weights_file"] == path.name
        assert torch.equal(tower.encode(pictures, [CLS])[CLS], direct.encode(pictures, [CLS])[CLS])


def test_the_spec_says_what_was_loaded(tiny: str, file: Path) -> None:
    spec = load_tower(tiny, weights=file, image_size=96, device="cpu").spec
    assert (spec.name, spec.image_size, spec.grid, spec.depth, spec.width, spec.joint) == (tiny, 96, 6, 6, 32, 24)
    assert spec.layers == (1, 3, 4, 6)
    assert spec.note == ""


def test_named_layers_are_tapped_in_order(tiny: str, file: Path) -> None:
    tower = load_tower(tiny, weights=file, layers=(5, 2, 5), device="cpu")
    assert tower.spec.taps == (patch(2), patch(5))


@pytest.mark.parametrize("layers", [(0, 3), (3, 7), ()])
def test_layers_outside_the_depth_are_refused(tiny: str, file: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="has layers 1 to 6"):
        load_tower(tiny, weights=file, layers=layers, device="cpu")


@pytest.mark.parametrize(
    ("size", "near"),
    [
        *((50, "take 48 or 64"), (8, "take 16 or 32"), ("50x64", "take 48x64 or 64"), ((64, 8), "take 64x16 or 64x32")),
        *((0, "is no size"), (-16, "is no size"), ("0x5", "is no size"), ("5x", "is no size"), ("axb", "is no size")),
        *((4096 + 16, "more than 4096"), ("16x99999", "more than 4096")),
    ],
)
def test_a_size_that_patches_do_not_fill_is_refused_with_the_nearest(
    tiny: str, file: Path, size: Any, near: str
) -> None:
    with pytest.raises(UsageError, match=near):
        load_tower(tiny, weights=file, image_size=size, device="cpu")


def test_a_name_without_weights_is_never_a_random_tower() -> None:
    with pytest.raises(
        WeightsError, match=r"ViT-B-16-plus-240 was named without weights: give --pretrained TAG \(laion"
    ):
        load_tower("ViT-B-16-plus-240")
    with pytest.raises(WeightsError, match="ViT-S-16 was named without weights: give --weights FILE"):
        load_tower("ViT-S-16")


def test_an_unknown_tag_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"ViT-L-14-336 has no weights named 'opneai' \(did you mean 'openai'\?\)"):
        load_tower("ViT-L-14-336", pretrained="opneai")
    with pytest.raises(UsageError, match="no weights are listed for ViT-S-16"):
        load_tower("ViT-S-16", pretrained="openai")


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UnknownComponent, match=r"'ViT-L-14-363' \(did you mean 'ViT-L-14-336'\?\)"):
        load_tower("ViT-L-14-363", pretrained="openai")
    with pytest.raises(UnknownComponent, match=r"did you mean 'random-vit-8'"):
        load_tower("random-vit-9")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("roberta-ViT-B-32", "model of transformers"),
        ("nllb-clip-base-siglip", "model of transformers"),
        ("coca_roberta-ViT-B-32", "model of transformers"),
    ],
)
def test_a_model_whose_features_would_be_wrong_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"{name} cannot be used: .*{reason}"):
        load_tower(name, weights=Path("any.safetensors"))


def test_weights_of_another_architecture_are_refused_with_their_shapes(
    tiny: str, file: Path, tiny_config: dict[str, Any]
) -> None:
    tiny_config["vision_cfg"].update(width=64, layers=7)
    save_file(random_weights(tiny_config, seed=0), file)
    with pytest.raises(WeightsError) as caught:
        load_tower(tiny, weights=file, device="cpu")
    message = str(caught.value)
    assert message.startswith(f"{file}: not the weights of {tiny}: found visual.class_embedding (64,) for (32,); ")
    assert message.count(" for ") == 3
    assert "more: give the file's own architecture with --backbone" in message
    assert "\n" not in message


def test_missing_and_surplus_tensors_are_refused(tiny: str, file: Path, tiny_weights: dict[str, Tensor]) -> None:
    changed = {name: value for name, value in tiny_weights.items() if name != "visual.proj"}
    save_file({**changed, "visual.head": torch.zeros(2)}, file)
    with pytest.raises(WeightsError, match=r"found no visual\.proj; visual\.head, which it has not: give"):
        load_tower(tiny, weights=file, device="cpu")


def test_a_grid_of_positions_that_is_no_square_is_refused(
    tiny: str, file: Path, tiny_weights: dict[str, Tensor]
) -> None:
    save_file({**tiny_weights, "visual.positional_embedding": torch.zeros(12, 32)}, file)
    with pytest.raises(WeightsError, match=r"visual\.positional_embedding \(12, 32\) for \(10, 32\)"):
        load_tower(tiny, weights=file, device="cpu")


def test_weights_of_another_picture_size_are_resized(
    tiny: str, file: Path, tiny_config: dict[str, Any], tiny_weights: dict[str, Tensor]
) -> None:
    tiny_config["vision_cfg"]["image_size"] = 80
    larger = {
        **tiny_weights,
        "visual.positional_embedding": random_weights(tiny_config, seed=3)["visual.positional_embedding"],
    }
    save_file(larger, file)
    tower = load_tower(tiny, weights=file, device="cpu")
    assert tower.spec.grid == 3
    assert tower.model.visual.positional_embedding.shape == (10, 32)
    same = load_tower(tiny, weights=file, image_size=80, device="cpu")
    assert torch.equal(same.model.visual.positional_embedding, larger["visual.positional_embedding"])
    assert same.fingerprint["weights"] == tower.fingerprint["weights"]


def test_a_scale_of_another_rank_and_a_custom_text_tower_are_the_same_model(
    tiny_config: dict[str, Any], tiny_weights: dict[str, Tensor]
) -> None:
    plain = assemble_tower(tiny_config, tiny_weights, name="t", device="cpu", precision="fp32")
    custom = assemble_tower(
        {**tiny_config, "custom_text": True},
        {**tiny_weights, "logit_scale": tiny_weights["logit_scale"].reshape(1)},
        name="t",
        device="cpu",
        precision="fp32",
    )
    phrases = ["a bottle", "a photo of a broken bottle"]
    torch.testing.assert_close(custom.encode_text(phrases), plain.encode_text(phrases))


def test_the_tag_decides_the_activation_and_the_normalisation(
    tiny: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {
        "openai": {"quick_gelu": True, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 0.5), "interpolation": "bilinear"}
    }
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda model: list(tags))
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: tags[tag])
    monkeypatch.setattr(module, "fetch_weights", lambda model, tag: file)
    downloaded = load_tower(tiny, pretrained="OpenAI", device="cpu", precision="fp32")
    assert downloaded.fingerprint["activation"] == "quick-gelu"
    assert downloaded.transform.mean == (0.5, 0.5, 0.5)
    assert downloaded.transform.interpolation == "bilinear"
    assert downloaded.recorded["pretrained"] == "openai"
    from_file = load_tower(tiny, pretrained="openai", weights=file, device="cpu", precision="fp32")
    assert from_file.fingerprint == downloaded.fingerprint
    plain = load_tower(tiny, pretrained="openai", activation="gelu", device="cpu", precision="fp32")
    assert plain.fingerprint["activation"] == "gelu"
    pictures = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(plain.encode(pictures, [CLS])[CLS], downloaded.encode(pictures, [CLS])[CLS], atol=1e-3)


@pytest.mark.parametrize(
    ("model", "tag", "activation"),
    [
        ("ViT-L-14-336", "openai", "quick-gelu"),
        ("ViT-L-14-336", None, "quick-gelu"),  # there are no others
        ("ViT-B-16-plus-240", "laion400m_e31", "gelu"),
        ("ViT-B-16-plus-240", None, "gelu"),
        ("ViT-B-16", "openai", "quick-gelu"),
        ("ViT-B-16", "laion2b_s34b_b88k", "gelu"),
        ("ViT-B-16-quickgelu", None, "quick-gelu"),
        ("ViT-S-16", None, "gelu"),
    ],
)
def testnative_activation_is_what_the_weights_were_trained_with(
    model: str, tag: str | None, activation: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert native_activation(model, open_clip.get_model_config(model), tag) == activation
    assert not caplog.records


def test_a_file_for_a_model_of_both_activations_is_taken_as_configured_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert native_activation("ViT-B-16", open_clip.get_model_config("ViT-B-16"), None) == "gelu"
    assert "name ViT-B-16-quickgelu" in caplog.text


def test_a_registered_backbone_brings_its_own_weights(file: Path) -> None:
    tower = load_tower("random-vit-8[seed=2]", layers=(3,), image_size=64, device="cpu")
    assert (tower.spec.name, tower.spec.layers, tower.spec.image_size) == ("random-vit-8[seed=2]", (3,), 64)
    with pytest.raises(UsageError, match="random-vit-8 brings its own weights and activation, found --weights"):
        load_tower("random-vit-8", weights=file)
    with pytest.raises(BadOption, match="did you mean 'seed'"):
        load_tower("random-vit-8[sede=2]")


def test_a_model_of_open_clip_takes_no_bracketed_options() -> None:
    with pytest.raises(UsageError, match="takes no options in brackets"):
        load_tower("ViT-B-16[seed=2]", pretrained="openai")


def test_wrong_words_are_usage_errors(tiny: str, file: Path) -> None:
    for wrong in ({"activation": "relu"}, {"device": "abacus"}, {"precision": "fp8"}, {"device": "cuda:99"}):
        with pytest.raises(UsageError):
            load_tower(tiny, weights=file, **{"device": "cpu", **wrong})  # type: ignore[arg-type] # wrong on purpose
