"""What stands behind a learned context: the words of prompts as the text tower embeds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stackclip.errors import NotApplicable
from stackclip.learners import TextTower

__all__ = ["Endings", "endings_of"]


@dataclass(frozen=True, slots=True)
class Endings:
    """What stands behind the learned context of N prompts: `start` (N, 1, W), `words` (N, L, W), `ends` (N,)."""

    start: Tensor
    words: Tensor
    ends: Tensor


def endings_of(text: TextTower, phrases: Sequence[str], *, context: int) -> Endings:
    """Phrases as they stand behind `context` vectors. Raises NotApplicable for one that leaves no room for these."""
    tokens = text.tokenize(phrases)  # (N, L); the end of text is the largest id
    ends = tokens.argmax(1) + context
    if int(ends.max()) >= text.context_length:
        raise NotApplicable(
            f"its prompts have {int(ends.max()) + 1} tokens, the text tower reads {text.context_length}"
        )
    with torch.no_grad():
        embedded = text.embed_tokens(tokens).clone()
    return Endings(embedded[:, :1], embedded[:, 1:], ends.to(embedded.device))
