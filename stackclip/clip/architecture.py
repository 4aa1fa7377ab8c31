"""Which image towers of open_clip can be used, why the others cannot, and an empty model of one that can."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stackclip.clip.catalogue import config_of, listed_models, without_text
from stackclip.clip.makes import make_room
from stackclip.errors import UnknownComponent, UsageError
from stackclip.ops.files import canonical_json, content_hash
from stackclip.registry import did_you_mean
from stackclip.sizes import Side, Size, SizeLike, side_of, size_of

__all__ = [
    "architecture_hash",
    "build_model",
    "check_architecture",
    "check_layers",
    "check_size",
    "count_parameters",
    "find_architecture",
    "is_resnet",
    "largest_file",
    "packaged_config",
    "parameters_of",
    "why_not",
]

_COPIES = 4
_BESIDE = 64 << 20  # bytes
_LARGEST_SIDE = 4096


def find_architecture(name: str, *, also: tuple[str, ...] = ()) -> dict[str, Any]:
    """The configuration that is listed under `name` (`stackclip.clip.catalogue`).

    Raises UnknownComponent for a name that is not listed, with the nearest of those that are and those in `also`.
    """
    config = config_of(name)
    if config is None:
        near = did_you_mean(name, (*also, *listed_models()))
        raise UnknownComponent(f"no backbone is named {name!r}{near}; see: stackclip list backbones")
    return config


def packaged_config(name: str) -> dict[str, Any] | None:
    """The configuration that comes with open_clip under `name`, which need not be imported for that.

    None where there is none, and where a program put another in its place.
    """
    if (of_timm := without_text(name)) is not None:
        return of_timm
    package = find_spec("open_clip")
    try:
        file = Path(str(package and package.origin)).parent / "model_configs" / f"{name}.json"
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    library = sys.modules.get("open_clip")
    return config if library is None or library.get_model_config(name) == config else None


def why_not(config: Mapping[str, Any]) -> str:
    """Why a model of that configuration cannot be used, in a few words; empty where it can.

    Wanted are patch tokens on a grid, and a text tower that open_clip itself builds.
    """
    vision, text = config["vision_cfg"], config.get("text_cfg", {})
    reasons = {
        "its text tower is a model of transformers": text.get("hf_model_name"),
        "its pooled tokens and its image feature come from two attentions": isinstance(
            vision.get("attentional_pool"), str
        ),
        "its image tower pools nothing": vision.get("pool_type", "tok") not in ("tok", "avg"),
        "its picture is not a square": not isinstance(vision.get("image_size", 224), int),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def check_architecture(config: Mapping[str, Any], *, name: str) -> None:
    """Raise UsageError for a model whose patch tokens or phrases could not be used, with the reason."""
    reason = why_not(config)
    if reason:
        raise UsageError(f"{name} cannot be used: {reason}; take a plain ViT such as ViT-L-14-336 or ViT-B-16-plus-240")


def is_resnet(vision: Mapping[str, Any]) -> bool:
    """Whether the image tower of a `vision_cfg` is a ResNet: it counts the blocks of each of its stages."""
    return isinstance(vision.get("layers"), list | tuple)


def build_model(config: Mapping[str, Any], *, image_size: Side | None, quick_gelu: bool) -> nn.Module:
    """open_clip's model of that configuration at a picture size, its parameters without values (on `meta`).

    No random numbers are drawn: weights are put in afterwards, all of them. A timm model is built at its own size, to
    which its weights belong (`stackclip.clip.weights.place_weights`).
    """
    import open_clip  # here, since it takes seconds

    arguments = json.loads(json.dumps(config))
    own = image_size is None or is_resnet(config["vision_cfg"])  # it has its own size for now
    if image_size is not None and not own:
        arguments["vision_cfg"]["image_size"] = tuple(size_of(image_size))
    arguments["quick_gelu"] = quick_gelu
    kind = open_clip.CustomTextCLIP if arguments.pop("custom_text", False) else open_clip.CLIP
    if "multimodal_cfg" in arguments:
        kind = open_clip.CoCa
    if "text_cfg" not in arguments:
        kind = _PicturesAlone
    with torch.device("meta"):
        model: Any = kind(**arguments)
        if image_size is not None and own:
            make_room(model.visual, size_of(image_size))
    frozen: nn.Module = model.eval().requires_grad_(False)
    return frozen


class _PicturesAlone(nn.Module):
    """A tower of timm without text, in the place where open_clip's models have theirs."""

    def __init__(self, embed_dim: int, vision_cfg: Mapping[str, Any], quick_gelu: bool) -> None:
        from open_clip.timm_model import TimmModel  # here, since it takes seconds

        super().__init__()
        name, pool, proj = (vision_cfg[f"timm_{key}"] for key in ("model_name", "pool", "proj"))
        self.visual = TimmModel(name, embed_dim, image_size=vision_cfg["image_size"], pool=pool, proj=proj)

    def encode_image(self, pictures: Tensor) -> Tensor:
        """The class tokens (B, D)."""
        features: Tensor = self.visual(pictures)
        return features


def largest_file(config: Mapping[str, Any]) -> int:
    """The bytes that a file of weights of that configuration may take.

    A checkpoint of a training holds its parameters up to four times, as float32: with two moments of its optimiser and
    an average over steps. The rest is for what is written beside them.
    """
    return _COPIES * 4 * count_parameters(config) + _BESIDE


def count_parameters(config: Mapping[str, Any]) -> int:
    """The numbers that weights of that configuration hold, at its own picture size."""
    return parameters_of(build_model(config, image_size=None, quick_gelu=False))


def parameters_of(model: nn.Module) -> int:
    """The numbers that weights of a model hold."""
    return sum(tensor.numel() for tensor in model.state_dict().values())


def architecture_hash(config: Mapping[str, Any]) -> str:
    """The blake3 of a configuration without picture size and activation, in hex.

    Weights alone do not say everything that the features depend on: the number of heads, for one.
    """
    facts = json.loads(json.dumps(config))
    facts.pop("quick_gelu", None)
    facts["vision_cfg"].pop("image_size", None)
    return content_hash(canonical_json(facts))


def check_size(size: SizeLike | None, *, own: int, patch: int, name: str) -> Side:
    """The side of the picture in pixels, or its size: what is asked, else its own.

    Raises UsageError unless patches fill it, and for a side above 4096: no tower was trained for so many patches, and
    attention grows with their square.
    """
    found = size_of(own if size is None else size)
    if max(found) > _LARGEST_SIDE:
        raise UsageError(f"--image-size {found} is more than {_LARGEST_SIDE} pixels: take a smaller one")
    if any(side < patch or side % patch for side in found):
        low = Size(*(max(side // patch, 1) * patch for side in found))
        high = Size(*(side if side == down else down + patch for side, down in zip(found, low, strict=True)))
        raise UsageError(
            f"--image-size {found} is no multiple of {name}'s patches of {patch} pixels: take {low} or {high}"
        )
    return side_of(found)


def check_layers(layers: tuple[int, ...] | None, *, depth: int, name: str) -> tuple[int, ...]:
    """The tapped layers in order, 1-based: those named, else the ends of the four quarters of the depth.

    Raises UsageError for a layer that the tower does not have, and for none at all.
    """
    if layers is None:
        return tuple(sorted({max(1, depth * quarter // 4) for quarter in (1, 2, 3, 4)}))
    outside = [layer for layer in layers if not 1 <= layer <= depth]
    if outside or not layers:
        found = ", ".join(map(str, outside)) or "no layer"
        raise UsageError(f"--layers names {found}; {name} has layers 1 to {depth}, for example 6,12,18,24 of 24")
    return tuple(sorted(set(layers)))
