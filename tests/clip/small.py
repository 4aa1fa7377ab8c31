"""Every model that open_clip lists, made small: two blocks, few channels, a few hundred words."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

import open_clip
import timm
import torch
from timm.models.vitamin import VitCfg, VitConvCfg
from torch import Tensor

from stackclip.clip import Tower, assemble_tower
from stackclip.clip.catalogue import config_of
from stackclip.clip.doubles import random_weights

__all__ = [
    "FAMILIES",
    "AutoTokenizer",
    "family_of",
    "fresh_model",
    "small_config",
    "small_timm",
    "small_tower",
    "small_weights",
]

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
    vision, text = small["vision_cfg"], small.get("text_cfg", {})
    small["embed_dim"] = WIDTH if vision.get("timm_proj") == "none" else JOINT
    if isinstance(vision.get("layers"), list):
        vision.update(layers=[1, 1, 1, 2], width=8)
    elif "timm_model_name" not in vision:
        vision.update(layers=blocks, width=WIDTH, head_width=WIDTH // 2, attn_pooler_queries=4, attn_pooler_heads=2)
    text.update(width=32, heads=2, layers=1)
    if text.get("proj_type") == "none":
        text["width"] = small["embed_dim"]
    if text.get("hf_tokenizer_name"):
        text["vocab_size"] = 300
    if "multimodal_cfg" in small:
        small["multimodal_cfg"].update(width=32, heads=2, layers=1, dim_head=16, attn_pooler_heads=2)
    return small


@lru_cache(maxsize=24)
def small_weights(name: str, blocks: int = 2) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The small configuration of a model, and weights for it."""
    with small_timm(blocks):
        config = small_config(config_of(name) or {}, blocks)
        return config, random_weights(config, seed=1)


def small_tower(name: str, **options: Any) -> Tower:
    """A model that is listed, made small, with random weights."""
    config, weights = small_weights(name)
    with small_timm():
        return assemble_tower(config, weights, name=name, device="cpu", precision="fp32", **options)


def fresh_model(name: str) -> Any:
    """The same model as open_clip, or timm, builds it, with the same weights put in: at its own size of picture."""
    config, weights = small_weights(name)
    arguments = json.loads(json.dumps(config))
    with small_timm():
        if "text_cfg" not in config:
            trunk = timm.create_model(config["vision_cfg"]["timm_model_name"], num_classes=0, global_pool="token")
            trunk.load_state_dict({key.removeprefix("visual.trunk."): value for key, value in weights.items()})
            return SimpleNamespace(visual=trunk.eval())
        kind = open_clip.CustomTextCLIP if arguments.pop("custom_text", False) else open_clip.CLIP
        model: Any = (open_clip.CoCa if "multimodal_cfg" in config else kind)(**arguments)
    missing = model.load_state_dict(weights, strict=False).missing_keys
    assert all(each.endswith("num_batches_tracked") for each in missing), missing
    return model.eval()


FAMILIES = {
    "CLIP": "ViT-B-32",
    "CLIPA": "ViT-L-14-CLIPA",
    "CoCa": "coca_ViT-B-32",
    "worldwide": "ViT-H-14-worldwide",
    "SigLIP": "ViT-B-16-SigLIP",
    "SigLIP2": "ViT-B-32-SigLIP2-256",
    "PE-Core": "PE-Core-B-16",
    "EVA01": "EVA01-g-14",
    "EVA02": "EVA02-B-16",
    "MobileCLIP": "MobileCLIP-S1",
    "MobileCLIP2": "MobileCLIP2-L-14",
    "ViTamin": "ViTamin-S",
    "ViT of averages": "vit_medium_patch16_gap_256",
    "relpos ViT": "vit_relpos_medium_patch16_cls_224",
    "ConvNeXt": "convnext_tiny",
    "Swin": "swin_base_patch4_window7_224",
    "ResNet": "RN50",
    "DINOv2": "dinov2-vits14-reg",
    "DINOv3": "dinov3-vits16",
}
"""Families, and a model of each."""

_SIGNS = ("CLIPA", "SigLIP2", "SigLIP", "worldwide", "EVA01", "EVA02", "MobileCLIP2", "MobileCLIP", "PE-Core")

_STARTS = {
    "coca": "CoCa",
    "ViTamin": "ViTamin",
    "convnext": "ConvNeXt",
    "RN": "ResNet",
    "swin": "Swin",
    "vit_relpos": "relpos ViT",
    "vit_medium": "ViT of averages",
    "dinov2": "DINOv2",
    "dinov3": "DINOv3",
}


def family_of(name: str) -> str:
    """The family of a model's name, as the table has it."""
    sign = next((sign for sign in _SIGNS if sign in name), "")
    return sign or next((family for start, family in _STARTS.items() if name.startswith(start)), "CLIP")


class AutoTokenizer:
    """A double of transformers' class: a number for each word, and one for the end of the text."""

    sep_token_id = 2

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> AutoTokenizer:
        """A tokenizer, whatever the name."""
        return cls()

    def __call__(self, texts: str | list[str], max_length: int = 0, **options: Any) -> SimpleNamespace:
        """The ids of texts, padded with ones to a length, as a tensor; of one text, as a list."""
        if isinstance(texts, str):
            return SimpleNamespace(input_ids=[3 + zlib.crc32(word.encode()) % 290 for word in texts.split()] + [2])
        rows = [self(text).input_ids[:max_length] for text in texts]
        return SimpleNamespace(input_ids=torch.tensor([row + [1] * (max_length - len(row)) for row in rows]))
