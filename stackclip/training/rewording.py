"""Phrases in other words, without whoever asks for them knowing: as features, and as tokens of learned prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from stackclip.learners import TextTower

__all__ = ["Counter", "RewordedText", "Rewording"]


class Counter(Protocol):
    """What knows how long phrases are, and may be."""

    @property
    def context_length(self) -> int:
        """The most tokens that a phrase may have."""

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase."""


class Rewording:
    """`rewording(phrase)` is a phrase in other words, or itself where these would be too long for the text tower.

    It counts the phrases and pieces of phrases that were `asked`, that `changed`, and that stay as they are too long.
    """

    def __init__(self, wording: Callable[[str], str], text: Counter) -> None:
        self._wording, self._text = wording, text
        self._known: dict[str, str] = {}
        self.too_long = 0

    def __call__(self, phrase: str) -> str:
        """The phrase as it is read."""
        if phrase not in self._known:
            other = self._wording(phrase)
            fits = other == phrase or self._text.count_tokens(other) <= self._text.context_length
            self.too_long += not fits
            self._known[phrase] = other if fits else phrase
        return self._known[phrase]

    @property
    def asked(self) -> int:
        """How many phrases were asked for, each once."""
        return len(self._known)

    @property
    def changed(self) -> int:
        """How many of them are read in other words."""
        return sum(phrase != said for phrase, said in self._known.items())


class RewordedText:
    """A text tower that reads phrases in other words; what is learned, token embeddings on, goes by it untouched."""

    def __init__(self, text: TextTower, reword: Rewording) -> None:
        self._text, self._reword = text, reword

    @classmethod
    def of(cls, text: TextTower | None, reword: Rewording | None) -> TextTower | None:
        """The tower, in other words where there are some."""
        return text if text is None or reword is None else cls(text, reword)

    @property
    def context_length(self) -> int:
        """How many tokens it takes."""
        return self._text.context_length

    @property
    def text_depth(self) -> int:
        """How many layers it has."""
        return self._text.text_depth

    def count_tokens(self, phrase: str) -> int:
        """How many tokens a phrase has as it is read."""
        return self._text.count_tokens(self._reword(phrase))

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        """Token ids (N, L) of phrases as they are read."""
        return self._text.tokenize([self._reword(phrase) for phrase in phrases])

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings (N, L, W) of token ids (N, L)."""
        return self._text.embed_tokens(tokens)

    def encode_embedded(
        self,
        embedded: Tensor,
        ends: Tensor,
        *,
        deep: Mapping[int, Tensor] | None = None,
        **how: Any,
    ) -> Tensor:
        """Raw text features (N, D) of token embeddings, as the tower gives them."""
        return self._text.encode_embedded(embedded, ends, deep=deep, **how)
