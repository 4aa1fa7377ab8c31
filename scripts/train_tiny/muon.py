"""The optimiser: orthogonalised momentum for matrices, AdamW for the rest, both under one schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Optimiser", "Rates"]

_ROUNDS = 5
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024, "Muon"


@dataclass(frozen=True)
class Rates:
    """Peak learning rates: of matrices in blocks, of everything else, of the factor of cosines; and the decay."""

    matrices: float = 0.01
    rest: float = 2e-3
    scale: float = 1e-2
    decay: float = 0.05
    momentum: float = 0.95


class Optimiser:
    """Muon (Jordan et al. 2024) for the matrices of the transformer blocks, AdamW (.9, .98) for the rest.

    The joint matrix of queries, keys and values counts as three. A network as small as this learns in about half the
    steps that AdamW alone needs.
    """

    def __init__(self, model: nn.Module, rates: Rates) -> None:
        self.rates = rates
        named = list(model.named_parameters())
        self._matrices = [p for name, p in named if "resblocks" in name and p.ndim == 2]
        self._thirds = {id(p) for name, p in named if name.endswith("in_proj_weight")}
        self._momentum = [torch.zeros_like(p) for p in self._matrices]
        chosen = {id(p) for p in self._matrices}
        scale = [p for name, p in named if name.endswith("logit_scale")]
        vectors = [p for name, p in named if id(p) not in chosen and p.ndim == 1]
        others = [p for name, p in named if id(p) not in chosen and p.ndim > 1]
        self._adam = torch.optim.AdamW(
            [
                {"params": others, "lr": rates.rest, "weight_decay": rates.decay},
                {"params": vectors, "lr": rates.rest, "weight_decay": 0.0},
                {"params": scale, "lr": rates.scale, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )
        self._peaks = [group["lr"] for group in self._adam.param_groups]

    @torch.no_grad()
    def step(self, fraction: float) -> None:
        """One step at a fraction of the peak rates; gradients are dropped."""
        for group, peak in zip(self._adam.param_groups, self._peaks, strict=True):
            group["lr"] = peak * fraction
        self._adam.step()
        rate = self.rates.matrices * fraction
        for parameter, momentum in zip(self._matrices, self._momentum, strict=True):
            if parameter.grad is None:
                continue
            momentum.lerp_(parameter.grad, 1 - self.rates.momentum)
            ahead = parameter.grad.lerp(momentum, self.rates.momentum)
            parts = ahead.chunk(3) if id(parameter) in self._thirds else (ahead,)
            parameter.mul_(1 - rate * self.rates.decay)
            parameter.add_(torch.cat([_orthogonal(part) for part in parts]), alpha=-rate)
        self._adam.zero_grad()
        for parameter in self._matrices:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Momenta and moments, and the rates that they belong to."""
        return {"adam": self._adam.state_dict(), "momentum": self._momentum, "rates": asdict(self.rates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another optimiser of the same model stood."""
        self._adam.load_state_dict(state["adam"])
        for momentum, found in zip(self._momentum, state["momentum"], strict=True):
            momentum.copy_(found)


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near one, scaled to the root of its aspect: (N, M)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    upright: Tensor = (x.mT if tall else x) * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    return upright
