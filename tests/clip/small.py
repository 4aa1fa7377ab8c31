"""Every model that open_clip lists, made small: two blocks, few channels, a few hundred words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import timm
from timm.models.vitamin import VitCfg, VitConvCfg

__all__ = ["family_of", "small_config", "small_timm"]

WIDTH, JOINT = 48, 24
_VIT: dict[str, Any] = {"embed_dim": WIDTH, "num_heads": 2}
_STEM = VitCfg(
    embed_dim=(8, 16, WIDTH),
    depths=(1, 1, 1),
    stem_width=8,
    conv_cfg=VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6),
    head_type="1d",
)
_SMALL: dict[str, dict[str, Any]] = {
    "vitamin": {**_VIT, "embed_cfg": _STEM},
    "convnext": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, WIDTH)},
    "fastvit_mci3": {"layers": (1, 1, 1, 1, 1), "embed_dims": (8, 16, 32, 64, 128)},
    "fastvit_mci4": {"layers": (1, 1, 1, 1, 1), "embed_dims": (8, 16, 32, 64, 128)},
    "fastvit": {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 128)},
    "vit_base_mci": {},
    "swin": {"embed_dim": 16, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 2, 4)},
}


@contextmanager
def small_timm(blocks: int = 2) -> Iterator[None]:
    """While it lasts, models of timm are built small, a ViT of so many blocks."""
    create = timm.create_model

    def create_small(name: str, **options: Any) -> Any:
        kind = next((kind for kind in _SMALL if name.startswith(kind)), "")
        depth = {} if "layers" in _SMALL.get(kind, {}) or "depths" in _SMALL.get(kind, {}) else {"depth": blocks}
        return create(name, **{**options, **_SMALL.get(kind, _VIT), **depth})

    with mock.patch.object(timm, "create_model", create_small):
        yield


def small_config(config: Mapping[str, Any], blocks: int = 2) -> dict[str, Any]:
    """A configuration of open_clip with few channels and so many layers, all else as it is; timm stays large."""
    small: dict[str, Any] = json.loads(json.dumps(config))
    vision, text = small["vision_cfg"], small["text_cfg"]
    small["embed_dim"] = JOINT
    if isinstance(vision.get("layers"), list):
        vision.update(layers=[1, 1, 1, 2], width=8)
    elif "timm_model_name" not in vision:
        vision.update(layers=blocks, width=WIDTH, head_width=WIDTH // 2, attn_pooler_queries=4, attn_pooler_heads=2)
        small["vision_cfg"] = vision
    text.update(width=32, heads=2, layers=1)
    if text.get("proj_type") == "none":
        text["width"] = JOINT
    if text.get("hf_tokenizer_name"):
        text["vocab_size"] = 300
    for part in ("multimodal_cfg",):
        if part in small:
            small[part].update(width=32, heads=2, layers=1, dim_head=16, attn_pooler_heads=2)
    return small


def family_of(name: str) -> str:
    """The family of a model's name, as the table has it."""
    for family in ("CLIPA", "SigLIP2", "SigLIP", "worldwide", "EVA01", "EVA02", "MobileCLIP2", "MobileCLIP", "PE-Core"):
        if family in name:
            return family
    for start, family in (("coca", "CoCa"), ("convnext", "ConvNeXt"), ("RN", "ResNet"), ("ViTamin", "ViTamin")):
        if name.startswith(start):
            return family
    others = {"swin": "Swin", "vit_relpos": "relpos ViT", "vit_medium": "ViT of averages"}
    return next((family for start, family in others.items() if name.startswith(start)), "CLIP")
