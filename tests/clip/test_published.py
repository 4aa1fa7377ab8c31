"""Weights by name, and what is known of them without any being here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
from huggingface_hub import constants
from torch import nn

from stackclip.clip import architecture, assembly, cached_names, describe_weights, named_weights
from stackclip.clip.architecture import build_model, count_parameters, find_architecture
from stackclip.clip.catalogue import published
from stackclip.errors import UnknownComponent, UsageError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("text", ["ViT-L-14-336:openai", "ViT-L/14-336:OpenAI"])
def test_a_model_and_a_tag_are_one(text: str) -> None:
    assert named_weights(text) == (("ViT-L-14-336", "openai"),)


def test_a_model_is_all_its_tags_and_a_tag_all_its_models_that_can_be_used() -> None:
    tags = open_clip.list_pretrained_tags_by_model("ViT-B-32")
    assert named_weights("ViT-B/32") == tuple(("ViT-B-32", tag) for tag in tags)
    models = {model for model, _ in named_weights("OpenAI")}
    assert {"ViT-B-16", "ViT-L-14-336", "ViT-B-16-quickgelu"} <= models
    assert "RN50" in models
    assert named_weights("laion2b-s34b-b79k")[0] == ("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("opneai", UsageError, r"'opneai' \(did you mean 'openai'\?\); wanted MODEL:TAG"),
        ("ViT-L-14-337", UsageError, "did you mean 'ViT-L-14-336'"),
        ("ViT-L-14-336:opneai", UsageError, "did you mean 'openai'"),
        ("ViT-L-14-337:openai", UnknownComponent, "did you mean 'ViT-L-14-336'"),
        ("roberta-ViT-B-32:laion2b_s12b_b32k", UsageError, "roberta-ViT-B-32 cannot be used"),
        ("roberta-ViT-B-32", UsageError, "roberta-ViT-B-32 cannot be used"),
        ("ViT-S-16", UsageError, "no weights are listed for ViT-S-16"),
        ("ViT-S-16:openai", UsageError, "no weights are listed for ViT-S-16"),
        ("", UsageError, "wanted MODEL:TAG"),
        (":", UsageError, "wanted MODEL:TAG"),
        (":openai", UsageError, "no backbone is named ''"),
        ("ViT-B-16:openai:more", UsageError, "no weights named 'openai:more'"),
        ("stackclip-tiny", UsageError, "wanted MODEL:TAG"),
    ],
)
def test_what_names_none_is_refused_with_the_nearest(text: str, error: type[UsageError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        named_weights(text)
    assert "\n" not in str(caught.value)


def test_what_is_known_of_weights_that_are_not_here() -> None:
    facts = describe_weights("ViT-B-32", "openai")
    assert (facts.parameters, facts.size) == (151_277_313, 4 * 151_277_313)  # OpenAI's count
    assert facts.repository == "timm/vit_base_patch32_clip_224.openai"
    assert (facts.file, facts.licence, facts.unfinished) == (None, "", 0)
    assert (facts.transform.size, facts.transform.interpolation, facts.activation) == (224, "bicubic", "quick-gelu")
    assert describe_weights("ViT-B-32", "laion2b_s34b_b79k").activation == "gelu"
    assert cached_names() == ()


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-16-SigLIP", "EVA02-B-16"])
def test_a_model_is_built_once_to_tell_its_sizes(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, built = find_architecture(model), []

    def build(*args: Any, **options: Any) -> nn.Module:
        built.append(build_model(*args, **options))
        return built[-1]

    monkeypatch.setattr(assembly, "build_model", build)
    monkeypatch.setattr(architecture, "build_model", build)
    facts = describe_weights(model, next(iter(published(model))))
    assert len(built) == 1
    assert facts.parameters == count_parameters(config)
    assert facts.transform.size == config["vision_cfg"].get("image_size", 224)


def test_the_transform_is_that_of_the_tag() -> None:
    facts = describe_weights("ViT-L-14-336", "OpenAI")
    assert facts.tag == "openai"
    published = open_clip.get_pretrained_cfg("ViT-L-14-336", "openai")
    assert (facts.transform.size, facts.transform.mean, facts.transform.std) == (
        336,
        published["mean"],
        published["std"],
    )
