"""What can be named, and that what was named before is the same tower still."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from stackclip.clip import load_tower, random_tower
from stackclip.clip.architecture import architecture_hash, packaged_config, why_not
from stackclip.clip.catalogue import config_of, listed_models, published, without_text
from stackclip.clip.loading import known_normalisation
from stackclip.clip.transform import ImageTransform
from stackclip.errors import UnknownComponent, UsageError, WeightsError

from .small import small_timm, small_weights

PLAIN = (
    *("ViT-B-16", "ViT-B-16-plus-240", "ViT-B-32", "ViT-B-32-256", "ViT-H-14", "ViT-H-14-378", "ViT-L-14", "ViT-S-16"),
    *("ViT-L-14-280", "ViT-L-14-336", "ViT-bigG-14", "ViT-g-14", "ViT-e-14", "ViT-L-16-320", "ViT-B-16-quickgelu"),
)
TRANSFORMERS = ("coca_roberta", "mt5", "nllb", "roberta", "xlm")


def test_every_model_but_those_with_text_towers_of_transformers_can_be_used() -> None:
    refused = {name for name in listed_models() if why_not(config_of(name) or {})}
    assert refused == {name for name in listed_models() if name.startswith(TRANSFORMERS)}
    assert len([name for name in listed_models() if name not in refused and not without_text(name)]) >= 100


def test_towers_that_were_accepted_before_have_the_same_fingerprint() -> None:
    """A store that was made then holds these words; another one under the same tower would be encoded anew."""
    tower = random_tower()
    weights = "00511d1924321c8216f68ae418bf0b4c024ae7592bf7b172d21aa2a8656bbe20"
    named = {
        "architecture": "2247ba33f5324ead1fb0483d06792df70a1ba39b35b83b5b40a97253412a488a",
        "weights": weights,
        "activation": "gelu",
        "semantics": 2,
    }
    assert tower.text_fingerprint == {**named, "context_length": 77}
    assert tower.fingerprint == {
        "model": "random-vit-8",
        **named,
        **ImageTransform(112).facts,
        "position_embedding": "bicubic-antialias",
        "attention": "plain",
        "dtype": "fp32",
    }
    config = config_of("ViT-L-14-336") or {}
    assert architecture_hash(config) == "3f4d3be4d9e2354276308f49813cd86355f35d556ee50758121adf73794f2a27"


def test_files_of_plain_towers_are_normalised_as_before_whatever_is_published() -> None:
    for name in PLAIN:
        assert ImageTransform(224, **known_normalisation(name, None)) == ImageTransform(224), name


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "PE-Core-L-14-336", "dinov2-vitb14", "ViT-L-14-CLIPA"])
def test_a_file_without_a_tag_is_normalised_as_all_published_weights_are(name: str) -> None:
    common = known_normalisation(name, None)
    assert all(common.items() <= {**said}.items() for said in published(name).values())
    assert common["mean"] != ImageTransform(224).mean


def test_a_tag_decides_where_published_weights_differ() -> None:
    assert "mean" not in known_normalisation("dinov3-vitl16", None)
    assert known_normalisation("dinov3-vitl16", "sat493m")["mean"] == (0.43, 0.411, 0.296)


def test_a_tower_without_text_is_loaded_by_name_from_a_file_of_timm(tmp_path: Path) -> None:
    name, file = "dinov2-vits14", tmp_path / "model.safetensors"
    weights = {key.removeprefix("visual.trunk."): value for key, value in small_weights(name)[1].items()}
    save_file({**weights, "mask_token": weights["cls_token"].clone()}, file)
    with small_timm():
        tower = load_tower(name, weights=file, image_size=112, device="cpu")
        assert (tower.spec.name, tower.spec.grid, tower.context_length) == (name, 8, 0)
        assert tower.transform.mean == (0.485, 0.456, 0.406)
        assert tower.recorded["positions_resized"] is True
        save_file({key: value for key, value in weights.items() if key != "norm.weight"}, file)
        with pytest.raises(WeightsError, match=r"not the weights of dinov2-vits14: found no visual\.trunk\.norm"):
            load_tower(name, weights=file, device="cpu")
    assert packaged_config(name) == config_of(name)


def test_names_and_tags_near_what_was_typed_are_offered() -> None:
    with pytest.raises(UnknownComponent, match=r"no backbone is named .dinov2-vits41. .*dinov2-vits14"):
        load_tower("dinov2-vits41")
    with pytest.raises(UsageError, match=r"dinov3-vitl16 has no weights named 'lvd142m'.*lvd1689m, sat493m"):
        load_tower("dinov3-vitl16", pretrained="lvd142m")
    with pytest.raises(WeightsError, match=r"named without weights: give --pretrained TAG \(lvd142m\) or --weights"):
        load_tower("dinov2-vitb14")
