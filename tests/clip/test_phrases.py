"""Text towers that are read as their model reads them, with tokenizers of their own, and towers without text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch

from stackclip.clip import phrases as module
from stackclip.clip.phrases import WholeText
from stackclip.clip.transformer import TextTransformer
from stackclip.errors import NotApplicable, UsageError, WeightsError

from .small import AutoTokenizer, small_tower

WORDS = ["a photo of a bottle", "a photo of a damaged bottle", "a cat"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A double of transformers whose tokenizers know a number for each word."""
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(AutoTokenizer=AutoTokenizer))
    module._hub_tokenizer.cache_clear()
    yield
    module._hub_tokenizer.cache_clear()


@pytest.mark.parametrize(
    "name",
    ["ViT-B-16-SigLIP", "ViT-B-16-SigLIP-i18n-256", "ViT-L-14-CLIPA", "ViT-H-14-worldwide", "ViT-B-32-SigLIP2-256"],
)
@pytest.mark.usefixtures("hub")
def test_phrases_go_through_the_tokenizer_and_the_model_as_open_clip_sends_them(name: str) -> None:
    tower, text = small_tower(name), open_clip.get_model_config(name)["text_cfg"]
    kwargs = text.get("tokenizer_kwargs") or {}
    tokens = open_clip.tokenizer.HFTokenizer("any", context_length=text["context_length"], **kwargs)(WORDS)
    with torch.no_grad():
        wanted: Any = tower.model.encode_text(tokens, normalize=False)  # type: ignore[operator]
    assert isinstance(tower.text, WholeText)
    torch.testing.assert_close(tower.encode_text(WORDS), wanted, atol=1e-5, rtol=1e-5)
    assert tower.context_length == text["context_length"]


@pytest.mark.parametrize("name", ["coca_ViT-B-32", "coca_base", "MobileCLIP2-S0", "MobileCLIP2-L-14"])
def test_towers_that_read_padding_read_it_with_open_clips_own_tokens(name: str) -> None:
    tower, context = small_tower(name), open_clip.get_model_config(name)["text_cfg"]["context_length"]
    tokens = open_clip.SimpleTokenizer(context_length=context)(WORDS)
    with torch.no_grad():
        wanted: Any = tower.model.encode_text(tokens, normalize=False)  # type: ignore[operator]
    torch.testing.assert_close(tower.encode_text(WORDS), wanted, atol=1e-5, rtol=1e-5)
    assert tower.count_tokens("a cat") == 4


@pytest.mark.parametrize("name", ["EVA02-B-16", "PE-Core-B-16", "MobileCLIP-B", "ViTamin-S", "RN50", "convnext_tiny"])
def test_causal_towers_stay_those_that_prompts_are_learned_in(name: str) -> None:
    tower = small_tower(name)
    assert type(tower.text) is TextTransformer
    tokens = open_clip.SimpleTokenizer(context_length=tower.context_length)(WORDS)
    with torch.no_grad():
        wanted: Any = tower.model.encode_text(tokens)  # type: ignore[operator]
    torch.testing.assert_close(tower.encode_text(WORDS), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("hub")
def test_the_same_phrase_has_the_same_features_in_any_company() -> None:
    tower = small_tower("ViT-B-16-SigLIP")
    assert torch.equal(tower.encode_text(WORDS)[2:], tower.encode_text(WORDS[2:]))


@pytest.mark.usefixtures("hub")
def test_a_phrase_that_is_too_long_is_refused_and_never_cut() -> None:
    tower = small_tower("ViT-SO400M-14-SigLIP")
    assert tower.context_length == 16
    assert tower.encode_text(["word " * 15]).shape == (1, 48)
    with pytest.raises(UsageError, match="has 17 tokens, the text tower of ViT-SO400M-14-SigLIP reads 16: shorten it"):
        tower.encode_text(["word " * 16])


@pytest.mark.parametrize(("failure", "advice"), [(ImportError(), "pip install transformers"), (OSError(), "connect")])
def test_a_tokenizer_that_is_not_to_be_had_is_one_line(
    failure: Exception, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(open_clip.tokenizer, "HFTokenizer", fail)
    module._hub_tokenizer.cache_clear()
    tower = small_tower("ViT-B-16-SigLIP")
    with pytest.raises(
        WeightsError, match=f"tokenizer timm/ViT-B-16-SigLIP of the model hub, .*here: {advice}"
    ) as caught:
        tower.encode_text(["a cat"])
    assert "\n" not in str(caught.value)


def test_prompts_are_not_learned_where_padding_is_read() -> None:
    text: Any = small_tower("coca_base").text
    for ask in (lambda: text.text_depth, lambda: text.tokenize(["a"]), lambda: text.encode_embedded(None, None)):
        with pytest.raises(NotApplicable, match=r"inside a causal text tower .* that of coca_base is none"):
            ask()


def test_a_tower_without_text_says_so() -> None:
    tower = small_tower("dinov2-vits14")
    assert tower.text is None
    for ask in (tower.encode_text, tower.count_tokens):
        with pytest.raises(NotApplicable, match="compares pictures with phrases, and dinov2-vits14 has no text tower"):
            ask("a cat")
