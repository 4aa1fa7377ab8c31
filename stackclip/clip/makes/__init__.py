"""The makes of image towers, behind one face: what they are made of, their blocks, and how they read a picture."""

from __future__ import annotations

from typing import Any

from stackclip.clip.makes.make import Make
from stackclip.clip.makes.resnet import OpenResNet, make_room
from stackclip.clip.makes.timm import Timm, fill_buffers, resize_to, timm_sizes
from stackclip.clip.makes.vit import OpenViT
from stackclip.errors import NotApplicable

__all__ = ["Make", "fill_buffers", "make_of", "make_room", "resize_to", "timm_sizes"]


def make_of(visual: Any) -> Make:
    """The make of an image tower of open_clip. Raises NotApplicable for one of no make that is known."""
    for sign, make in (("trunk", Timm), ("attnpool", OpenResNet), ("transformer", OpenViT)):
        if hasattr(visual, sign):
            return make(visual)
    raise NotApplicable(f"{type(visual).__name__} is an image tower of no make that is known here")
