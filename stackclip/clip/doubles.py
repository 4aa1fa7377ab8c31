"""A tower of random weights: small, fast and the same everywhere, for tests, demonstrations and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stackclip.clip.architecture import build_model
from stackclip.clip.assembly import assemble_tower
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.clip.recipe import Precision
from stackclip.clip.tower import Tower
from stackclip.errors import BadOption
from stackclip.registry import backbones
from stackclip.sizes import SizeLike

__all__ = ["RandomViT", "random_tower", "random_weights"]

_NAME = "random-vit-8"
_CONFIG: Mapping[str, Any] = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": 112, "layers": 8, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 4},
}


@backbones.register(_NAME)
class RandomViT:
    """A seeded random tower of 8 layers, for tests and first runs; its numbers say nothing about CLIP.

    `image_size` is the side of the picture, a multiple of 8; `activation` is that of all its blocks.
    """

    def __init__(
        self, *, seed: int = 0, image_size: int = 112, activation: Literal["gelu", "quick-gelu"] = "gelu"
    ) -> None:
        if seed < 0:
            raise BadOption(f"{_NAME}: seed={seed}; wanted 0 or more")
        self.seed = seed
        self.image_size = image_size
        self.activation = activation

    def load(
        self,
        *,
        image_size: SizeLike | None = None,
        layers: tuple[int, ...] | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        position_embedding: Positions = DEFAULT_POSITIONS,
    ) -> Tower:
        """The tower; `image_size` wins over the option of that name."""
        return assemble_tower(
            _CONFIG,
            random_weights(_CONFIG, seed=self.seed),
            name=_NAME if self.seed == 0 else f"{_NAME}[seed={self.seed}]",
            activation=self.activation,
            image_size=self.image_size if image_size is None else image_size,
            layers=layers,
            device=device,
            precision=precision,
            position_embedding=position_embedding,
            note=f"{_NAME} is a random tower: its numbers say nothing about CLIP",
        )


def random_tower(
    seed: int = 0,
    *,
    image_size: SizeLike = 112,
    layers: tuple[int, ...] | None = None,
    activation: Literal["gelu", "quick-gelu"] = "gelu",
    device: str = "cpu",
    precision: Precision = "fp32",
) -> Tower:
    """A tower of 8 layers, width 128, patches of 8 pixels, joint width 96, with real tokens and random weights.

    The weights follow from `seed` alone, and are the same at every picture size.
    """
    return RandomViT(seed=seed, activation=activation).load(
        image_size=image_size, layers=layers, device=device, precision=precision
    )


def random_weights(config: Mapping[str, Any], *, seed: int) -> dict[str, Tensor]:
    """Weights for an open_clip configuration at its own picture size, drawn in the order of their names.

    Matrices keep the scale of what passes through them, norms are neutral and biases zero, so that tokens of different
    patches stay apart. numpy draws them: its streams are the same on every processor, and torch's global state is
    neither used nor changed.
    """
    empty = build_model(config, image_size=None, quick_gelu=False)
    draws = np.random.default_rng(seed)
    weights = {}
    for name, parameter in sorted(empty.state_dict().items()):
        if not parameter.is_floating_point():  # the batches that a norm has counted
            continue
        if name == "logit_scale":
            values = np.full(tuple(parameter.shape), np.log(1 / 0.07), np.float32)
        elif name.endswith((".bias", "in_proj_bias", "running_mean")) or not parameter.ndim:
            values = np.zeros(tuple(parameter.shape), np.float32)
        elif parameter.ndim == 1 and name.endswith((".weight", "running_var")):
            values = np.ones(tuple(parameter.shape), np.float32)
        else:
            values = draws.standard_normal(tuple(parameter.shape), np.float32) * np.float32(_scale(name, parameter))
        weights[name] = torch.from_numpy(np.asarray(values))
    return weights


def _scale(name: str, parameter: Tensor) -> float:
    """The standard deviation that keeps a signal of unit variance: one over the root of what is summed."""
    if "embedding" in name:
        return 1.0 if name.startswith("token") else 0.3
    inputs = parameter.shape[0] if name.endswith("proj") else parameter[0].numel()  # `x @ proj`, else `weight @ x`
    return float(inputs**-0.5)
