"""What is known of published weights without loading them: how large, whose, for which pictures, and whether here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stackclip.clip.architecture import check_architecture, find_architecture, why_not
from stackclip.clip.assembly import own_sizes
from stackclip.clip.backbones import describe_backbones
from stackclip.clip.catalogue import config_of, listed_models, published
from stackclip.clip.hub import cached_weights, hub_place, read_card, unfinished_bytes
from stackclip.clip.loading import known_normalisation, known_tag, native_activation
from stackclip.clip.transform import ImageTransform
from stackclip.errors import UsageError
from stackclip.ops.words import few_of
from stackclip.registry import backbones, did_you_mean

__all__ = ["WeightsFacts", "cached_names", "describe_weights", "named_weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFacts:
    """One tag of one model of open_clip.

    `repository` is where the hub has it, `file` where it lies here (None: not here), `licence` what its model card
    says, empty where that is not here or says nothing. `unfinished` are bytes of downloads that did not end.
    """

    model: str
    tag: str
    repository: str
    parameters: int
    file: Path | None
    licence: str
    transform: ImageTransform
    activation: Literal["gelu", "quick-gelu"]
    unfinished: int

    @property
    def size(self) -> int:
        """The bytes of the file; of one that is not here those that its parameters take as float32."""
        return 4 * self.parameters if self.file is None else self.file.stat().st_size


def named_weights(text: str) -> tuple[tuple[str, str], ...]:
    """The models and tags that a text names: `MODEL:TAG`, a model for all its tags, or a tag for all its models.

    A model may be written as its papers do, `ViT-L/14`. Raises UsageError for what names none, with the nearest names,
    and for a model that cannot be used.
    """
    words, _, tag = text.partition(":")
    model = words.replace("/", "-")
    if tag or model in listed_models():
        check_architecture(find_architecture(model, also=backbones.names()), name=model)
        return _tags(model, tag)
    wanted = text.lower().replace("-", "_")
    usable = [(name, known) for name in listed_models() if _is_usable(name) for known in published(name)]
    named = tuple((name, known) for name, known in usable if known == wanted)
    if not named:
        near = did_you_mean(text, {word for pair in usable for word in pair})
        raise UsageError(f"no weights of a tower that can be used are named {text!r}{near}; wanted MODEL:TAG")
    return named


def describe_weights(model: str, tag: str) -> WeightsFacts:
    """What is known of the weights of a tag; the network is not asked and nothing is loaded.

    Raises UsageError for a model or tag that is not known or cannot be used.
    """
    config = find_architecture(model, also=backbones.names())
    check_architecture(config, name=model)
    known = known_tag(model, tag) or tag
    card = read_card(model, known)
    side, parameters = own_sizes(config, name=model)
    activation = native_activation(model, config, known)
    return WeightsFacts(
        model=model,
        tag=known,
        repository=hub_place(model, known)[0],
        parameters=parameters,
        file=cached_weights(model, known),
        licence=str(card.get("license_name") or card.get("license") or ""),
        transform=ImageTransform(side, **known_normalisation(model, known)),
        activation="quick-gelu" if activation == "quick-gelu" else "gelu",
        unfinished=unfinished_bytes(model, known),
    )


def cached_names() -> tuple[tuple[str, str], ...]:
    """The models and tags whose weights lie in the hub's local cache."""
    return tuple((each.name, tag) for each in describe_backbones() for tag in each.cached)


def _tags(model: str, tag: str) -> tuple[tuple[str, str], ...]:
    """One tag of a model, or all of them. Raises UsageError where it has none."""
    if known := known_tag(model, tag or None):
        return ((model, known),)
    tags = published(model)
    if not tags:
        others = few_of(name for name in listed_models() if published(name))
        raise UsageError(f"no weights are listed for {model}; it does for {others}: give --weights FILE")
    return tuple((model, each) for each in tags)


def _is_usable(model: str) -> bool:
    config = config_of(model)
    return config is not None and not why_not(config)
