"""The ways through a tower: against the released code, the formulas in float64 and plain attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor

from stackclip.clip import random_tower
from stackclip.clip.sight import Route
from stackclip.errors import NotApplicable
from stackclip.ops.windows import window_patches
from stackclip.types import CLS, Part, patch

Case = Callable[[str], Any]
EVERY = tuple(
    Part.parse(text)
    for text in (
        *("cls", "patch/3", "cls/3", "patch/8", "cls/8", "vv-stage/2", "vv-stage/8", "vv-last6/8"),
        *(
            "vv-from6/7",
            "joint/5",
            "joint/8",
            "cls-bare",
            "cls-released/4",
            "patch-released/4",
            "window/2",
            "window/3",
            "crop/10",
        ),
    )
)


@pytest.mark.parametrize("case", ["clipad_t12s_112_gelu", "clipad_t12m_112_gelu", "clipad_t12m_160_gelu"])
def test_stages_and_taps_are_those_of_clip_ad_clean_and_as_released(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower()
    parts = [Part(kind, n) for kind in ("vv-stage", "cls", "patch") for n in (3, 6, 9, 12)]
    parts += [Part(kind, n) for kind in ("cls-released", "patch-released") for n in (3, 6, 9)]
    found = tower.encode(released.images, parts)
    for layer in (3, 6, 9, 12):
        for kind, prefix in (("cls", "clean"), ("cls-released" if layer < 12 else "cls", "rel")):
            np.testing.assert_allclose(found[Part(kind, layer)], stored[f"{prefix}_vv_proj{layer}"][:, 0], atol=1e-4)
            np.testing.assert_allclose(
                found[Part("vv-stage", layer)], stored[f"{prefix}_vv_proj{layer}"][:, 1:], atol=1e-4
            )
            tap = Part(kind.replace("cls", "patch"), layer)
            np.testing.assert_allclose(found[tap], stored[f"{prefix}_ori{layer}"][:, 1:], atol=1e-4)


@pytest.mark.parametrize("case", ["clip_surgery_t12s_112", "clip_surgery_t12m_160"])
def test_the_last_six_blocks_are_those_of_clip_surgery(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower("bilinear")
    last = Part("vv-last6", 12)
    np.testing.assert_allclose(tower.encode(released.images, [last])[last], stored["out_lnpost_proj"][:, 1:], atol=1e-4)


@pytest.mark.parametrize("case", ["anomalyclip_t24s_112", "anomalyclip_t24m_112", "anomalyclip_t24s_160"])
def test_the_path_from_block_six_is_that_of_anomalyclip(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower("bilinear")
    parts = [Part("vv-from6", layer) for layer in (6, 12, 18, 24)]
    found = tower.encode(released.images, parts)
    for part in parts:
        np.testing.assert_allclose(found[part], stored[f"vv_tap{part.index}_lnpost_proj"][:, 1:], atol=1e-4)


@pytest.mark.parametrize("case", ["anomalyclip_t24s_112", "anomalyclip_t24m_112", "anomalyclip_t24s_160"])
def test_patches_of_the_plain_path_are_projected_like_the_class_token(golden: Case, case: str) -> None:
    released = golden(case)
    parts = [Part("joint", layer) for layer in (6, 12, 18, 24)]
    found = released.tower("bilinear").encode(released.images, parts)
    for part in parts:
        stored = released.stored[f"plain_tap{part.index}_lnpost_proj"]
        np.testing.assert_allclose(found[part], stored[:, 1:], atol=1e-4)


@pytest.mark.parametrize("case", ["t12s_112", "t12m_112", "t12m_160"])
def test_windows_are_those_of_winclip(golden: Case, case: str) -> None:
    released = golden(f"winclip_accurate_{case}")
    stored, tower = released.stored, released.tower()
    windows = [Part("window", 2), Part("window", 3)]
    found = tower.encode(released.images, windows)
    for part in windows:
        side = part.index
        np.testing.assert_allclose(found[part], stored[f"win{side}_cls"], atol=1e-4)
        np.testing.assert_array_equal(window_patches(tower.spec.grid, side).T + 1, stored[f"mask{side}_1based"])


def test_every_part_has_the_shape_that_the_tower_promises() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for part, found in tower.encode(pictures, EVERY).items():
        assert found.shape == (2, *tower.spec.shape(part)), part


def test_a_part_is_the_same_to_the_bit_alone_together_and_in_any_batch() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    together = tower.encode(pictures, EVERY)
    for part in EVERY:
        assert torch.equal(tower.encode(pictures[1:2], [part])[part], together[part][1:2]), part


def test_v_v_tokens_are_the_formula_in_float64() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = tower.encode(pictures, [Part("vv-stage", 8), Part("vv-last6", 7), Part("vv-from6", 8)])
    visual: Any = random_tower(image_size=32).model.visual.double()
    hidden = [visual._embeds(pictures.double())]
    for block in visual.transformer.resblocks:
        hidden.append(block(hidden[-1]))
    mixed = [by_value(block, before) for block, before in zip(visual.transformer.resblocks, hidden, strict=False)]
    for part, expected in {
        Part("vv-stage", 8): mixed[6] + mixed[7],
        Part("vv-last6", 7): hidden[2] + sum(mixed[2:7]),
        Part("vv-from6", 8): hidden[5] + sum(mixed[5:8]),
    }.items():
        joint = (visual.ln_post(expected[:, 1:]) @ visual.proj).detach().float()
        torch.testing.assert_close(found[part], joint, atol=2e-5, rtol=1e-5)


def by_value(block: Any, hidden: Tensor) -> Tensor:
    """proj(softmax(V V^T / sqrt(d)) V), one head after the other."""
    attention = block.attn
    width = attention.embed_dim
    values = block.ln_1(hidden) @ attention.in_proj_weight[2 * width :].T + attention.in_proj_bias[2 * width :]
    heads = []
    for value in values.chunk(attention.num_heads, dim=-1):
        weights = torch.softmax(value @ value.mT / value.shape[-1] ** 0.5, dim=-1)
        heads.append(weights @ value)
    result: Tensor = attention.out_proj(torch.cat(heads, dim=-1))
    return result


def test_where_queries_keys_and_values_are_equal_v_v_attention_is_plain_attention() -> None:
    tower = random_tower(image_size=32)
    visual: Any = tower.model.visual
    for block in visual.transformer.resblocks:
        width = block.attn.embed_dim
        with torch.no_grad():
            for third in (0, width):
                block.attn.in_proj_weight[third : third + width] = block.attn.in_proj_weight[2 * width :]
    pictures = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = visual._embeds(pictures)
        for block in visual.transformer.resblocks[:7]:
            before = block(before)
        block = visual.transformer.resblocks[7]
        before, after = before, before + block.attention(block.ln_1(before))
        released_tap = tower.encode(pictures, [Part("patch-released", 7)])[Part("patch-released", 7)]
        torch.testing.assert_close(released_tap, after[:, 1:])
        values = tower.encode(pictures, [Part("vv-from6", 6), patch(5)])
        blocks = visual.transformer.resblocks
        start = visual._embeds(pictures)
        for block in blocks[:5]:
            start = block(start)
        plain = start + blocks[5].attention(blocks[5].ln_1(start))
        joint = visual.ln_post(plain[:, 1:]) @ visual.proj
    torch.testing.assert_close(values[Part("vv-from6", 6)], joint, atol=1e-5, rtol=1e-5)


def test_a_window_that_covers_everything_is_the_class_token() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = tower.encode(pictures, [CLS, Part("window", 4)])
    torch.testing.assert_close(found[Part("window", 4)][:, 0], found[CLS], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text", ["vv-stage/3", "vv-last6/2", "vv-from6/5", "window/1", "window/5", "patch-released/8"])
def test_a_part_that_the_tower_lacks_is_named(text: str) -> None:
    with pytest.raises(NotApplicable, match=f"no part {text}"):
        random_tower(image_size=32).encode(torch.zeros(1, 3, 32, 32), [Part.parse(text)])


def test_a_residual_network_has_no_such_ways() -> None:
    visual = open_clip.model.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
        text_cfg={"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
    ).visual
    with pytest.raises(NotApplicable, match="plain attention blocks"):
        Route(random_tower(image_size=32).spec, [Part("window", 2)]).run(visual, torch.zeros(1, 3, 32, 32))
