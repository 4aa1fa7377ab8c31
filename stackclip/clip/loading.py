"""From a backbone's name to a tower: one that is registered, or a model that open_clip lists."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, Unpack

from stackclip.clip.architecture import check_architecture, find_architecture, largest_file
from stackclip.clip.assembly import assemble_tower, name_activation
from stackclip.clip.catalogue import published
from stackclip.clip.hub import fetch_weights
from stackclip.clip.positions import DEFAULT_POSITIONS, check_positions
from stackclip.clip.recipe import Activation, Precision, TowerOptions, TowerRecipe
from stackclip.clip.tower import Tower
from stackclip.clip.weights import read_weights
from stackclip.errors import BrokenPlugin, UsageError, WeightsError
from stackclip.registry import Spec, backbones, did_you_mean
from stackclip.sizes import Side

__all__ = [
    "Backbone",
    "is_ambiguous",
    "known_normalisation",
    "known_tag",
    "listed_name",
    "load_tower",
    "native_activation",
]

logger = logging.getLogger(__name__)


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
        self, *, image_size: Side | None, layers: tuple[int, ...] | None, device: str, precision: Precision
    ) -> Tower:
        """The tower; None stands for its own picture size and for the quarters of its depth.

        `image_size` is the side of a square, else a `Size`: who hands it on to `assemble_tower` need not look.

        An argument `position_embedding` may be there too, for backbones that hand it on to `assemble_tower`.
        """
        ...


def load_tower(name: str | TowerRecipe, **options: Unpack[TowerOptions]) -> Tower:
    """The tower of that name: a registered backbone (`random-vit-8[seed=1]`), else a ViT that open_clip lists.

    `pretrained` is a tag of open_clip; its weights come from the local cache or the network. `weights` is a file, and
    nothing is downloaded; a tag beside it says which weights the file holds, and so their activation and
    normalisation. `picture_range` is black and white of pictures of more than 8 bits. The other options are those of
    `Build`: `image_size`, `layers`, `activation`, `position_embedding`,
    `device` and `precision`. They are keyword arguments because a caller gives one or two of them; where all travel
    on, they are a `TowerRecipe`, which may stand here in place of the name.

    Raises UsageError for a name, tag or value that is not known, WeightsError for weights that are missing, not to be
    had or of another architecture.
    """
    recipe = replace(name, **options) if isinstance(name, TowerRecipe) else TowerRecipe(name, **options)
    spec = Spec.parse(recipe.backbone)
    tower = _load_registered(spec, recipe) if spec.name in backbones else _load_listed(spec, recipe)
    return tower if recipe.picture_range == "auto" else tower.with_range(recipe.picture_range)


def _load_listed(spec: Spec, recipe: TowerRecipe) -> Tower:
    """A model of open_clip's list, with published weights or those of a file."""
    model = listed_name(spec)
    config = find_architecture(model, also=backbones.names())
    check_architecture(config, name=model)
    if spec.options:
        raise UsageError(
            f"{model} takes no options in brackets, found {spec}: give --pretrained, --weights, --image-size"
        )
    tag = known_tag(model, recipe.pretrained)
    weights = recipe.weights or _published_weights(model, tag)
    native = recipe.activation == "native"
    activation = native_activation(model, config, tag) if native else recipe.activation
    return assemble_tower(
        config,
        read_weights(weights, largest=largest_file(config), of=f"weights of {model}"),
        name=model,
        normalisation=known_normalisation(model, tag),
        source=str(weights),
        recorded={"pretrained": tag, "weights_file": weights.name},
        **replace(recipe, activation=activation).build,
    )


def known_normalisation(model: str, tag: str | None) -> dict[str, Any]:
    """How pictures are normalised for the weights of a tag; for a file, as all published weights have in common."""
    known = published(model)
    said = [known[tag]] if tag else list(known.values())
    keys = [key for key in ("mean", "std", "interpolation") if said and all(key in each for each in said)]
    return {key: said[0][key] for key in keys if all(each[key] == said[0][key] for each in said)}


def _published_weights(model: str, tag: str | None) -> Path:
    if tag is None:
        raise WeightsError(f"{model} was named without weights: give {_tags_offered(model)}--weights FILE")
    return fetch_weights(model, tag)


def _load_registered(spec: Spec, recipe: TowerRecipe) -> Tower:
    native = recipe.activation == "native"
    unwanted = {"--pretrained": recipe.pretrained, "--weights": recipe.weights, "activation": not native}
    flags = [flag for flag, value in unwanted.items() if value]
    if flags:
        raise UsageError(
            f"{spec} brings its own weights and activation, found {' and '.join(flags)}: name the model with --backbone"
        )
    backbone: Any = backbones.create(spec)
    positions = recipe.position_embedding
    check_positions(positions)
    ways: dict[str, Any] = {"position_embedding": positions} if positions != DEFAULT_POSITIONS else {}
    with backbones.find(spec.name).guard_foreign("cannot be loaded"):
        if ways and "position_embedding" not in signature(backbone.load).parameters:
            raise UsageError(f"{spec} resizes its position embeddings itself: leave out --position-embedding")
        sizes = {"image_size": recipe.image_size, "layers": recipe.layers}
        tower = backbone.load(**sizes, device=recipe.device, precision=recipe.precision, **ways)
        if not isinstance(tower, Tower):
            raise BrokenPlugin(f"{backbones.find(spec.name)} cannot be loaded: wanted a tower, found {type(tower)}")
        return tower


def listed_name(spec: Spec) -> str:
    """A model as open_clip's list has it, which may be typed as its papers do: `ViT-L/14`."""
    return spec.name.replace("/", "-")


def known_tag(model: str, pretrained: str | None) -> str | None:
    """The tag as open_clip writes it, or None for none. Raises UsageError for one that the model does not have."""
    if pretrained is None:
        return None
    tags = published(model)
    tag = pretrained.lower().replace("-", "_")
    if tag in tags:
        return tag
    if not tags:
        raise UsageError(f"no weights are listed for {model}, found --pretrained {pretrained}: give --weights FILE")
    raise UsageError(
        f"{model} has no weights named {pretrained!r}{did_you_mean(tag, tags)}; listed are {', '.join(tags)}"
    )


def _tags_offered(model: str) -> str:
    tags = list(published(model))
    first = ", ".join(tags[:4]) + (f" and {len(tags) - 4} more" if len(tags) > 4 else "")
    return f"--pretrained TAG ({first}) or " if tags else ""


def native_activation(model: str, config: Mapping[str, Any], tag: str | None) -> Activation:
    """What the weights were trained with: the tag knows; of a file, what all weights of this model have in common.

    Where the published weights of a model differ, a file is taken to be as the model's configuration says, and the
    log tells so (decision 0003).
    """
    known = published(model)
    if tag is not None:
        return name_activation(_is_quick_gelu(known[tag]))
    own = bool(config.get("quick_gelu"))
    if is_ambiguous(model, config):
        logger.warning(
            "weights of %s are published with GELU and with QuickGELU, and a file does not say which it needs: taking "
            "GELU; if it holds OpenAI's, add --pretrained openai or name %s-quickgelu",
            model,
            model,
        )
    return name_activation(own or set(map(_is_quick_gelu, known.values())) == {True})


_native_activation = native_activation  # as programs of others have known it


def is_ambiguous(model: str, config: Mapping[str, Any]) -> bool:
    """Whether a file of weights without a tag may have been trained with either activation."""
    return not config.get("quick_gelu") and len(set(map(_is_quick_gelu, published(model).values()))) == 2


def _is_quick_gelu(published: Mapping[str, Any]) -> bool:
    return bool(published.get("quick_gelu"))
