"""The makes of image towers: what they give is what the model itself gives, in every family."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from stackclip.clip import Tower
from stackclip.clip.catalogue import listed_models
from stackclip.clip.makes import make_of
from stackclip.errors import NotApplicable, UsageError
from stackclip.types import CLASS_TOKEN, CLS, GRID_POOL, OPEN_BLOCKS, SINGLE_PATCHES, Part, patch

from .small import FAMILIES, JOINT, family_of, fresh_model, small_tower

REFUSED = ("roberta", "mt5", "nllb", "xlm")
ACCEPTED = [name for name in listed_models() if not any(word in name for word in REFUSED)]
SOME = ("EVA02-B-16", "ViT-B-16-SigLIP", "RN50", "convnext_tiny")
RESIZED = (
    *(*SOME, "ViTamin-S", "ViT-L-14-CLIPA", "MobileCLIP-S1", "PE-Core-B-16", "vit_relpos_medium_patch16_cls_224"),
    *("dinov2-vits14", "swin_base_patch4_window7_224"),
)
BY_TOKEN = ("EVA02-B-16", "MobileCLIP2-L-14", "vit_relpos_medium_patch16_cls_224", "dinov2-vits14-reg")
FULL = os.environ.get("STACKCLIP_TOWERS") == "full"


def _pictures(tower: Tower, count: int = 2) -> Tensor:
    return torch.randn(count, 3, *tower.spec.frame.size, generator=torch.Generator().manual_seed(7))


def _close(found: Tensor, wanted: Tensor) -> None:
    scale = wanted.abs().max().item()
    torch.testing.assert_close(found / scale, wanted / scale, atol=2e-6, rtol=0)


def timm_side(model: Any) -> int:
    """The side of the pictures that a model of timm takes; 0 where it takes any, or is none of timm."""
    trunk = getattr(model.visual, "trunk", model.visual)
    return int(getattr(getattr(trunk, "patch_embed", None), "img_size", (0,))[0])


@torch.no_grad()
def _check(tower: Tower) -> None:
    """What the tower gives is what its model gives."""
    spec, pictures, visual = tower.spec, _pictures(tower), tower.model.visual
    blocks = range(1, spec.depth + 1)
    given = tower.encode(pictures, [CLS, *map(patch, blocks)])
    whole = visual(pictures)
    _close(given[CLS], whole[0] if isinstance(whole, tuple) else whole)
    if hasattr(visual, "layer4"):
        before = visual.layer3(visual.layer2(visual.layer1(visual.stem(pictures))))
        maps = [visual.layer4[:layer](before) for layer in blocks]
    else:
        stages = len(visual.trunk.feature_info) if hasattr(visual, "trunk") else spec.depth
        indices = list(range(stages - spec.depth, stages))
        maps = visual.forward_intermediates(pictures, indices=indices, output_fmt="NCHW")["image_intermediates"]
    for layer, each in zip(blocks, maps, strict=True):
        assert each.shape[2:] == spec.frame.grid
        assert given[patch(layer)].shape == (2, spec.patches, spec.width)
        _close(given[patch(layer)], each.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("name", ACCEPTED if FULL else FAMILIES.values())
def test_features_are_those_of_a_model_that_was_built_with_values(name: str) -> None:
    """A model that was built on `meta` has tables to fill, of rotations and windows, which no weights bring."""
    assert FAMILIES[family_of(name)] == name or FULL
    tower, model = small_tower(name), fresh_model(name)
    _check(tower)
    side = timm_side(model) or tower.spec.image_size
    if side == tower.spec.image_size:
        pictures = _pictures(tower)
        with torch.no_grad():
            found = model.visual(pictures)
        _close(tower.encode(pictures, [CLS])[CLS], found[0] if isinstance(found, tuple) else found)
    else:
        assert (name, side, tower.spec.image_size) == ("ViT-SO400M-14-SigLIP-384", 384, 378)


@pytest.mark.parametrize("name", RESIZED)
def test_another_size_resizes_positions_as_the_family_does(name: str) -> None:
    native = small_tower(name).spec
    patch_side, grid = native.frame.size.height // native.frame.grid.height, native.frame.grid.height
    for places in ((grid + 2, grid + 2), (grid + 1, grid - 2)):
        tower = small_tower(name, image_size=[patch_side * each for each in places])
        assert tower.spec.frame.grid == places
        _check(tower)


@torch.no_grad()
def test_positions_of_timm_on_an_oblong_grid_are_those_that_timm_resamples() -> None:
    native, tower = (small_tower("ViT-B-16-SigLIP", image_size=size) for size in (224, "160x288"))
    own, found = (each.model.visual.trunk.pos_embed for each in (native, tower))
    assert torch.equal(found, resample_abs_pos_embed(own, (10, 18), num_prefix_tokens=0))
    visual, pictures = deepcopy(native.model.visual), _pictures(tower)
    visual.trunk.patch_embed.strict_img_size = False  # a forward by hand, at the positions made so
    tokens = visual.trunk.patch_embed.proj(pictures).flatten(2).transpose(1, 2) + found
    for block in visual.trunk.blocks:
        tokens = block(tokens)
    _close(tower.encode(pictures, [patch(2)])[patch(2)], tokens)


@torch.no_grad()
def test_the_pool_of_a_resnet_has_a_position_for_each_place_of_an_oblong_grid() -> None:
    native, tower = small_tower("RN50"), small_tower("RN50", image_size="160x288")
    own, found = (each.model.visual.attnpool.positional_embedding for each in (native, tower))
    square = own[1:].T.reshape(1, -1, 7, 7)
    wanted = F.interpolate(square, size=(5, 9), mode="bicubic", antialias=True).flatten(2)[0].T
    torch.testing.assert_close(found, torch.cat([own[:1], wanted]))
    part, pictures = Part("vv-pool", tower.spec.depth), _pictures(tower)
    assert tower.encode(pictures, [part])[part].shape == (2, 45, JOINT)


@torch.no_grad()
def test_a_tower_without_positions_sees_a_transposed_picture_as_the_transposed() -> None:
    """Of a ConvNeXt whose kernels are their own mirrors at the diagonal nothing tells rows from columns."""
    wide, high = (deepcopy(small_tower("convnext_tiny", image_size=size)) for size in ("160x288", "288x160"))
    for tower in (wide, high):
        for name, weight in tower.model.visual.named_parameters():
            if weight.ndim == 4:
                assert name
                weight.copy_((weight + weight.mT) / 2)
    pictures, part = _pictures(wide), patch(wide.spec.depth)
    one, other = wide.encode(pictures, [part, CLS]), high.encode(pictures.mT, [part, CLS])
    placed = one[part].reshape(2, *wide.spec.frame.grid, -1).transpose(1, 2)
    _close(other[part], placed.flatten(1, 2))
    _close(other[CLS], one[CLS])


@pytest.mark.parametrize("name", ["EVA02-B-16", "ViT-B-16-SigLIP"])
def test_timm_resizes_positions_in_its_own_way_only(name: str) -> None:
    with pytest.raises(UsageError, match="omit --position-embedding"):
        small_tower(name, position_embedding="bilinear")


def test_a_size_that_patches_do_not_fill_is_made_to_fit_and_refused_where_it_is_asked_for() -> None:
    assert (small_tower("ViT-SO400M-14-SigLIP-384").spec.image_size, 378 % 14) == (378, 0)
    with pytest.raises(UsageError, match="no multiple of ViT-SO400M-14-SigLIP-384's patches of 14 pixels: take 378"):
        small_tower("ViT-SO400M-14-SigLIP-384", image_size=384)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_single_patch_is_read_as_a_picture_of_it_alone(family: str) -> None:
    tower = small_tower(FAMILIES[family])
    visual, depth = tower.model.visual, tower.spec.depth
    part, tokens = Part("joint", depth), tower.encode(_pictures(tower, 1), [patch(depth)])[patch(depth)][0, :3]
    if SINGLE_PATCHES in tower.spec.lacks:
        with pytest.raises(NotApplicable, match=f"has no part {part}: that wants a reading of single patches"):
            tower.encode(_pictures(tower, 1), [part])
        return
    if hasattr(visual, "trunk"):
        ahead = visual.trunk.num_prefix_tokens if visual.trunk.global_pool == "avg" else 0
        rows = torch.cat([torch.zeros(3, ahead, tower.spec.width), tokens[:, None]], 1)
        alone = visual.head(visual.trunk.forward_head(visual.trunk.norm(rows)))
    elif hasattr(visual, "layer4"):
        pool = visual.attnpool
        alone = pool.c_proj(pool.v_proj(tokens))
    else:
        rows = tokens[:, None].expand(-1, 2, -1)  # a class token and a patch, alike
        alone = visual._pool(rows)[0] @ visual.proj
    _close(tower.encode(_pictures(tower, 1), [part])[part][0, :3], alone)


@pytest.mark.parametrize(
    "name", ["EVA02-B-16", "MobileCLIP2-L-14", "vit_relpos_medium_patch16_cls_224", "dinov2-vits14-reg"]
)
def test_a_class_token_of_timm_is_read_behind_any_block(name: str) -> None:
    tower = small_tower(name)
    assert tower.spec.lacks == (OPEN_BLOCKS,)
    trunk, pictures = tower.model.visual.trunk, _pictures(tower)
    given = tower.encode(pictures, [Part("cls", 1), Part("cls", 2), CLS])
    with torch.no_grad():
        [(_, prefix)] = trunk.forward_intermediates(
            pictures, indices=[0], return_prefix_tokens=True, intermediates_only=True
        )
        _close(given[Part("cls", 1)], tower.model.visual.head(trunk.forward_head(trunk.norm(prefix))))
    assert torch.equal(given[Part("cls", 2)], given[CLS])


def test_a_feature_that_is_no_class_token_is_not_read_behind_other_blocks() -> None:
    tower = small_tower("ViT-B-16-SigLIP")
    assert tower.spec.lacks == (CLASS_TOKEN, GRID_POOL, OPEN_BLOCKS)
    with pytest.raises(NotApplicable, match="has no part cls/1: that wants a class token that is the image feature"):
        tower.encode(_pictures(tower), [Part("cls", 1)])
    assert CLS in tower.encode(_pictures(tower), [CLS])


def test_blocks_behind_the_last_one_needed_are_not_run() -> None:
    tower, ran = small_tower("EVA02-B-16"), list[int]()
    for layer, block in enumerate(tower.model.visual.trunk.blocks, start=1):
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    tower.encode(_pictures(tower, 4), [patch(1)])
    assert ran == [1]


def test_a_picture_does_not_depend_on_those_it_came_with() -> None:
    for name in SOME:
        tower = small_tower(name)
        pictures, parts = _pictures(tower, 5), [CLS, patch(tower.spec.depth)]
        together, alone = tower.encode(pictures, parts), tower.encode(pictures[4:], parts)
        assert all(torch.equal(together[part][4:], alone[part]) for part in parts), name


@pytest.mark.parametrize("name", SOME)
def test_what_takes_blocks_apart_is_refused(name: str) -> None:
    image = small_tower(name).image
    assert image.depth >= 1
    with pytest.raises(NotApplicable, match="open_clip's own attention blocks, which this tower lacks"):
        image.resume(torch.zeros(1, 5, 48), 1)


def test_a_module_of_no_make_that_is_known_is_refused() -> None:
    with pytest.raises(NotApplicable, match="Linear is an image tower of no make"):
        make_of(torch.nn.Linear(1, 1))


@torch.no_grad()
def test_the_pool_of_a_resnet_by_value_is_the_pool_whose_queries_and_keys_are_values() -> None:
    """The pool itself, its weights of queries and keys put aside, gives the mean's token; patches are read alike."""
    tower = small_tower("RN50")
    pictures, part = _pictures(tower), Part("vv-pool", tower.spec.depth)
    given, pool = tower.encode(pictures, [part, patch(tower.spec.depth)]), tower.model.visual.attnpool
    tokens = given[patch(tower.spec.depth)].transpose(0, 1)  # (P, B, C)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    wanted, _ = torch.nn.functional.multi_head_attention_forward(
        *(tokens, tokens, tokens, tokens.shape[-1], pool.num_heads, None, None, None, None, False, 0.0),
        *(pool.c_proj.weight, pool.c_proj.bias),
        training=False,
        use_separate_proj_weight=True,
        **dict.fromkeys(("q_proj_weight", "k_proj_weight", "v_proj_weight"), pool.v_proj.weight),
        need_weights=False,
    )
    _close(given[part], wanted[1:].transpose(0, 1))


@pytest.mark.parametrize("name", ["ViT-B-32", "EVA02-B-16", "ViT-B-16-SigLIP", "ViT-L-14-CLIPA"])
def test_other_towers_have_no_pool_over_a_grid(name: str) -> None:
    with pytest.raises(NotApplicable, match="has no part vv-pool/2: that wants an attention pool"):
        small_tower(name).spec.shape(Part("vv-pool", 2))
