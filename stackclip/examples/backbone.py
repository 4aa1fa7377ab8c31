"""A backbone in one file: a CLIP of your own architecture, with weights of your own.

For weights of an architecture that open_clip knows no file is needed: `--backbone ViT-B-16 --weights FILE`.

Try it:

    stackclip check small-vit
    stackclip bench --backbone small-vit --methods fuzzy,precise
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from stackclip.clip import Tower, assemble_tower, read_weights
from stackclip.clip.doubles import random_weights
from stackclip.errors import WeightsError
from stackclip.registry import backbones
from stackclip.sizes import SizeLike

CONFIG: dict[str, Any] = {  # as open_clip writes it
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 96, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@backbones.register("small-vit")
class SmallVit:
    """A ViT of 4 layers and patches of 8 pixels; `weights` is a file of them, without which they are random.

    The names in the file are open_clip's: `visual.conv1.weight`, `transformer.resblocks.0...`.
    """

    def __init__(self, *, weights: Path | None = None) -> None:
        """Raise WeightsError where there is no such file."""
        if weights is not None and not weights.is_file():
            raise WeightsError(f"{weights}: no such file")
        self.weights = weights

    def load(
        self,
        *,
        image_size: SizeLike | None = None,
        layers: tuple[int, ...] | None = None,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    ) -> Tower:
        """The tower at a picture size, with the blocks that are tapped; what is None or `auto` is chosen for you."""
        weights = random_weights(CONFIG, seed=0) if self.weights is None else read_weights(self.weights)
        return assemble_tower(
            CONFIG,
            weights,
            name="small-vit",
            image_size=image_size,
            layers=layers,
            device=device,
            precision=precision,
            source=str(self.weights or ""),
            note="" if self.weights else "small-vit has random weights: its numbers say nothing about CLIP",
        )
