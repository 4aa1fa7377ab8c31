"""The live image tower from a cached point on: what is trained inside it runs here, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.clip.attention import attend_by_value
from stackclip.clip.device import DTYPES, plain_attention
from stackclip.clip.makes import make_of
from stackclip.clip.recipe import PLAIN_TRAINING, LiveTraining
from stackclip.clip.walk import Prompts, walk
from stackclip.errors import UsageError

__all__ = ["ImageTower"]


class ImageTower:
    """A frozen image tower whose blocks can be run on tokens that a store holds, and nothing else of it.

    `live` says how they run. Recomputing takes about half of the memory, for half as much time again and the same
    digits.
    """

    __slots__ = ("_make", "live")

    def __init__(self, visual: Any, live: LiveTraining = PLAIN_TRAINING) -> None:
        self._make, self.live = make_of(visual), live

    def running(self, live: LiveTraining) -> ImageTower:
        """The same tower, run otherwise."""
        tower = copy(self)
        tower.live = live
        return tower

    @property
    def _visual(self) -> Any:
        """open_clip's own. Raises NotApplicable for a tower of another make."""
        return self._make.opened()

    @property
    def depth(self) -> int:
        """How many blocks it has."""
        return self._make.depth

    def resume(
        self,
        hidden: Tensor,
        first: int,
        *,
        stops: Sequence[int] = (),
        insert: Tensor | None = None,
        after: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        append: Prompts | Mapping[int, Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """The tokens behind each block of `stops` (by default the last one), of `hidden/N` with N = `first` - 1.

        `hidden` is (B, 1 + P, C); what comes back has as many tokens more as were put in. `insert` are tokens put in
        front before block `first`, `append` those behind the patches from a block on, `after` functions called on the
        tokens behind a block, as `stackclip.clip.walk` says. Blocks behind the last stop are not run.

        Raises UsageError for a block that is not walked through.
        """
        wanted, found = set(stops) or {self.depth}, dict[int, Tensor]()
        for layer in wanted - set(range(first, self.depth + 1)):
            raise UsageError(
                f"the tokens behind block {layer} are asked for, but blocks {first} to {self.depth} are run"
            )
        dtype = DTYPES[self.live.precision]
        lower = torch.autocast(hidden.device.type, dtype=dtype, enabled=dtype != torch.float32)
        with plain_attention(), lower:
            transformer, put = self._visual.transformer, partial(walk, insert=insert, after=after, append=append)
            for step in put(transformer, hidden, first=first, recompute=self.live.recompute):
                if step.layer in wanted:
                    found[step.layer] = step.after.to(hidden.dtype)
                if wanted <= found.keys():
                    break
        return found

    @torch.no_grad()
    def across_batch(self, hidden: Tensor, first: int, *, stops: Sequence[int]) -> dict[int, Tensor]:
        """The tokens behind each block of `stops`, of `hidden/N` with N = `first` - 1, (B, 1 + P, C) each.

        From block `first` on every token attends by its value to the tokens at its place in the batch's pictures, not
        to those of its own: AA-CLIP's released surgery, in which a picture depends on its neighbours. No gradients.
        """
        found: dict[int, Tensor] = {}
        for layer in range(first, max(stops) + 1):
            block = self._visual.transformer.resblocks[layer - 1]
            hidden = hidden + attend_by_value(block, hidden.transpose(0, 1)).transpose(0, 1)
            hidden = found[layer] = hidden + block.ls_2(block.mlp(block.ln_2(hidden)))
        return {layer: found[layer] for layer in stops}

    def enter(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C) as block 1 reads them where the class token stands: with its position, through ln_pre."""
        entered: Tensor = self._visual.ln_pre(tokens + self._visual.positional_embedding[0])
        return entered

    def norm(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C) through ln_post, or what other towers have for it."""
        return self._make.norm(tokens)

    def own_norm(self) -> nn.Module:
        """A copy of ln_post that can be trained; the tower's stays as it is."""
        copied: nn.Module = deepcopy(self._visual.ln_post)
        return copied.requires_grad_()

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C), each read as the image feature is: through ln_post and the projection in CLIP, (..., D)."""
        return self._make.alone(tokens)
