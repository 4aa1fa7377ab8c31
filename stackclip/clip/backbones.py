"""What backbones there are, which of them can be used and whose weights lie in the local cache."""

from __future__ import annotations

from dataclasses import dataclass

from stackclip.clip.architecture import why_not
from stackclip.clip.catalogue import config_of, listed_models, published, without_text
from stackclip.clip.hub import cached_weights
from stackclip.registry import backbones

__all__ = ["BackboneFacts", "describe_backbones"]


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """One backbone: where it comes from, the tags of its published weights, and those among them that lie here.

    `why_not` is empty for a backbone that can be used; a registered one needs no weights from outside.
    """

    name: str
    origin: str
    tags: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    why_not: str = ""


def describe_backbones() -> tuple[BackboneFacts, ...]:
    """The registered backbones, then every model that is listed; the network is not asked and nothing is loaded."""
    registered = [BackboneFacts(name, "registered") for name in backbones.names()]
    listed = []
    for name in listed_models():
        tags = tuple(published(name))
        reason = why_not(config_of(name) or {})
        cached = () if reason else tuple(tag for tag in tags if cached_weights(name, tag) is not None)
        listed.append(BackboneFacts(name, "timm" if without_text(name) else "open_clip", tags, cached, reason))
    return (*registered, *listed)
