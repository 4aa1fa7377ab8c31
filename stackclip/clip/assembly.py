"""From a configuration and weights to a tower; without weights there is no tower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Required, Unpack

import PIL
import torch
from torch import Tensor, nn

from stackclip.clip.architecture import (
    architecture_hash,
    build_model,
    check_architecture,
    check_layers,
    check_size,
    is_resnet,
    parameters_of,
)
from stackclip.clip.device import choose_device, choose_precision, name_device
from stackclip.clip.makes import make_of, timm_sizes
from stackclip.clip.phrases import restore_text, text_of
from stackclip.clip.positions import check_positions
from stackclip.clip.recipe import Build, BuildOptions
from stackclip.clip.tower import BuiltTower, Tower, TowerFacts
from stackclip.clip.transform import ImageTransform
from stackclip.clip.weights import align_weights, place_weights, weights_hash
from stackclip.errors import UsageError
from stackclip.ops.once import Once
from stackclip.sizes import Side, SizeLike, side_of, size_of
from stackclip.types import TowerSpec

__all__ = ["Assembly", "AssemblyOptions", "assemble_tower", "name_activation", "own_sizes"]


class AssemblyOptions(BuildOptions, total=False):
    """The fields of `Assembly` as keyword arguments."""

    name: Required[str]
    normalisation: Mapping[str, Any] | None
    source: str
    note: str
    recorded: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly(Build):
    """What is said of a tower beside its configuration and weights: how it is built, and what they are.

    `normalisation` may hold `mean`, `std` and `interpolation`. `source` names the weights in errors, `note` is printed
    with every output that the tower makes, `recorded` stands beside the library versions.
    """

    name: str
    normalisation: Mapping[str, Any] | None = None
    source: str = ""
    note: str = ""
    recorded: Mapping[str, Any] | None = None


def assemble_tower(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], **options: Unpack[AssemblyOptions]
) -> Tower:
    """A tower from a configuration as open_clip writes them and weights under open_clip's names.

    The options are the fields of `Assembly`, of which `name` must be there: a backbone hands on what it was asked for.
    They are keyword arguments, as a caller gives two or three, and one noun inside, as all of them travel together.

    Raises UsageError for a picture size or layer that does not fit, WeightsError for weights that do not.
    """
    assembly = Assembly(**options)
    quick_gelu = _checked_activation(config, assembly)
    model, size = _sized(config, assembly.image_size, assembly.name, quick_gelu=quick_gelu)
    device = choose_device(assembly.device)
    precision = choose_precision(assembly.precision, device)
    aligned = align_weights(model, weights, architecture=assembly.name, source=assembly.source or assembly.name)
    resized = place_weights(model, aligned, size=size, positions=assembly.position_embedding)
    spec = _spec_of(model, size, assembly)
    restore_text(model)
    model = model.to(device)
    text = text_of(model, config, name=spec.name, joint=spec.joint, device=device)
    facts = TowerFacts(
        spec=spec,
        transform=ImageTransform(size, **(assembly.normalisation or {})),
        architecture=architecture_hash(config),
        weights=weights_hash(aligned),
        activation=name_activation(quick_gelu),
        position_embedding=assembly.position_embedding,
        precision=precision,
        context_length=0 if text is None else text.context_length,
        recorded={
            **_machine(device),
            "positions_resized": resized,
            **(assembly.recorded or {}),
        },
    )
    return Tower(facts, Once.of(BuiltTower(model, text)), device=device)


def name_activation(quick_gelu: bool) -> Literal["gelu", "quick-gelu"]:
    """The name of an activation that open_clip knows as QuickGELU or not."""
    return "quick-gelu" if quick_gelu else "gelu"


def _checked_activation(config: Mapping[str, Any], assembly: Assembly) -> bool:
    """Whether the blocks have QuickGELU; raises UsageError for words and architectures that are not known."""
    activation = assembly.activation
    if activation not in ("native", "gelu", "quick-gelu"):
        raise UsageError(f"{activation!r} is no activation, wanted native, gelu or quick-gelu")
    check_positions(assembly.position_embedding)
    check_architecture(config, name=assembly.name)
    return bool(config.get("quick_gelu")) if activation == "native" else activation == "quick-gelu"


def own_sizes(config: Mapping[str, Any], *, name: str) -> tuple[int, int]:
    """The side in pixels of the pictures that a model takes unasked, and how many numbers its weights hold."""
    model, size = _sized(config, None, name, quick_gelu=False)
    return size_of(size).height, parameters_of(model)


def _sized(config: Mapping[str, Any], asked: SizeLike | None, name: str, *, quick_gelu: bool) -> tuple[nn.Module, Side]:
    """The model without values, and the size of its pictures. Raises UsageError for one that patches do not fill."""
    vision = config["vision_cfg"]
    if vision.get("timm_model_name"):
        model = build_model(config, image_size=None, quick_gelu=quick_gelu)
        own, patch = timm_sizes(model.visual)
        return model, check_size(asked, own=own, patch=patch, name=name)
    patch = 32 if is_resnet(vision) else vision.get("patch_size", 16)
    size = check_size(asked, own=vision.get("image_size", 224), patch=patch, name=name)
    return build_model(config, image_size=size, quick_gelu=quick_gelu), size


def _spec_of(model: nn.Module, size: Side, assembly: Assembly) -> TowerSpec:
    make = make_of(model.visual)
    return TowerSpec(
        name=assembly.name,
        image_size=size,
        grid=side_of(make.grid),
        depth=make.depth,
        width=make.width,
        joint=make.joint,
        layers=check_layers(assembly.layers, depth=make.depth, name=assembly.name),
        note=assembly.note,
        lacks=make.lacks,
    )


def _machine(device: torch.device) -> dict[str, Any]:
    """The libraries and the device, as they are recorded."""
    import open_clip  # here, since it takes seconds

    return {
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
        "Pillow": PIL.__version__,
        "device": name_device(device),
    }
