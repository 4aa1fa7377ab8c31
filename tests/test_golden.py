"""Golden arrays of the towers, prompts and zero-shot maps: each is compared (and each 2 % off is found out)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stackclip.ops.maps import anomaly_logits, unit
from stackclip.registry import selectors
from stackclip.types import ANOMALOUS, CLS, NORMAL, Part, patch

Found = Mapping[str, Tensor]


def phrases(case: Any, tower: Any) -> list[Tensor]:
    """Raw text features (N, D) of the stored tokens of the released prompts, for each side."""
    return [
        tower.text.encode_tokens(torch.from_numpy(case.stored.given(f"ens_tokens_{side}")).long())
        for side in ("normal", "abnormal")
    ]


def april_gan(case: Any) -> Found:
    tower = case.tower()
    parts = tower.encode(case.images, [CLS, *tower.spec.taps])
    shots = tower.encode(case.shots, tower.spec.taps)
    found = {f"tap{n}": parts[patch(n)] for n in tower.spec.layers}
    found |= {f"shot_tap{n}": shots[patch(n)] for n in tower.spec.layers}
    cls, anchors = parts[CLS], case.anchors[0]
    found |= {"cls": cls, "prob_cls_c0": (100 * unit(cls) @ anchors.mT).softmax(1)}
    found |= {"pos_embed_used": tower.model.visual.positional_embedding}
    found |= {"text_features_tokens": tower.text.encode_tokens(case.tokens)}
    found |= {"ens_text": torch.stack(list(map(selectors.create("mean-of-unit"), phrases(case, tower))), dim=1)}
    maps = []
    for index, layer in enumerate(tower.spec.layers):
        weight, bias = (
            torch.from_numpy(case.stored.given(f"head.fc.{index}.{kind}")).float() for kind in ("weight", "bias")
        )
        tokens = F.linear(parts[patch(layer)], weight, bias)
        maps.append(torch.sigmoid(anomaly_logits(tokens, anchors.expand(3, -1, -1), tower.spec.image_size)))
        found |= {f"head_out{index}": tokens, f"logits{index}_c0": 100 * unit(tokens) @ anchors.mT}
        found |= {f"map{index}_c0": maps[-1][:, ::4, ::4]}
    total = torch.stack(maps).sum(0)
    return found | {"map_sum_c0": total[:, ::4, ::4], "e2e_zero_shot_maps_full0": total[0]}


def win_clip(case: Any) -> Found:
    tower = case.tower()
    windows = [Part("window", side) for side in (2, 3)]
    parts = tower.encode(case.images, [CLS, *windows, patch(12)])
    sides = [features.mean(0) for features in phrases(case, tower)]
    for features, mean in zip(phrases(case, tower), sides, strict=True):  # the release makes it a unit later
        torch.testing.assert_close(selectors.create("mean")(features), unit(mean))
    anchors = case.anchors[0]
    scores = (unit(parts[CLS]) @ anchors.mT / 0.07).softmax(1)[:, ANOMALOUS]
    return {
        "cls": parts[CLS],
        "win2_cls": parts[windows[0]],
        "win3_cls": parts[windows[1]],
        "patch_tokens_raw_after_last_block": parts[patch(12)],
        "ens_text_mean_normal": sides[NORMAL],
        "ens_text_mean_abnormal": sides[ANOMALOUS],
        "zs_score_cls": scores,
        "e2e_k0_scores": scores,
    }


def anomaly_clip(case: Any) -> Found:
    tower, layers = case.tower("bilinear"), (6, 12, 18, 24)
    vv, plain = ({n: Part(kind, n) for n in layers} for kind in ("vv-from6", "joint"))
    parts = tower.encode(case.images, [*vv.values(), *plain.values(), Part("cls-bare")])
    found = {f"vv_tap{n}_lnpost_proj": parts[vv[n]] for n in layers}
    found |= {f"plain_tap{n}_lnpost_proj": parts[plain[n]] for n in layers}
    return found | {"cls_noln": parts[Part("cls-bare")], "pos_embed_used": tower.model.visual.positional_embedding}


REGISTER: dict[str, Callable[[Any], Found]] = {
    **dict.fromkeys(
        (
            f"aprilgan_{name}"
            for name in ("t12m_112_quick_gelu", "t12m_160_gelu", "t12s_112_gelu", "t12s_160_quick_gelu")
        ),
        april_gan,
    ),
    **dict.fromkeys((f"winclip_accurate_{name}" for name in ("t12s_112", "t12m_112", "t12m_160")), win_clip),
    **dict.fromkeys((f"anomalyclip_{name}" for name in ("t24s_112", "t24m_112", "t24s_160")), anomaly_clip),
}


def agree(found: NDArray[Any], stored: NDArray[Any]) -> bool:
    """Agreement to 1e-3 where numbers are of the size of 1, and never coarser than 1 % of the largest."""
    return bool(np.abs(found - stored).max() <= min(1e-3, np.abs(stored).max() / 100))


@pytest.mark.parametrize("name", REGISTER)
def test_every_array_is_the_released_one(golden: Callable[[str], Any], name: str) -> None:
    case, wrong = golden(name), []
    for array, tensor in REGISTER[name](case).items():
        found, stored = tensor.detach().double().numpy(), case.stored[array].astype(np.float64)
        if stored.shape != found.shape:
            stored = stored[:, 1:]  # tokens are stored with the class token in front of the patches
        if not agree(found, stored):
            wrong.append(array)
    assert wrong == []
