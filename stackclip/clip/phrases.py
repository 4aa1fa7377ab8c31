"""The text tower of a model: a causal one that prompts can be learned in, another that is read as a whole, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from stackclip.clip.device import plain_attention
from stackclip.clip.transformer import TextTransformer
from stackclip.errors import NotApplicable, WeightsError

__all__ = ["WholeText", "restore_text", "text_of"]


def text_of(
    model: nn.Module, config: Mapping[str, Any], *, name: str, joint: int, device: torch.device
) -> TextTransformer | None:
    """The text tower of a model built from `config`, on its device; None of a model without text."""
    if "text_cfg" not in config:
        return None
    text = config["text_cfg"]
    words = dict(text.get("tokenizer_kwargs") or {})
    hub = text.get("hf_tokenizer_name")
    if hub:
        words["tokenizer_mode"] = text.get("tokenizer_mode")
        tokenizer = partial(_hub_tokenizer, hub, tuple(sorted(words.items())), text.get("context_length", 77), name)
    else:
        tokenizer = partial(_own_tokenizer, str(words.get("clean", "lower")))
    if hub or _is_whole(text):
        return WholeText(model, tokenizer, name=name, joint=joint, device=device)
    return TextTransformer(model, tokenizer(), name=name, joint=joint, device=device)


def restore_text(model: nn.Module) -> None:
    """Give the text tower the mask that it could not build without values, so that no token sees a later one.

    What writes captions is dropped: nobody reads them.
    """
    if hasattr(model, "text_decoder"):
        del model.text_decoder
    text: Any = getattr(model, "text", model)
    if getattr(text, "attn_mask", None) is not None:
        text.attn_mask = torch.full(text.attn_mask.shape, float("-inf")).triu_(1)


def _is_whole(text: Mapping[str, Any]) -> bool:
    """Whether a text tower is more than a causal transformer that is read at the end of the text and projected."""
    ends = text.get("pool_type", "argmax") == "argmax" and text.get("proj_type", "linear") != "none"
    return bool(not ends or text.get("no_causal_mask") or text.get("embed_cls"))


class WholeText(TextTransformer):
    """A text tower that is read as its model reads it, padding and all; no prompts are learned in it.

    Its own tokenizer may lie on the hub, and is fetched when the first phrase comes.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Callable[[], Any], *, name: str, joint: int, device: torch.device
    ) -> None:
        super().__init__(model, None, name=name, joint=joint, device=device)
        self._model: Any = model
        self.context_length = int(self._module.context_length)
        self._fetch = tokenizer

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Raw text features (N, D) of whole rows of token ids (N, context), as the model's `encode_text` gives them."""
        with torch.no_grad(), plain_attention(), torch.autocast(self.device.type, enabled=False):
            features: Tensor = self._model.encode_text(tokens.to(self.device), normalize=False)
        return features

    def _token_ids(self, phrase: str) -> tuple[int, ...]:
        """The tokens without padding."""
        if phrase not in self._ids:
            tokenizer = self._fetch()
            inner = getattr(tokenizer, "tokenizer", None)
            if inner is None:
                ids = (tokenizer.sot_token_id, *tokenizer.encode(phrase), tokenizer.eot_token_id)
            else:
                ids = tuple(inner(tokenizer.clean_fn(phrase)).input_ids)
            self._ids[phrase] = ids
        return self._ids[phrase]

    def _tokens(self, phrase: str) -> tuple[int, ...]:
        super()._tokens(phrase)  # none is too long
        return tuple(self._fetch()([phrase], context_length=self.context_length)[0].tolist())

    @property
    def text_depth(self) -> int:
        self._refuse()

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        self._refuse()

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        self._refuse()

    def encode_embedded(self, embedded: Tensor, ends: Tensor, **_: Any) -> Tensor:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotApplicable(
            f"it learns inside a causal text tower that is read at the end of the text with open_clip's own tokens, "
            f"and that of {self.name} is none"
        )


@cache
def _own_tokenizer(clean: str) -> Any:
    """open_clip's own byte-pair tokenizer; reading its merges takes longer than building a small tower."""
    import open_clip  # here, since it takes seconds

    return open_clip.SimpleTokenizer(clean=clean)


@cache
def _hub_tokenizer(hub: str, words: tuple[tuple[str, Any], ...], context: int, name: str) -> Any:
    """open_clip's wrapper of a tokenizer on the hub. Raises WeightsError where that is not to be had."""
    import open_clip  # here, since it takes seconds

    try:
        return open_clip.tokenizer.HFTokenizer(hub, context_length=context, **dict(words))
    except Exception as error:  # transformers, hub, network and file system raise kinds of their own
        wanted = "pip install transformers" if isinstance(error, ImportError) else "connect and run again"
        raise WeightsError(
            f"{name} reads phrases by the tokenizer {hub} of the model hub, which is not to be had here: {wanted}, or "
            f"point HF_HOME at a cache that holds it; methods without phrases run as it is"
        ) from error
