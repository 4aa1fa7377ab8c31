"""One walk over the blocks for both towers: against plain loops over open_clip's blocks and the released code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import ImageTower, Tower, random_tower
from stackclip.clip.recipe import LiveTraining
from stackclip.clip.walk import Prompts, last_of, walk
from stackclip.errors import UsageError
from stackclip.heads.adapters import ResidualAdapters
from stackclip.types import CLS, Part, patch

Case = Callable[[str], Any]


@pytest.fixture(scope="module")
def tower() -> Tower:
    return random_tower(image_size=32)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def hidden(tower: Tower, pictures: Tensor, layer: int) -> Tensor:
    part = Part("hidden", layer)
    return tower.encode(pictures, [part])[part]


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("first", [1, 2, 5, 8])
def test_what_goes_on_from_a_cached_point_is_the_plain_tower(tower: Tower, pictures: Tensor, first: int) -> None:
    found = tower.image.resume(hidden(tower, pictures, first - 1), first)[8]
    wanted = tower.encode(pictures, [CLS, patch(8)])
    torch.testing.assert_close(found[:, 1:], wanted[patch(8)], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tower.image.project(found[:, 0]), wanted[CLS], atol=1e-5, rtol=1e-5)


def test_tokens_are_given_at_every_stop_and_no_block_runs_behind_the_last(tower: Tower, pictures: Tensor) -> None:
    ran: list[int] = []
    start = hidden(tower, pictures, 2)
    blocks: Any = tower.model.visual.transformer.resblocks
    handles = [
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer)) for layer, block in enumerate(blocks, 1)
    ]
    found = tower.image.resume(start, 3, stops=(6, 4))
    for handle in handles:
        handle.remove()
    assert ran == [3, 4, 5, 6]
    for layer in (4, 6):
        torch.testing.assert_close(found[layer], hidden(tower, pictures, layer), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_inserts_adapters_and_prompts_are_a_loop_over_the_blocks(tower: Tower, pictures: Tensor) -> None:
    start, front, prompts = hidden(tower, pictures, 2), noise(2, 128), {4: noise(3, 128), 6: noise(2, 5, 128, seed=2)}
    adapters = {3: lambda tokens: 0.5 * tokens, 7: torch.tanh}
    found = tower.image.resume(start, 3, stops=(3, 4, 6, 8), insert=front, after=adapters, append=prompts)
    blocks: Any = tower.model.visual.transformer.resblocks
    for row in range(2):
        tokens = torch.cat([front, start[row]])[None]
        for layer in range(3, 9):
            if layer == 4:
                tokens = torch.cat([tokens, prompts[4][None]], dim=1)
            if layer == 6:
                tokens = torch.cat([tokens[:, :-3], prompts[6][row : row + 1]], dim=1)
            tokens = blocks[layer - 1](tokens)
            tokens = adapters[layer](tokens) if layer in adapters else tokens
            if layer in found:
                torch.testing.assert_close(found[layer][row : row + 1], tokens, atol=2e-5, rtol=1e-5)
    assert [found[layer].shape[1] for layer in (3, 4, 6, 8)] == [19, 22, 24, 24]


@torch.no_grad()
def test_prompts_can_take_the_place_of_others_at_the_end_too(tower: Tower, pictures: Tensor) -> None:
    start, own = hidden(tower, pictures, 6), noise(4, 128)
    over = tower.image.resume(start, 7, append=Prompts({8: own}, over=True))[8]
    block: Any = tower.model.visual.transformer.resblocks
    tokens = block[6](start)
    torch.testing.assert_close(over, block[7](torch.cat([tokens[:, :-4], own.expand(2, -1, -1)], dim=1)))


def test_gradients_reach_what_stands_in_the_tower(tower: Tower, pictures: Tensor) -> None:
    front, prompt, scale = noise(1, 128), noise(2, 128), torch.ones(())
    learned = [each.requires_grad_() for each in (front, prompt, scale)]
    start = hidden(tower, pictures, 1)
    end = tower.image.resume(start, 2, insert=front, append={3: prompt}, after={4: lambda tokens: scale * tokens})[8]
    end.square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in learned)
    assert all(parameter.grad is None for parameter in tower.model.parameters())


def test_blocks_that_are_recomputed_give_the_same_digits_and_keep_less(tower: Tower, pictures: Tensor) -> None:
    hidden = tower.encode(pictures, {Part("hidden", 1)})[Part("hidden", 1)]
    found: dict[bool, list[Tensor]] = {}
    kept = {False: 0, True: 0}
    for recompute in kept:
        image = tower.image.running(LiveTraining(recompute=recompute))
        adapters = ResidualAdapters(tower.spec.width, range(1, 4), draws=torch.Generator().manual_seed(0))
        tokens = torch.ones(2, tower.spec.width, requires_grad=True)

        def count(tensor: Tensor, recompute: bool = recompute) -> Tensor:
            kept[recompute] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            ends = image.resume(adapters["1"](hidden), 2, after=adapters.behind(2), append={3: tokens})
            loss = image.norm(ends[8]).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        learned = [parameter.grad for parameter in (tokens, *adapters.parameters()) if parameter.grad is not None]
        found[recompute] = [loss.detach(), *learned]
    assert len(found[True]) == 5
    assert all(torch.equal(one, other) for one, other in zip(found[False], found[True], strict=True))
    assert kept[True] < kept[False] / 5


def test_blocks_in_bf16_give_float32_tokens_near_those_in_fp32(tower: Tower, pictures: Tensor) -> None:
    start = hidden(tower, pictures, 1)
    scale = torch.ones((), requires_grad=True)
    ends = []
    for precision in ("fp32", "bf16"):
        image = tower.image.running(LiveTraining(precision=precision))  # type: ignore[arg-type]
        ends.append(image.resume(start, 2, after={2: lambda tokens: scale * tokens})[8])
    assert ends[1].dtype == torch.float32
    apart = (ends[1] - ends[0]).norm() / ends[0].norm()
    assert 1e-5 < apart < 0.03
    ends[1].square().mean().backward()  # type: ignore[no-untyped-call]
    assert scale.grad is not None
    assert torch.isfinite(scale.grad)


@pytest.mark.parametrize("words", [{"micro_batch": 0}, {"precision": "fp16"}])
def test_a_live_training_that_cannot_be_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"wanted"):
        LiveTraining(**words)


def test_a_step_that_nobody_asks_runs_nothing() -> None:
    ran: list[int] = []

    class Block(torch.nn.Module):
        def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
            ran.append(len(ran) + 1)
            return tokens + 1

    transformer = torch.nn.Module()
    transformer.resblocks, transformer.batch_first = torch.nn.ModuleList(Block() for _ in range(3)), True
    steps = walk(transformer, torch.zeros(1, 2, 4))
    assert (next(steps).layer, ran) == (1, [])
    second = next(steps)
    assert (second.layer, ran, float(second.before.max())) == (2, [1], 1.0)
    assert float(second.after.max()) == float(second.after.max()) == 2.0
    assert ran == [1, 2]
    assert float(last_of(steps, torch.zeros(1)).max()) == 3.0
    assert [step.layer for step in walk(transformer, torch.zeros(1, 2, 4))] == [1, 2, 3]
    assert len(ran) == 5  # the third ran for `last_of`, and not for a walk whose last step nobody asks


def test_a_transformer_that_wants_tokens_first_gets_them_so(tower: Tower, pictures: Tensor) -> None:
    class Turned(torch.nn.Module):
        def __init__(self, block: torch.nn.Module) -> None:
            super().__init__()
            self.block = block

        def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
            return self.block(tokens.transpose(0, 1), attn_mask=attn_mask).transpose(0, 1)

    own: Any = tower.model.visual.transformer
    turned = torch.nn.Module()
    turned.resblocks, turned.batch_first = torch.nn.ModuleList(map(Turned, own.resblocks)), False
    start = hidden(tower, pictures, 0)
    with torch.no_grad():
        torch.testing.assert_close(last_of(walk(turned, start), start), last_of(walk(own, start), start))


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("block 9 is asked for, the tower has blocks 1 to 8", {"first": 9}),
        ("block 0 is asked for", {"first": 0}),
        ("given for block 2, but blocks 3 to 8", {"first": 3, "after": {2: torch.tanh}}),
        ("given for block 9, but blocks 1 to 8", {"first": 1, "append": {9: torch.zeros(1, 128)}}),
    ],
)
def test_a_block_that_is_not_walked_through_is_named(tower: Tower, words: str, arguments: dict[str, Any]) -> None:
    start = torch.zeros(1, 17, 128)
    with pytest.raises(UsageError, match=words):
        last_of(walk(tower.model.visual.transformer, start, **arguments), start)


def test_a_stop_that_is_not_reached_is_named(tower: Tower) -> None:
    with pytest.raises(UsageError, match="block 2 are asked for, but blocks 4 to 8 are run"):
        tower.image.resume(torch.zeros(1, 17, 128), 4, stops=(2, 8))


def test_the_image_tower_knows_its_norm_and_projection(tower: Tower, pictures: Tensor) -> None:
    image, tokens = ImageTower(tower.model.visual), hidden(tower, pictures, 5)
    assert image.depth == 8
    mean, spread = tokens.mean(-1, keepdim=True), tokens.var(-1, keepdim=True, unbiased=False)
    normed = (tokens - mean) / (spread + 1e-5).sqrt()  # the norms of a random tower are neutral
    torch.testing.assert_close(image.norm(tokens), normed, atol=1e-5, rtol=1e-5)
    visual: Any = tower.model.visual
    torch.testing.assert_close(image.project(tokens), normed @ visual.proj, atol=1e-4, rtol=1e-5)


def test_the_class_embedding_enters_as_the_class_token_that_is_cached(tower: Tower, pictures: Tensor) -> None:
    visual: Any = tower.model.visual
    entered = tower.image.enter(visual.class_embedding).expand(len(pictures), -1)
    torch.testing.assert_close(entered, hidden(tower, pictures, 0)[:, 0])


def test_a_norm_of_ones_own_begins_as_the_towers_and_learns_alone(tower: Tower, pictures: Tensor) -> None:
    tokens = hidden(tower, pictures, 5)
    before, own = tower.image.norm(tokens), tower.image.own_norm()
    assert torch.equal(own(tokens), before)
    own(tokens).sum().backward()
    with torch.no_grad():
        for parameter in own.parameters():
            assert parameter.grad is not None
            parameter += 1
    assert torch.equal(tower.image.norm(tokens), before)
    assert not any(parameter.requires_grad for parameter in tower.model.parameters())


@torch.no_grad()
def test_a_projection_of_ones_own_takes_the_place_of_the_text_towers(tower: Tower) -> None:
    tokens = tower.text.tokenize(["a photo of a bottle", "a nut"])
    text: Any = tower.model
    embedded, ends = tower.text.embed_tokens(tokens), tokens.argmax(dim=-1)
    raw = tower.text.encode_embedded(embedded, ends, project=lambda pooled: pooled)
    assert raw.shape == (2, embedded.shape[-1])
    torch.testing.assert_close(raw @ text.text_projection, tower.text.encode_embedded(embedded, ends))


@torch.no_grad()
def test_adapters_stand_in_the_text_tower_too(tower: Tower) -> None:
    tokens = tower.text.tokenize(["a photo of a bottle", "a nut"])
    embedded, ends = tower.text.embed_tokens(tokens), tokens.argmax(dim=-1)
    adapters = {1: lambda each: each.roll(1, -1), 3: torch.tanh}
    found = tower.text.encode_embedded(embedded, ends, after=adapters)
    text: Any = tower.model
    for row, end in enumerate(ends.tolist()):
        rows = (embedded[row, : end + 1] + text.positional_embedding[: end + 1])[None]
        for layer, block in enumerate(text.transformer.resblocks, start=1):
            rows = torch.stack([block(rows[:, : each + 1])[0, -1] for each in range(end + 1)])[None]
            rows = adapters[layer](rows) if layer in adapters else rows
        torch.testing.assert_close(found[row], text.ln_final(rows[0, -1]) @ text.text_projection, atol=2e-5, rtol=0)


def weight(stored: Any, name: str) -> Tensor:
    return torch.from_numpy(stored.given(name)).float()


def adapter(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """x <- .9 x + .1 LeakyReLU(A x), the latter as long as x. AA-CLIP."""

    def run(tokens: Tensor) -> Tensor:
        own = F.leaky_relu(tokens @ matrix.mT, 0.01)
        return 0.9 * tokens + 0.1 * own * tokens.norm(dim=-1, keepdim=True) / own.norm(dim=-1, keepdim=True)

    return run


@pytest.mark.parametrize("case", ["aaclip_t24m_112", "aaclip_t24s_160"])
def test_adapters_behind_blocks_are_those_of_aa_clip(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower()
    names = [f"w.image_adapter.layer_adapters.{index}.fc.0.weight" for index in range(6)]
    adapters = {layer: adapter(weight(stored, name)) for layer, name in enumerate(names, start=1)}
    start = adapters.pop(1)(hidden(tower, released.images, 1))  # the first is applied to what is cached
    found = tower.image.resume(start, 2, stops=(6, 12, 18, 24), after=adapters)
    for level, layer in enumerate((6, 12, 18, 24)):
        matrix = weight(stored, f"w.image_adapter.seg_proj.{level}.fc.0.weight")
        joint = F.normalize(tower.image.norm(found[layer][:, 1:]) @ matrix.mT, dim=-1)
        np.testing.assert_allclose(joint, stored[f"norelu_seg_unit{layer}"], atol=1e-4)


@pytest.mark.parametrize("case", ["adaclip_t24s_112", "adaclip_t24m_160"])
def test_appended_prompts_are_those_of_adaclip(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower("bicubic")
    dynamic = weight(stored, "dynamic_visual_prompts")  # (B, 5, C)
    static = [weight(stored, f"w.visual_prompter.static_prompts.{index}") for index in range(4)]
    prompts = {layer: (dynamic + each).half().float() for layer, each in enumerate(static, start=1)}
    start = hidden(tower, released.images, 0)
    found = tower.image.resume(start, 1, stops=(6, 12, 18, 24), append=prompts)
    for layer in (6, 12, 18, 24):
        np.testing.assert_allclose(found[layer][:, :-5], stored[f"tap{layer}_prompted"], atol=1e-4)
    np.testing.assert_allclose(tower.image.project(found[24][:, 0]), stored["cls_prompted"], atol=1e-4)


@pytest.mark.parametrize("case", ["visualad_t24s_112", "visualad_t24m_160"])
def test_inserted_tokens_are_those_of_visualad(golden: Case, case: str) -> None:
    released = golden(case)
    stored, tower = released.stored, released.tower("bilinear")
    front = tower.image.enter(torch.stack([weight(stored, f"w.{name}_token") for name in ("anomaly", "normal")]))
    start = hidden(tower, released.images, 0)
    into = torch.cat([front.expand(3, -1, -1), start], dim=1)
    np.testing.assert_allclose(into, stored["into_block1"], atol=1e-4)
    end = tower.image.norm(tower.image.resume(start, 1, insert=front)[24])
    np.testing.assert_allclose(end, stored["start_tap24_lnpost"], atol=1e-4)
    for place, name in enumerate(("anomaly", "normal")):
        np.testing.assert_allclose(end[:, place], stored[f"start_{name}"], atol=1e-4)
