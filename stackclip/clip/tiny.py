"""The embedded default tower: small, its weights in the package, trained on generated pictures."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from stackclip.clip.assembly import assemble_tower
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.clip.recipe import Precision
from stackclip.clip.tower import Tower
from stackclip.clip.weights import read_weights
from stackclip.registry import backbones
from stackclip.sizes import SizeLike

__all__ = ["CONFIG", "NAME", "WEIGHTS", "StackclipTiny"]

NAME = "stackclip-tiny"
_FOLDER = Path(str(resources.files("stackclip.clip") / "weights_tiny"))
WEIGHTS = _FOLDER / f"{NAME}.safetensors"
"""The packaged weights: half precision, token embeddings of words that training never met are zero."""

CONFIG: dict[str, Any] = json.loads((_FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))
"""The architecture as open_clip writes it: `open_clip.add_model_config` takes the same file."""


@backbones.register(NAME)
class StackclipTiny:
    """A small tower that comes with the package, trained on generated pictures; its numbers say nothing about CLIP."""

    def load(
        self,
        *,
        image_size: SizeLike | None = None,
        layers: tuple[int, ...] | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        position_embedding: Positions = DEFAULT_POSITIONS,
    ) -> Tower:
        """The tower, at 112 pixels unless `image_size` says otherwise."""
        return assemble_tower(
            CONFIG,
            read_weights(WEIGHTS),
            name=NAME,
            image_size=image_size,
            layers=layers,
            device=device,
            precision=precision,
            position_embedding=position_embedding,
            source=str(WEIGHTS),
            note=f"{NAME} is a small tower trained on generated pictures: its numbers say nothing about CLIP",
        )
