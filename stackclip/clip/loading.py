"""From a backbone's name and its weights to a tower; without weights there is no tower."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, Literal, Protocol

import open_clip
import PIL
import torch
from torch import Tensor, nn

from stackclip.clip.architecture import (
    architecture_hash,
    build_model,
    check_architecture,
    check_layers,
    check_size,
    find_architecture,
    largest_file,
)
from stackclip.clip.device import choose_device, choose_precision
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions, check_positions
from stackclip.clip.tower import Tower
from stackclip.clip.transform import ImageTransform
from stackclip.clip.weights import GRID, align_weights, fetch_weights, place_weights, read_weights, weights_hash
from stackclip.errors import BrokenPlugin, UsageError, WeightsError
from stackclip.registry import Spec, backbones, did_you_mean
from stackclip.types import TowerSpec

__all__ = ["Backbone", "assemble_tower", "load_tower"]

logger = logging.getLogger(__name__)
Activation = Literal["native", "gelu", "quick-gelu"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Backbone(Protocol):
    """What stands on the shelf `backbones`: a class whose keyword-only `__init__` arguments are its options.

    One file with one class adds a backbone; `assemble_tower` does the work:

        @backbones.register("my-vit")
        class MyViT:
            \"\"\"The tower of our own pictures.\"\"\"
            def load(self, *, image_size, layers, device, precision):
                return assemble_tower(CONFIG, read_weights(FILE), name="my-vit", image_size=image_size, layers=layers,
                                      device=device, precision=precision)
    """

    def load(
        self, *, image_size: int | None, layers: tuple[int, ...] | None, device: str, precision: Precision
    ) -> Tower:
        """The tower; None stands for its own picture size and for the quarters of its depth.

        An argument `position_embedding` may be there too, for backbones that hand it on to `assemble_tower`.
        """
        ...


def load_tower(
    name: str,
    *,
    pretrained: str | None = None,
    weights: Path | None = None,
    image_size: int | None = None,
    layers: tuple[int, ...] | None = None,
    activation: Activation = "native",
    position_embedding: Positions = DEFAULT_POSITIONS,
    device: str = "auto",
    precision: Precision = "auto",
) -> Tower:
    """The tower of that name: a registered backbone (`random-vit-8[seed=1]`), else a ViT that open_clip lists.

    `pretrained` is a tag of open_clip; its weights come from the local cache or the network. `weights` is a file, and
    nothing is downloaded; a tag beside it says which weights the file holds, and so their activation and
    normalisation. `image_size` is the side of the picture in pixels, `layers` are the tapped blocks (1-based).
    `activation` is native (the tag's, else the model's), gelu or quick-gelu; `position_embedding` says how the grid of
    position embeddings is resized to another picture size (`stackclip.clip.positions`).

    Raises UsageError for a name, tag or value that is not known, WeightsError for weights that are missing, not to be
    had or of another architecture.
    """
    spec = Spec.parse(name)
    if spec.name in backbones:
        return _load_registered(
            spec,
            pretrained,
            weights,
            activation,
            position_embedding,
            image_size=image_size,
            layers=layers,
            device=device,
            precision=precision,
        )
    model = spec.name.replace("/", "-")
    config = find_architecture(model, also=backbones.names())
    check_architecture(config, name=model)
    if spec.options:
        raise UsageError(
            f"{model} takes no options in brackets, found {spec}: give --pretrained, --weights, --image-size"
        )
    tag = _known_tag(model, pretrained)
    if weights is None:
        if tag is None:
            raise WeightsError(f"{model} was named without weights: give {_tags_offered(model)}--weights FILE")
        weights = fetch_weights(model, tag)
    chosen = _native_activation(model, config, tag) if activation == "native" else activation
    facts = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    return assemble_tower(
        config,
        read_weights(weights, largest=largest_file(config), of=f"weights of {model}"),
        name=model,
        activation=chosen,
        position_embedding=position_embedding,
        image_size=image_size,
        layers=layers,
        device=device,
        precision=precision,
        normalisation={key: facts[key] for key in ("mean", "std", "interpolation") if key in facts},
        source=str(weights),
        recorded={"pretrained": tag, "weights_file": weights.name},
    )


def assemble_tower(
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    name: str,
    activation: Activation = "native",
    position_embedding: Positions = DEFAULT_POSITIONS,
    image_size: int | None = None,
    layers: tuple[int, ...] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    normalisation: Mapping[str, Any] | None = None,
    source: str = "",
    note: str = "",
    recorded: Mapping[str, Any] | None = None,
) -> Tower:
    """A tower from a configuration as open_clip writes them and weights under open_clip's names.

    `normalisation` may hold `mean`, `std` and `interpolation`. `source` names the weights in errors, `note` is printed
    with every output that the tower makes, `recorded` stands beside the library versions.

    Raises UsageError for a picture size or layer that does not fit, WeightsError for weights that do not.
    """
    if activation not in ("native", "gelu", "quick-gelu"):
        raise UsageError(f"{activation!r} is no activation, wanted native, gelu or quick-gelu")
    check_positions(position_embedding)
    check_architecture(config, name=name)
    quick_gelu = bool(config.get("quick_gelu")) if activation == "native" else activation == "quick-gelu"
    side = check_size(config, image_size, name=name)
    where = choose_device(device)
    numbers = choose_precision(precision, where)
    model = build_model(config, image_size=side, quick_gelu=quick_gelu)
    aligned = align_weights(model, weights, architecture=name, source=source or name)
    place_weights(model, aligned, positions=position_embedding)
    visual: Any = model.visual
    depth = len(visual.transformer.resblocks)
    spec = TowerSpec(
        name=name,
        image_size=side,
        grid=visual.grid_size[0],
        depth=depth,
        width=visual.transformer.width,
        joint=visual.output_dim,
        layers=check_layers(layers, depth=depth, name=name),
        note=note,
    )
    _restore_causal_mask(model)
    return Tower(
        model.to(where),
        spec=spec,
        transform=ImageTransform(side, **(normalisation or {})),
        tokenizer=_tokenizer(str((config["text_cfg"].get("tokenizer_kwargs") or {}).get("clean", "lower"))),
        architecture=architecture_hash(config),
        weights=weights_hash(aligned),
        activation=_name_activation(quick_gelu),
        device=where,
        precision=numbers,
        recorded={
            "torch": torch.__version__,
            "open_clip": open_clip.__version__,
            "Pillow": PIL.__version__,
            "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
            "positions_resized": len(aligned[GRID]) - 1 != spec.grid**2,
            **(recorded or {}),
        },
        position_embedding=position_embedding,
    )


def _load_registered(
    spec: Spec,
    pretrained: str | None,
    weights: Path | None,
    activation: Activation,
    position_embedding: Positions,
    *,
    image_size: int | None,
    layers: tuple[int, ...] | None,
    device: str,
    precision: Precision,
) -> Tower:
    unwanted = {"--pretrained": pretrained, "--weights": weights, "activation": activation != "native"}
    named = [flag for flag, value in unwanted.items() if value]
    if named:
        found = " and ".join(named)
        raise UsageError(f"{spec} brings its own weights and activation, found {found}: name the model with --backbone")
    backbone: Any = backbones.create(spec)
    check_positions(position_embedding)
    ways: dict[str, Any] = {"position_embedding": position_embedding} if position_embedding != DEFAULT_POSITIONS else {}
    with backbones.find(spec.name).guard_foreign("cannot be loaded"):
        if ways and "position_embedding" not in signature(backbone.load).parameters:
            raise UsageError(f"{spec} resizes its position embeddings itself: leave out --position-embedding")
        tower = backbone.load(image_size=image_size, layers=layers, device=device, precision=precision, **ways)
        if not isinstance(tower, Tower):
            raise BrokenPlugin(f"{backbones.find(spec.name)} cannot be loaded: wanted a tower, found {type(tower)}")
        return tower


def _known_tag(model: str, pretrained: str | None) -> str | None:
    """The tag as open_clip writes it, or None for none."""
    if pretrained is None:
        return None
    tags = open_clip.list_pretrained_tags_by_model(model)
    tag = pretrained.lower().replace("-", "_")
    if tag in tags:
        return tag
    if not tags:
        raise UsageError(
            f"open_clip lists no weights for {model}, found --pretrained {pretrained}: give --weights FILE"
        )
    raise UsageError(
        f"{model} has no weights named {pretrained!r}{did_you_mean(tag, tags)}; open_clip lists {', '.join(tags)}"
    )


def _tags_offered(model: str) -> str:
    tags = open_clip.list_pretrained_tags_by_model(model)
    shown = ", ".join(tags[:4]) + (f" and {len(tags) - 4} more" if len(tags) > 4 else "")
    return f"--pretrained TAG ({shown}) or " if tags else ""


def _native_activation(model: str, config: Mapping[str, Any], tag: str | None) -> Activation:
    """What the weights were trained with: the tag knows; of a file, what all weights of this model have in common.

    Where the published weights of a model differ, a file is taken to be as the model's configuration says, and the
    log tells so (decision 0003).
    """
    own = bool(config.get("quick_gelu"))
    if tag is not None:
        return _name_activation(_is_quick_gelu(model, tag))
    published = {_is_quick_gelu(model, each) for each in open_clip.list_pretrained_tags_by_model(model)}
    if len(published) == 2 and not own:
        logger.warning(
            "weights of %s are published with GELU and with QuickGELU, and a file does not say which it needs: taking "
            "GELU; if it holds OpenAI's, add --pretrained openai or name %s-quickgelu",
            model,
            model,
        )
    return _name_activation(own or published == {True})


def _is_quick_gelu(model: str, tag: str) -> bool:
    return bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu"))


def _name_activation(quick_gelu: bool) -> Literal["gelu", "quick-gelu"]:
    return "quick-gelu" if quick_gelu else "gelu"


@cache
def _tokenizer(clean: str) -> Any:
    """open_clip's own byte-pair tokenizer; reading its merges takes longer than building a small tower."""
    return open_clip.SimpleTokenizer(clean=clean)


def _restore_causal_mask(model: nn.Module) -> None:
    """Give the text tower the mask that it could not build without values: no token sees a later one."""
    text: Any = getattr(model, "text", model)
    length = text.positional_embedding.shape[0]
    text.attn_mask = torch.full((length, length), float("-inf")).triu_(1)
