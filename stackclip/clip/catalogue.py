"""The models that can be named: those that open_clip lists, and towers of timm that learned from pictures alone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

__all__ = ["config_of", "listed_models", "published", "without_text"]

_WITHOUT_TEXT = {
    "dinov2-vits14": ("vit_small_patch14_dinov2", 384, 518),
    "dinov2-vits14-reg": ("vit_small_patch14_reg4_dinov2", 384, 518),
    "dinov2-vitb14": ("vit_base_patch14_dinov2", 768, 518),
    "dinov2-vitb14-reg": ("vit_base_patch14_reg4_dinov2", 768, 518),
    "dinov2-vitl14": ("vit_large_patch14_dinov2", 1024, 518),
    "dinov2-vitl14-reg": ("vit_large_patch14_reg4_dinov2", 1024, 518),
    "dinov2-vitg14": ("vit_giant_patch14_dinov2", 1536, 518),
    "dinov2-vitg14-reg": ("vit_giant_patch14_reg4_dinov2", 1536, 518),
    "dinov3-vits16": ("vit_small_patch16_dinov3", 384, 256),
    "dinov3-vits16plus": ("vit_small_plus_patch16_dinov3", 384, 256),
    "dinov3-vitb16": ("vit_base_patch16_dinov3", 768, 256),
    "dinov3-vitl16": ("vit_large_patch16_dinov3", 1024, 256),
    "dinov3-vith16plus": ("vit_huge_plus_patch16_dinov3", 1280, 256),
    "dinov3-vit7b16": ("vit_7b_patch16_dinov3", 4096, 256),
}  # the name in timm, the width, the side of the picture


def without_text(name: str) -> dict[str, Any] | None:
    """The configuration of a tower without text, written as open_clip writes its own; None for another name."""
    if name not in _WITHOUT_TEXT:
        return None
    timm_name, width, side = _WITHOUT_TEXT[name]
    vision = {"image_size": side, "timm_model_name": timm_name, "timm_pool": "token", "timm_proj": "none"}
    return {"embed_dim": width, "vision_cfg": vision}


def listed_models() -> tuple[str, ...]:
    """All names, those of open_clip first."""
    import open_clip  # here, since it takes seconds

    return (*open_clip.list_models(), *_WITHOUT_TEXT)


def config_of(name: str) -> dict[str, Any] | None:
    """The configuration under a name; None for a name that is not listed."""
    import open_clip  # here, since it takes seconds

    return copy.deepcopy(without_text(name) or open_clip.get_model_config(name))


def published(name: str) -> dict[str, Mapping[str, Any]]:
    """What open_clip, or timm, says of each of the published weights of a model, by tag."""
    import open_clip  # here, since it takes seconds

    if name in _WITHOUT_TEXT:
        return _of_timm(_WITHOUT_TEXT[name][0])
    return {tag: open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}


@cache
def _of_timm(name: str) -> dict[str, Mapping[str, Any]]:
    import timm  # here, since it takes seconds

    found: dict[str, Mapping[str, Any]] = {}
    for each in timm.list_models(name, pretrained=True):
        said = timm.get_pretrained_cfg(each)
        if each.partition(".")[0] == name and said.hf_hub_id:
            facts = {"mean": said.mean, "std": said.std, "interpolation": said.interpolation}
            found[said.tag] = {**facts, "hf_hub": f"{said.hf_hub_id}/model.safetensors"}
    return found
