"""Heads: what is trained on cached patch tokens so that they can be compared with text."""

from stackclip.heads.deep import DeepProjections
from stackclip.heads.files import TrainedHead, load_head, save_head
from stackclip.heads.projections import Efa, Head, HeadRecipe, Linear, Projections
from stackclip.heads.queues import SetQueues

__all__ = [
    "DeepProjections",
    "Efa",
    "Head",
    "HeadRecipe",
    "Linear",
    "Projections",
    "SetQueues",
    "TrainedHead",
    "load_head",
    "save_head",
]
