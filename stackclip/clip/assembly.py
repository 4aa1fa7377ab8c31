"""From a configuration and weights to a tower; without weights there is no tower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Required, Unpack

import PIL
import torch
from torch import Tensor, nn

from stackclip.clip.architecture import architecture_hash, build_model, check_architecture, check_layers, check_size
from stackclip.clip.device import choose_device, choose_precision, name_device
from stackclip.clip.positions import check_positions
from stackclip.clip.recipe import Build, BuildOptions
from stackclip.clip.tower import BuiltTower, Tower, TowerFacts
from stackclip.clip.transform import ImageTransform
from stackclip.clip.transformer import TextTransformer
from stackclip.clip.weights import GRID, align_weights, place_weights, weights_hash
from stackclip.errors import UsageError
from stackclip.ops.once import Once
from stackclip.types import TowerSpec

__all__ = ["Assembly", "AssemblyOptions", "assemble_tower", "name_activation"]


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
    side = check_size(config, assembly.image_size, name=assembly.name)
    device = choose_device(assembly.device)
    precision = choose_precision(assembly.precision, device)
    model = build_model(config, image_size=side, quick_gelu=quick_gelu)
    aligned = align_weights(model, weights, architecture=assembly.name, source=assembly.source or assembly.name)
    place_weights(model, aligned, positions=assembly.position_embedding)
    spec = _spec_of(model, side, assembly)
    _restore_causal_mask(model)
    tokenizer = _tokenizer(str((config["text_cfg"].get("tokenizer_kwargs") or {}).get("clean", "lower")))
    model = model.to(device)
    text = TextTransformer(model, tokenizer, name=spec.name, joint=spec.joint, device=device)
    facts = TowerFacts(
        spec=spec,
        transform=ImageTransform(side, **(assembly.normalisation or {})),
        architecture=architecture_hash(config),
        weights=weights_hash(aligned),
        activation=name_activation(quick_gelu),
        position_embedding=assembly.position_embedding,
        precision=precision,
        context_length=text.context_length,
        recorded={
            **_machine(device),
            "positions_resized": len(aligned[GRID]) - 1 != spec.grid**2,
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


def _spec_of(model: nn.Module, side: int, assembly: Assembly) -> TowerSpec:
    visual: Any = model.visual
    depth = len(visual.transformer.resblocks)
    return TowerSpec(
        name=assembly.name,
        image_size=side,
        grid=visual.grid_size[0],
        depth=depth,
        width=visual.transformer.width,
        joint=visual.output_dim,
        layers=check_layers(assembly.layers, depth=depth, name=assembly.name),
        note=assembly.note,
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


@cache
def _tokenizer(clean: str) -> Any:
    """open_clip's own byte-pair tokenizer; reading its merges takes longer than building a small tower."""
    import open_clip  # here, since it takes seconds

    return open_clip.SimpleTokenizer(clean=clean)


def _restore_causal_mask(model: nn.Module) -> None:
    """Give the text tower the mask that it could not build without values: no token sees a later one."""
    text: Any = getattr(model, "text", model)
    length = text.positional_embedding.shape[0]
    text.attn_mask = torch.full((length, length), float("-inf")).triu_(1)
