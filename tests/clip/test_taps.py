"""The ways through a tower: against the released code, the formulas in float64 and plain attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import Tower, random_tower
from stackclip.clip.attention import attend, attend_near, nearness, projected
from stackclip.clip.sight import Route
from stackclip.errors import NotApplicable, UsageError
from stackclip.ops.windows import window_patches
from stackclip.registry import taps
from stackclip.types import CLS, OPEN_BLOCKS, Part, patch

Case = Callable[[str], Any]
EVERY = tuple(
    Part.parse(text)
    for text in (
        *("cls", "patch/3", "cls/3", "patch/8", "cls/8", "vv-stage/2", "vv-stage/8", "vv-last6/8", "vv-from6/7"),
        *("joint/5", "joint/8", "cls-bare", "cls-released/4", "patch-released/4", "window/2", "window/3", "crop/10"),
        *(
            "hidden/0",
            "hidden/1",
            "hidden/8",
            "near/8",
            "near-joint/7",
            "near-std2/8",
            "near-joint-std2/8",
            "surgery/6",
            "surgery/8",
        ),
        *("vv-from1/8", "vv-from2/8", "vv-from2/5", "vv-from8/8"),
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


@pytest.mark.parametrize("case", ["afclip_t24s_112", "afclip_t24m_160"])
def test_all_tokens_behind_a_block_are_those_of_af_clip(golden: Case, case: str) -> None:
    released = golden(case)
    part = Part("hidden", 24)
    found = released.tower("bilinear").encode(released.images, [part])[part]
    np.testing.assert_allclose(found, released.stored["tap24"], atol=1e-4)


@pytest.mark.parametrize("case", ["aaclip_t24m_112", "aaclip_t24s_160"])
def test_surgery_inside_the_tower_is_that_of_aa_clip_over_tokens(golden: Case, case: str) -> None:
    released = golden(case)
    tower, layers = released.tower(), (6, 12, 18, 24)
    found = tower.encode(released.images, [Part("surgery", layer) for layer in layers])
    hidden = tower.encode(released.images, [Part("hidden", layer) for layer in layers])
    for layer in layers:
        np.testing.assert_allclose(hidden[Part("hidden", layer)], released.stored[f"tap{layer}"], atol=1e-4)
        tokens = torch.from_numpy(released.stored[f"surgery_tokenaxis_tap{layer}"]).float()
        np.testing.assert_allclose(found[Part("surgery", layer)], tower.image.project(tokens[:, 1:]), atol=1e-4)


@pytest.mark.parametrize("case", ["mrad_t24s_112", "mrad_t24m_160"])
def test_the_raw_path_from_block_two_is_that_of_mrad(golden: Case, case: str) -> None:
    released = golden(case)
    tower, part, bare = released.tower("bilinear"), Part("vv-from2", 24), Part("cls-bare")
    found = tower.encode(released.images, [part, bare])
    np.testing.assert_allclose(found[bare], released.stored["cls_raw"], atol=1e-4)
    np.testing.assert_allclose(tower.image.norm(found[part]), released.stored["vv24_lnpost"], atol=1e-4)
    np.testing.assert_allclose(tower.image.project(found[part]), released.stored["vv24_proj"], atol=1e-4)


NACLIP = pytest.mark.parametrize("case", ["naclip_t12s_112", "naclip_t12m_160"])


@NACLIP
def test_neighbour_attention_is_that_of_naclip(golden: Case, case: str) -> None:
    released = golden(case)
    tower, spreads = released.tower("scale-factor"), {1: "near-joint-std1", 3: "near-joint-std3", 5: "near-joint"}
    plain = [Part("hidden", 11), Part("hidden", 12), CLS, Part("near-std3", 12), Part("near-joint-std5", 12)]
    found = tower.encode(released.images, [*(Part(kind, 12) for kind in spreads.values()), *plain])
    for spread, kind in spreads.items():
        stored = released.stored[
            "reduced_naclip_lnpost_proj" if spread == 5 else f"reduced_naclip_std{spread}_lnpost_proj"
        ]
        agree(found[Part(kind, 12)], stored[:, 1:])
    agree(found[Part("hidden", 11)], released.stored["tap11"])
    agree(tower.image.project(found[Part("hidden", 12)]), released.stored["plain_all_lnpost_proj"])
    agree(found[CLS], released.stored["cls"])
    torch.testing.assert_close(found[Part("near-joint-std5", 12)], found[Part("near-joint", 12)])
    torch.testing.assert_close(tower.image.project(found[Part("near-std3", 12)]), found[Part("near-joint-std3", 12)])
    if "pos_embed_interpolated" in released.stored:
        agree(tower.model.visual.positional_embedding, released.stored["pos_embed_interpolated"])


@NACLIP
def test_attention_taken_apart_gives_the_other_architectures_of_naclip(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower("scale-factor")
    before = tower.encode(released.images, [Part("hidden", 11)])[Part("hidden", 11)]
    block, grid = tower.model.visual.transformer.resblocks[11], (tower.spec.grid, tower.spec.grid)
    queries, keys, values = projected(block, block.ln_1(before), "qkv")
    agree(nearness(grid, 5), stored["gaussian_addition"])
    agree(tower.image.project(attend(block, keys, keys, values)), stored["reduced_kk_lnpost_proj"])
    near, twice = attend_near(block, before, grid, 5), both(block, queries, keys, values)
    for attended, name in ((near, "vanilla_naclip"), (twice, "vanilla_csa")):
        kept = before + attended
        agree(tower.image.project(kept + block.mlp(block.ln_2(kept))), stored[f"{name}_lnpost_proj"])


def both(block: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of queries to themselves plus that of keys: two softmaxes, whose sum meets the values (SCLIP)."""
    projection = block.attn.out_proj
    return attend(block, queries, queries, values) + attend(block, keys, keys, values) - projection.bias


@NACLIP
def test_neighbour_attention_of_a_picture_that_is_no_square_is_that_of_naclip(golden: Case, case: str) -> None:
    released = golden(case)
    visual = released.tower("scale-factor").model.visual
    pictures = torch.from_numpy(np.load(released.weights.parent / "inputs.npz")["images_160"]).float()[:, :, :112]
    own = torch.from_numpy(np.load(released.weights)["visual.positional_embedding"]).float()
    old = own[1:].T.reshape(1, -1, 7, 7)
    positions = F.interpolate(old, scale_factor=(7.1 / 7, 10.1 / 7), mode="bicubic").flatten(2)[0].T  # (70, C)
    patches = visual.conv1(pictures).flatten(2).mT + positions
    tokens = visual.ln_pre(torch.cat([(visual.class_embedding + own[0]).expand(3, 1, -1), patches], dim=1))
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    found = attend_near(visual.transformer.resblocks[-1], tokens, (7, 10), 5)
    agree(visual.ln_post(found) @ visual.proj, released.stored["rect_112x160_reduced_naclip_lnpost_proj"])


def agree(found: Tensor, stored: Any) -> None:
    """Agreement to 1e-4, and never coarser than 1 % of the largest."""
    np.testing.assert_allclose(found.detach(), stored, rtol=0, atol=min(1e-4, float(np.abs(stored).max()) / 100))


@pytest.mark.parametrize("case", ["cliplad_t24s_112", "cliplad_t24m_160"])
def test_the_fourth_tap_of_clip_lad_is_neighbour_attention_as_it_is(golden: Case, case: str) -> None:
    released = golden(case)
    tower, parts = released.tower(), (Part("near", 24), Part("near-joint", 24))
    found = tower.encode(torch.cat([released.images, released.shots]), parts)
    np.testing.assert_allclose(found[parts[0]], released.stored["tap24"][:, 1:], atol=1e-4)
    np.testing.assert_allclose(found[parts[1]], released.stored["near_tokens"], atol=1e-4)


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


def in_float64(pictures: Tensor) -> tuple[Any, list[Tensor]]:
    """The image tower in double precision, and all its tokens behind ln_pre and behind each block."""
    visual: Any = random_tower(image_size=32).model.visual.double()
    hidden = [visual._embeds(pictures.double())]
    for block in visual.transformer.resblocks:
        hidden.append(block(hidden[-1]))
    return visual, hidden


def test_v_v_tokens_are_the_formula_in_float64() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    visual, hidden = in_float64(pictures)
    mixed = [by_value(block, before) for block, before in zip(visual.transformer.resblocks, hidden, strict=False)]
    for part, expected in {
        Part("vv-stage", 8): mixed[6] + mixed[7],
        Part("vv-last6", 7): hidden[2] + sum(mixed[2:7]),
        Part("vv-from6", 8): hidden[5] + sum(mixed[5:8]),
    }.items():
        joint = (visual.ln_post(expected[:, 1:]) @ visual.proj).detach().float()
        torch.testing.assert_close(tower.encode(pictures, [part])[part], joint, atol=2e-5, rtol=1e-5)
    for part, expected in {
        Part("vv-from2", 8): hidden[1] + sum(mixed[1:8]),
        Part("vv-from1", 3): hidden[0] + sum(mixed[0:3]),
        Part("vv-from7", 7): hidden[6] + mixed[6],
    }.items():
        raw = expected[:, 1:].detach().float()
        torch.testing.assert_close(tower.encode(pictures, [part])[part], raw, atol=2e-5, rtol=1e-5)


def test_all_tokens_at_a_place_are_a_loop_over_the_blocks() -> None:
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = [Part("hidden", layer) for layer in range(9)]
    found = random_tower(image_size=32).encode(pictures, parts)
    for part, expected in zip(parts, in_float64(pictures)[1], strict=True):
        torch.testing.assert_close(found[part], expected.detach().float(), atol=2e-5, rtol=1e-5)


def test_surgery_is_a_tower_whose_blocks_from_the_sixth_attend_by_value() -> None:
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = [Part("surgery", layer) for layer in (6, 7, 8)]
    found = random_tower(image_size=32).encode(pictures, parts)
    visual, hidden = in_float64(pictures)
    tokens = hidden[5]
    for part in parts:
        block = visual.transformer.resblocks[part.index - 1]
        tokens = tokens + by_value(block, tokens)
        tokens = tokens + block.mlp(block.ln_2(tokens))
        joint = (visual.ln_post(tokens[:, 1:]) @ visual.proj).detach().float()
        torch.testing.assert_close(found[part], joint, atol=2e-5, rtol=1e-5)


def test_a_patch_attends_to_what_is_like_it_and_near_it() -> None:
    tower = random_tower(image_size=32)
    pictures = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = tower.encode(pictures, [Part("near", 7), Part("near-joint", 7)])
    visual, hidden = in_float64(pictures)
    block, grid = visual.transformer.resblocks[6], tower.spec.grid
    bias = torch.zeros(1 + grid**2, 1 + grid**2, dtype=torch.float64)
    for one in range(grid**2):
        for other in range(grid**2):
            square = (one // grid - other // grid) ** 2 + (one % grid - other % grid) ** 2
            bias[1 + one, 1 + other] = np.exp(-square / 50)
    bias[0, 0] = 1
    heads = []
    width, count = block.attn.embed_dim, block.attn.num_heads
    weight, offset = block.attn.in_proj_weight, block.attn.in_proj_bias
    _, keys, values = (block.ln_1(hidden[6]) @ weight.T + offset).split(width, dim=-1)
    for key, value in zip(keys.chunk(count, dim=-1), values.chunk(count, dim=-1), strict=True):
        heads.append(torch.softmax(key @ key.mT / key.shape[-1] ** 0.5 + bias, dim=-1) @ value)
    expected = block.attn.out_proj(torch.cat(heads, dim=-1))[:, 1:]
    torch.testing.assert_close(found[Part("near", 7)], expected.detach().float(), atol=2e-5, rtol=1e-5)
    joint = (visual.ln_post(expected) @ visual.proj).detach().float()
    torch.testing.assert_close(found[Part("near-joint", 7)], joint, atol=2e-5, rtol=1e-5)


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


LACKING = (
    *("vv-stage/3", "vv-stage/0", "vv-last6/2", "vv-from6/5", "window/1", "window/5", "patch-released/8", "hidden/9"),
    *("vv-from/8", "vv-from9/9", "vv-from5/4", "vv-from02/8", "surgery/5", "near/0", "patch2/3", "joint/9", "mask"),
    *("patch/3@upside-down", "patch/3@tile2x2-5", "patch/3@rot0", "cls~12345678"),
)


@pytest.mark.parametrize("text", LACKING)
def test_a_part_that_the_tower_lacks_is_named(text: str) -> None:
    part = Part.parse(text)
    with pytest.raises(NotApplicable, match=f"no part {part}: it gives cls, patch/1 to patch/8, .*hidden, .*vv-from, "):
        random_tower(image_size=32).encode(torch.zeros(1, 3, 32, 32), [part])


def test_a_view_is_not_read_from_prepared_pictures() -> None:
    with pytest.raises(UsageError, match="cls@rot90 cannot be read from prepared pictures"):
        random_tower(image_size=32).encode(torch.zeros(1, 3, 32, 32), [Part("cls", view="rot90")])


@pytest.mark.parametrize("asked", [(0,), (0, 1), (3,)])
def test_blocks_behind_the_last_place_that_is_looked_at_are_not_run(asked: tuple[int, ...]) -> None:
    tower, ran = random_tower(image_size=32), []
    for layer, block in enumerate(tower.model.visual.transformer.resblocks, start=1):
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    tower.encode(torch.zeros(1, 3, 32, 32), [Part("hidden", layer) for layer in asked])
    assert ran == list(range(1, max(asked) + 1))


def test_every_way_says_whose_it_is_and_is_found_by_its_own_name() -> None:
    assert {component.name for component in map(taps.find, taps.names())} >= {part.kind for part in EVERY} - {
        *("vv-from1", "vv-from2", "vv-from8", "near-std2", "near-joint-std2"),
    }
    for name in taps.names():
        assert taps.create(name).source, name


def test_a_way_that_wants_what_a_tower_lacks_is_refused_by_that() -> None:
    spec = replace(random_tower(image_size=32).spec, lacks=(OPEN_BLOCKS,))
    with pytest.raises(NotApplicable, match="has no part window/2: that wants open_clip's own attention blocks"):
        Route(spec, [Part("window", 2)])
    with pytest.raises(NotApplicable, match=r"with other indices crop, joint$"):
        spec.shape(Part("patch", 99))


def test_an_image_tower_of_no_known_make_is_refused() -> None:
    with pytest.raises(NotApplicable, match="Identity is an image tower of no make that is known here"):
        Route(random_tower(image_size=32).spec, [CLS]).run(torch.nn.Identity(), torch.zeros(1, 3, 32, 32))


@pytest.fixture(scope="module")
def oblong() -> Tower:
    """24 x 40 pixels: patches of 8 on 3 x 5."""
    return random_tower(image_size=(24, 40))


def pictures_of(tower: Tower) -> Tensor:
    return torch.randn(2, 3, *tower.spec.frame.size, generator=torch.Generator().manual_seed(5))


def test_every_way_gives_of_an_oblong_picture_what_it_says(oblong: Tower) -> None:
    names = "cls cls/3 cls-bare patch/8 joint/8 hidden/0 hidden/8 surgery/8 vv-from6/8 vv-stage/8 vv-last6/8 near/8"
    names += " near-joint/8 near-std3/8 near-joint-std3/8 patch-released/3 cls-released/3 window/2 window/3 crop/10"
    parts = [Part.parse(name) for name in names.split()]
    found = oblong.encode(pictures_of(oblong), parts)
    assert {part: tensor.shape[1:] for part, tensor in found.items()} == {p: oblong.spec.shape(p) for p in parts}
    assert oblong.spec.shape(patch(8)) == (15, 128)
    assert oblong.spec.shape(Part("window", 3)) == (3, 96)
    with pytest.raises(NotApplicable, match="no part window/4"):
        oblong.encode(pictures_of(oblong), [Part("window", 4)])


@torch.no_grad()
def test_a_window_of_an_oblong_grid_is_its_patches_seen_alone(oblong: Tower) -> None:
    visual, pictures = oblong.model.visual, pictures_of(oblong)
    patches = visual.conv1(pictures).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(2, 1, -1)
    embedded = torch.cat([first, patches], 1) + visual.positional_embedding
    alone = []
    for row in range(2):
        for column in range(4):
            held = [0] + [1 + 5 * (row + y) + column + x for y in range(2) for x in range(2)]
            tokens = visual.transformer(visual.ln_pre(embedded[:, held]))
            alone.append(visual.ln_post(tokens[:, 0]) @ visual.proj)
    found = oblong.encode(pictures, [Part("window", 2)])[Part("window", 2)]
    torch.testing.assert_close(found, torch.stack(alone, 1), atol=1e-5, rtol=0)


@torch.no_grad()
def test_patches_that_are_near_on_an_oblong_grid_are_those_that_lie_so(oblong: Tower) -> None:
    pictures, part = pictures_of(oblong), Part("near-std2", 8)
    block = oblong.model.visual.transformer.resblocks[7]
    before = oblong.encode(pictures, [Part("hidden", 7)])[Part("hidden", 7)]
    _, keys, values = projected(block, block.ln_1(before), "qkv")
    bias = torch.zeros(16, 16)
    for one in range(15):
        for other in range(15):
            apart = (one // 5 - other // 5) ** 2 + (one % 5 - other % 5) ** 2
            bias[1 + one, 1 + other] = np.exp(-apart / 8)
    wanted = attend(block, keys, keys, values, bias)[:, 1:]
    torch.testing.assert_close(oblong.encode(pictures, [part])[part], wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_crops_of_an_oblong_picture_are_as_oblong(oblong: Tower) -> None:
    pictures, part = pictures_of(oblong), Part("crop", 10)
    large = F.interpolate(pictures, size=(27, 45), mode="bicubic", antialias=True)
    places = ((0, 0), (0, 5), (3, 0), (3, 5), (1, 2))
    crops = [large[..., y : y + 24, x : x + 40] for y, x in places]
    wanted = torch.stack([oblong.model.visual(each) for each in (*crops, *(crop.flip(-1) for crop in crops))], 1)
    torch.testing.assert_close(oblong.encode(pictures, [part])[part], wanted, atol=1e-5, rtol=0)
