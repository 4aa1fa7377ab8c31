"""A head's training step against its two matrix products alone, and against the step as one would write it down.

Run: pytest benchmarks/perf/test_heads.py --benchmark-only -s
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import flush_denormals
from stackclip.heads import Linear, Projections
from stackclip.methods.schedule import BETAS, adam
from stackclip.ops.losses import DICE_SMOOTH, FOCAL_GAMMA, FOCAL_SMOOTH
from stackclip.ops.maps import LOGIT_SCALE, unit
from stackclip.types import ANOMALOUS, CLS, MASK, Features, Sample, TowerSpec

LARGE = TowerSpec("ViT-L-14-336", image_size=518, grid=37, depth=24, width=1024, joint=768, layers=(6, 12, 18, 24))
MIDDLE = TowerSpec("ViT-B-16-plus-240", image_size=240, grid=15, depth=12, width=896, joint=640, layers=(3, 6, 9, 12))
TINY = TowerSpec("stackclip-tiny", image_size=112, grid=7, depth=8, width=128, joint=96, layers=(2, 4, 6, 8))
RATE, STACKS = 1e-3, 3


@pytest.fixture(autouse=True)
def _denormals_are_zero() -> Iterator[None]:
    """As under the command line: for ours and for its peers."""
    flush_denormals()
    yield
    torch.set_flush_denormal(False)


class Batch:
    """A batch of random features whose marked patches lie another way, unit anchors, and a linear head."""

    def __init__(self, tower: TowerSpec, pictures: int) -> None:
        draws = torch.Generator().manual_seed(0)
        self.tower = tower
        masks = torch.zeros(pictures, tower.image_size, tower.image_size, dtype=torch.uint8)
        masks[1::2, tower.image_size // 4 : tower.image_size // 2, tower.image_size // 3 : tower.image_size // 2] = 1
        marked = F.interpolate(masks[:, None].float(), size=tower.grid).flatten(1)[..., None]  # (B, P, 1)
        other = torch.randn(tower.width, generator=draws)
        parts = {
            part: torch.randn(pictures, tower.grid**2, tower.width, generator=draws).add_(marked * other)
            for part in tower.taps
        }
        parts |= {CLS: torch.randn(pictures, tower.joint, generator=draws), MASK: masks}
        samples = tuple(
            Sample(f"{index}.png", "random", "x", "test", Path("x.png"), None, ANOMALOUS, "hole")
            for index in range(pictures)
        )
        self.features = Features(samples, parts)
        self.anchors = unit(torch.randn(pictures, STACKS, 2, tower.joint, generator=draws))  # (B, K, 2, D)
        self.stacks = torch.zeros(pictures, dtype=torch.long)

    def head(self) -> Projections:
        head = Linear().build(self.tower, 1, seed=0)
        assert isinstance(head, Projections)
        return head


def fused_step(batch: Batch, products: torch.dtype = torch.float32) -> Callable[[], Tensor]:
    """A step of `linear`, Adam's update in it; gives the loss."""
    head = batch.head()
    head.products = products
    return _step(adam(head.parameters(), lr=RATE), lambda: head.loss(batch.features, batch.anchors[:, 0], batch.stacks))


def plain_step(batch: Batch) -> Callable[[], Tensor]:
    """The same step as one would write it down, and as the released code takes it: every formula a line of torch."""
    head = batch.head()
    optimiser = torch.optim.Adam(head.parameters(), lr=RATE, betas=BETAS)
    masks, side, grid = batch.features[MASK].float(), batch.tower.image_size, batch.tower.grid

    def loss() -> Tensor:
        total = torch.zeros(())
        for part, linear in zip(batch.tower.taps, head.fc[0], strict=True):  # type: ignore[call-overload]
            tokens = linear(batch.features[part])
            tokens = tokens / tokens.norm(dim=-1, keepdim=True)
            both = LOGIT_SCALE * tokens @ batch.anchors[:, 0].mT  # (B, P, 2)
            both = both.permute(0, 2, 1).reshape(-1, 2, grid, grid)
            maps = F.interpolate(both, size=side, mode="bilinear", align_corners=True).softmax(1)  # (B, 2, H, W)
            total = total + plain_focal(maps, masks) + plain_dice(maps[:, ANOMALOUS], masks)
        return total

    return _step(optimiser, loss)


def plain_focal(maps: Tensor, masks: Tensor) -> Tensor:
    """The focal loss over both channels by one-hot targets, smoothed, with class weights of one."""
    rows = maps.flatten(2).permute(0, 2, 1).reshape(-1, 2)  # (B H W, 2)
    targets = masks.reshape(-1, 1).long()
    chosen = torch.zeros_like(rows).scatter_(1, targets, 1).clamp(FOCAL_SMOOTH, 1 - FOCAL_SMOOTH)
    right = (chosen * rows).sum(1) + FOCAL_SMOOTH
    weights = torch.ones(2)[targets[:, 0]]
    return (-weights * torch.pow(1 - right, FOCAL_GAMMA) * right.log()).mean()


def plain_dice(probability: Tensor, masks: Tensor) -> Tensor:
    probability, masks = probability.flatten(1), masks.flatten(1)
    shared, total = (probability * masks).sum(1), probability.sum(1) + masks.sum(1)
    return (1 - (2 * shared + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean()


def _step(optimiser: torch.optim.Adam, loss_of: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def step() -> Tensor:
        loss = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    return step


def products(batch: Batch) -> Callable[[], None]:
    """Tokens times weights, and gradients times tokens, for every layer: what no step can do without."""
    tokens = [batch.features[part].flatten(0, 1) for part in batch.tower.taps]
    weight = torch.randn(batch.tower.joint, batch.tower.width, generator=torch.Generator().manual_seed(1))

    def run() -> None:
        for each in tokens:
            projected = each @ weight.mT
            torch.mm(projected.mT, each)

    return run


@pytest.mark.parametrize(
    ("tower", "pictures", "rounds"),
    [(LARGE, 8, 9), (MIDDLE, 8, 15), (TINY, 8, 41)],
    ids=["large", "middle", "tiny"],
)
def test_a_training_step(tower: TowerSpec, pictures: int, rounds: int, race: Any, figure: Any) -> None:
    batch = Batch(tower, pictures)
    losses = [float(make(batch)()) for make in (fused_step, plain_step)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    outcome = race(fused_step(batch), {"products": products(batch), "plain": plain_step(batch)}, rounds=rounds)
    shape = f"{len(tower.layers)} layers, {pictures} x {tower.grid**2} tokens, {tower.width} to {tower.joint}"
    note = f"{shape}, {tower.image_size} pixels, {torch.get_num_threads()} thread(s)"
    large = tower is LARGE
    took, least = outcome.ours, outcome.peers["products"]
    figure(
        f"training step of a head ({tower.name}), of its matrix products",
        took / least,
        goal={LARGE: "<= 1.15", TINY: "<= 3"}.get(tower, ""),
        note=f"{note}: {1e3 * took:.3g} ms a step",
    )
    figure(
        f"training step of a head ({tower.name}), of the step written plainly",
        outcome.against("plain"),
        goal=">= 2" if large else "",
        note=f"no step that makes the products can reach more than {outcome.peers['plain'] / least:.2f}",
    )


def test_a_training_step_with_products_in_bf16(race: Any, figure: Any) -> None:
    batch = Batch(LARGE, 4)
    losses = [float(fused_step(batch, products)()) for products in (torch.float32, torch.bfloat16)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    outcome = race(fused_step(batch, torch.bfloat16), fused_step(batch), rounds=5)
    apart = losses[1] / losses[0] - 1
    note = f"4 layers, 4 pictures, {torch.get_num_threads()} thread(s); the losses differ by {apart:.1g}"
    figure(f"training step of a head ({LARGE.name}) in bf16, than in fp32", outcome.ratio, note=note)


def test_the_maps_of_a_head_that_all_stacks_share(race: Any, figure: Any) -> None:
    batch = Batch(MIDDLE, 8)
    head = batch.head()
    weights = torch.full((8, STACKS), 1 / STACKS)

    @torch.inference_mode()
    def together() -> Tensor:
        return head.maps(batch.features, batch.anchors, weights)

    @torch.inference_mode()
    def one_by_one() -> Tensor:
        return torch.stack(
            [head.maps(batch.features, batch.anchors[:, [k]], weights[:, [k]]) for k in range(STACKS)]
        ).sum(0)

    torch.testing.assert_close(together(), one_by_one(), atol=1e-5, rtol=0)
    outcome = race(together, one_by_one, rounds=15)
    figure("maps of a shared head under 3 stacks, of a projection for each", outcome.ratio, note=MIDDLE.name)
