"""What `stackclip.clip` offers; it brings torch and open_clip."""

from stackclip.clip.assembly import assemble_tower
from stackclip.clip.backbones import BackboneFacts, describe_backbones
from stackclip.clip.containers import LARGEST_HEAD, check_file, finite_floats, read_tensors
from stackclip.clip.device import flush_denormals, plain_attention
from stackclip.clip.doubles import random_tower
from stackclip.clip.hub import fetch_weights
from stackclip.clip.image import ImageTower
from stackclip.clip.loading import Backbone, load_tower
from stackclip.clip.published import WeightsFacts, cached_names, describe_weights, named_weights
from stackclip.clip.recipe import TowerRecipe
from stackclip.clip.tap import Tap
from stackclip.clip.text import TextEncoder, TextMemory
from stackclip.clip.tower import Tower
from stackclip.clip.transform import ImageTransform
from stackclip.clip.weights import read_weights

__all__ = [
    "LARGEST_HEAD",
    "Backbone",
    "BackboneFacts",
    "ImageTower",
    "ImageTransform",
    "Tap",
    "TextEncoder",
    "TextMemory",
    "Tower",
    "TowerRecipe",
    "WeightsFacts",
    "assemble_tower",
    "cached_names",
    "check_file",
    "describe_backbones",
    "describe_weights",
    "fetch_weights",
    "finite_floats",
    "flush_denormals",
    "load_tower",
    "named_weights",
    "plain_attention",
    "random_tower",
    "read_tensors",
    "read_weights",
]
