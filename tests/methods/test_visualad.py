"""VisualAD against outputs of its released code on small random towers, from its tokens to the maps behind six steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import task_of
from stackclip.methods import Moment, resolve
from stackclip.methods.visualad import START
from stackclip.ops.losses import dice_loss, focal_loss
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Sample

TAPS = (6, 12, 18, 24)
SIDES = {NORMAL: "normal", ANOMALOUS: "anomaly"}
TOKENS = {f"tokens.each.{side}": f"{theirs}_token" for side, theirs in SIDES.items()}
RATES = {"tokens": 1e-3, "rest": 1e-4}


def released_names() -> dict[str, str]:
    """The array of each of our weights."""
    found = {**TOKENS, "norm.weight": "ln_post.weight", "norm.bias": "ln_post.bias"}
    attention = {
        **{f"{ours}.weight": f"{theirs}_proj.weight" for ours, theirs in zip(("query", "key", "value"), "qkv")},
        **{f"{ours}_norm.{kind}": f"{ours[0]}_norm.{kind}" for ours in ("query", "key") for kind in ("weight", "bias")},
        **{f"gate.{kind}": f"gate.0.{kind}" for kind in ("weight", "bias")},
        **{f"out.{kind}": f"out_proj.{kind}" for kind in ("weight", "bias")},
        "anchors": "anchor_queries",
        "positions": "pos_encoding",
        "share": "res_scale",
    }
    for index, tap in enumerate(TAPS):
        theirs = f"sca.layer_attentions.layer_{tap}"
        found |= {f"attention.{index}.{ours}": f"{theirs}.{name}" for ours, name in attention.items()}
        for ours, place in (("inner", 0), ("outer", 3)):
            for kind in ("weight", "bias"):
                found[f"alignment.{index}.{ours}.{kind}"] = f"saf.layer_{tap}.mlp.{place}.{kind}"
    return found


NAMES = released_names()
