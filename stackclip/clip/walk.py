"""One loop over the blocks of a tower, image or text, with tokens and functions of others in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from stackclip.clip.attention import passed_through
from stackclip.errors import UsageError

__all__ = ["Prompts", "Step", "last_of", "walk"]

Adapter = Callable[[Tensor], Tensor]


class Step:
    """One block at work: the tokens `before` it, (B, N, C), and those `after` it, for which it runs when first asked.

    `layer` is its number, 1-based; step 0 is what comes before the first block. Nothing may be written into the tokens:
    all that look at the step share them.
    """

    def __init__(self, layer: int, before: Tensor, run: Callable[[Tensor], Tensor]) -> None:
        self.layer, self.before, self._run = layer, before, run
        self._after: Tensor | None = None

    @property
    def after(self) -> Tensor:
        """The tokens (B, N, C) behind the block."""
        if self._after is None:
            self._after = self._run(self.before)
        return self._after


@dataclass(frozen=True)
class Prompts:
    """Tokens (T, C) or (B, T, C) that stand in the sequence from a block on: `tokens` by the number of that block.

    They stand at the end, or `behind` the first so many tokens. Those of a later block take the place of those of the
    block before; with `over` they take the place of the tokens that stand there instead, and the sequence keeps its
    length.
    """

    tokens: Mapping[int, Tensor]
    behind: int | None = None
    over: bool = False

    def put(self, layer: int, hidden: Tensor, standing: int) -> tuple[Tensor, int]:
        """The tokens that block `layer` reads, of which `standing` are prompts; and how many are prompts then."""
        if layer not in self.tokens:
            return hidden, standing
        own = self.tokens[layer].expand(len(hidden), -1, -1)  # (B, T, C)
        count = own.shape[1]
        start = hidden.shape[1] - (count if self.over else standing) if self.behind is None else self.behind
        rest = start + (count if self.over else standing)
        return torch.cat([hidden[:, :start], own, hidden[:, rest:]], dim=1), 0 if self.over else count


def walk(
    transformer: Any,
    hidden: Tensor,
    *,
    first: int = 1,
    mask: Callable[[int], Tensor] | None = None,
    insert: Tensor | None = None,
    after: Mapping[int, Adapter] | None = None,
    append: Prompts | Mapping[int, Tensor] | None = None,
    recompute: bool = False,
) -> Iterator[Step]:
    """The blocks of open_clip's Transformer from `first` on (1-based), one step each, over tokens (B, N, C).

    A block runs when its step's `after` is asked for, or the step behind it: who goes no further runs no more. `insert`
    are tokens (T, C) or (B, T, C) put in front of the others before the first block; `append` are those that stand
    behind them from a block on, as AdaCLIP's, unless `Prompts` say where else; `after` are functions called on the
    tokens behind a block, as adapters are. `mask` gives the attention mask (N, N) of so many tokens. Gradients pass;
    with `recompute` the backward pass runs each block once more, and its activations are not kept until then.

    Raises UsageError for a block that is not walked through.
    """
    prompts = append if isinstance(append, Prompts) else Prompts(append or {})
    adapters, depth = after or {}, len(transformer.resblocks)
    if not 1 <= first <= depth:
        raise UsageError(f"block {first} is asked for, the tower has blocks 1 to {depth}")
    for layer in {*adapters, *prompts.tokens} - set(range(first, depth + 1)):
        raise UsageError(f"something is given for block {layer}, but blocks {first} to {depth} are walked through")
    if insert is not None:
        hidden = torch.cat([insert.expand(len(hidden), -1, -1), hidden], dim=1)
    standing, step = 0, None
    for layer in range(first, depth + 1):
        hidden, standing = prompts.put(layer, hidden if step is None else step.after, standing)
        step = Step(layer, hidden, _Run(transformer, layer, mask, adapters.get(layer), recompute))
        yield step


def last_of(steps: Iterator[Step], hidden: Tensor) -> Tensor:
    """The tokens behind all steps; `hidden` where there is none."""
    for step in steps:
        hidden = step.after
    return hidden


@dataclass(frozen=True)
class _Run:
    """One block as a function of its tokens (B, N, C), its adapter behind it."""

    transformer: Any
    layer: int
    mask: Callable[[int], Tensor] | None
    adapter: Adapter | None
    recompute: bool = False

    def __call__(self, hidden: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            again: Tensor = checkpoint(self._through, hidden, use_reentrant=False)
            return again
        return self._through(hidden)

    def _through(self, hidden: Tensor) -> Tensor:
        block, batch_first = self.transformer.resblocks[self.layer - 1], self.transformer.batch_first
        mask = self.mask(hidden.shape[1]) if self.mask else None
        rows = passed_through(block, hidden if batch_first else hidden.transpose(0, 1), mask)
        found = rows if batch_first else rows.transpose(0, 1)
        return found if self.adapter is None else self.adapter(found)
