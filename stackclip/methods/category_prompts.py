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
        draws, width = torch.Generator().manual_seed(seed), endings.words.shape[-1]
        for name, shape in (("normal", (normal, context, width)), ("anomalous", (learned, 1, width))):
            vectors = SPREAD * torch.randn(shape, generator=draws)
            self.register_parameter(name, nn.Parameter(vectors.to(endings.words)))
        for name in ("start", "words", "ends"):
            self.register_buffer(name, getattr(endings, name), persistent=False)

    def forward(self) -> PromptTexts:
        """The text features of all prompts as they are now, with gradients; contexts run fastest."""
        contexts = len(self.normal)
        own, learned = len(self.words) * contexts, len(self.anomalous) * contexts
        room = self.words.new_zeros(own, 1, self.words.shape[-1])  # behind the end of text, where nothing is read
        plain = torch.cat([self._begun(len(self.words)), self.words.repeat_interleave(contexts, 0), room], 1)
        normal, cut = self.words[:1].expand(learned, -1, -1), self.behind
        tokens = self.anomalous.repeat_interleave(contexts, 0)
        more = torch.cat([self._begun(len(self.anomalous)), normal[:, :cut], tokens, normal[:, cut:]], 1)
        ends = torch.cat([(self.ends - 1).repeat_interleave(contexts), self.ends[:1].expand(learned)])
        features = self.text.encode_embedded(torch.cat([plain, more]), ends)  # (own + learned, D)
        return PromptTexts(features[:contexts], features[contexts:own], features[own:])

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
