"""Prompts of one category that are learned from its normal pictures alone, and the loss that they are learned by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stackclip.learners import TextTower
from stackclip.learners.prompt import SPREAD
from stackclip.methods.endings import endings_of
from stackclip.ops.maps import unit

__all__ = ["CategoryPrompts", "PromptTexts", "Reach", "one_class_loss"]

Reach = Literal["patch", "channel"]
"""Over what the distances of the triplet loss are summed: the numbers of a patch, or those of a channel."""

_MATCH = 1e-3  # weight of the term that draws manual and learned anomalous prompts together (PromptAD, as released)


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """Raw text features of prompts: `normal` (N, D), and of the anomalous `manual` (S N, D) and `learned` (M N, D)."""

    normal: Tensor
    manual: Tensor
    learned: Tensor

    @property
    def anomalous(self) -> Tensor:
        """The manual ones, then the learned ones: (S N + M N, D)."""
        return torch.cat([self.manual, self.learned])

    def anchors(self) -> Tensor:
        """The unit means of both sides: (2, D). The features are not made unit before, as released."""
        return unit(torch.stack([self.normal.mean(0), self.anomalous.mean(0)]))


class CategoryPrompts(nn.Module):
    """Normal prompts "[V] ... words" and anomalous ones, which are those with words or a token more (PromptAD).

    `words` are those of the normal prompts, then those of the S manual anomalous ones. Each of `normal` contexts of
    `context` vectors stands before all of them; each of `learned` tokens makes one anomalous prompt more of each
    context, `behind` so many tokens of the normal words. All begin as noise. The parameters are `normal` (N, E, W) and
    `anomalous` (M, 1, W).

    Raises NotApplicable for words that leave no room in the text tower.
    """

    start: Tensor
    words: Tensor
    ends: Tensor

    def __init__(
        self, text: TextTower, words: Sequence[str], *, normal: int, context: int, learned: int, behind: int, seed: int
    ) -> None:
        super().__init__()
        self.text, self.behind = text, behind
        endings = endings_of(text, words, context=context + 1)  # one place more, for a learned token
        draws = torch.Generator().manual_seed(seed)

        def noise(*shape: int) -> nn.Parameter:
            drawn = SPREAD * torch.randn(*shape, endings.words.shape[-1], generator=draws)
            return nn.Parameter(drawn.to(endings.words))

        self.normal, self.anomalous = noise(normal, context), noise(learned, 1)
        for name in ("start", "words", "ends"):
            self.register_buffer(name, getattr(endings, name), persistent=False)

    def forward(self) -> PromptTexts:
        """The text features of all prompts as they are now, with gradients; contexts run fastest."""
        own, learned = len(self.words) * len(self.normal), len(self.anomalous) * len(self.normal)
        ends = torch.cat([(self.ends - 1).repeat_interleave(len(self.normal)), self.ends[:1].expand(learned)])
        features = self.text.encode_embedded(self.embedded(), ends)  # (own + learned, D)
        return PromptTexts(features[: len(self.normal)], features[len(self.normal) : own], features[own:])

    def embedded(self) -> Tensor:
        """The prompts as the text tower reads them, without positions: normal, manual, learned, (., 1 + E + L, W)."""
        contexts, words, cut = len(self.normal), self.words, self.behind
        room = words.new_zeros(len(words) * contexts, 1, words.shape[-1])  # behind the end of text: nobody reads it
        plain = torch.cat([self._begun(len(words)), words.repeat_interleave(contexts, 0), room], 1)
        tokens = self.anomalous.repeat_interleave(contexts, 0)
        normal = words[:1].expand(len(tokens), -1, -1)
        learned = torch.cat([self._begun(len(self.anomalous)), normal[:, :cut], tokens, normal[:, cut:]], 1)
        return torch.cat([plain, learned])

    def _begun(self, times: int) -> Tensor:
        """Start of text and every context, so many times: (times N, 1 + E, W)."""
        contexts = torch.cat([self.start[:1].expand(len(self.normal), -1, -1), self.normal], 1)
        return contexts.repeat(times, 1, 1)


def one_class_loss(texts: PromptTexts, tokens: Tensor, *, scale: float, reach: Reach) -> dict[str, Tensor]:
    """The loss of unit tokens of normal pictures, (B, D) or (B, P, D), and its terms, with gradients (PromptAD).

    `ce` is the cross-entropy of the normal anchor against every anomalous prompt, `triplet` how much farther, squared,
    a token is from the normal anchor than from the anomalous one, `match` the squared distance between the mean manual
    and the mean learned anomalous prompt.
    """
    normal, anomalous = texts.anchors()
    logits = scale * tokens @ torch.cat([normal[None], unit(texts.anomalous)]).mT  # (..., 1 + S N + M N)
    over = 1 if reach == "channel" else -1
    nearer = (tokens - normal).square().sum(over) - (tokens - anomalous).square().sum(over)
    terms = {
        "ce": -logits.log_softmax(-1)[..., 0].mean(),
        "triplet": F.relu(nearer).mean(),
        "match": (unit(texts.manual).mean(0) - unit(texts.learned).mean(0)).square().sum(),
    }
    return {"loss": terms["ce"] + terms["triplet"] + _MATCH * terms["match"], **terms}
