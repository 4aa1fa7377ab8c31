"""Encoding against open_clip's own forward and the processor's matrix peak, and what it saves to encode only once.

Run: pytest benchmarks/perf/test_extraction.py --benchmark-only -s
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from stackclip.cache import Store, extract
from stackclip.clip import Tower, flush_denormals
from stackclip.clip.assembly import assemble_tower
from stackclip.clip.doubles import random_weights
from stackclip.heads import Linear
from stackclip.ops.maps import unit
from stackclip.training.sources import FeatureReader
from stackclip.types import CLS, GOOD, MASK, NORMAL, Part, Sample

SMALL_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}  # not run here
SIDE = 2048  # of the matrices whose product is taken for the peak
EPOCHS, BATCH = 15, 8


@pytest.fixture(autouse=True)
def _denormals_are_zero() -> Iterator[None]:
    flush_denormals()
    yield
    torch.set_flush_denormal(False)


def tower_of(architecture: str, image_size: int) -> Tower:
    """A tower of open_clip's vision architecture with random weights."""
    config = {**open_clip.get_model_config(architecture), "text_cfg": SMALL_TEXT}
    weights = random_weights(config, seed=0)
    return assemble_tower(config, weights, name=architecture, image_size=image_size, device="cpu")


def by_hooks(tower: Tower, pictures: Tensor) -> Callable[[], dict[Part, Tensor]]:
    """open_clip as it is, all pictures at once, with hooks that keep the tokens of the tapped blocks."""
    visual: Any = tower.model.visual

    def run() -> dict[Part, Tensor]:
        kept: dict[Part, Tensor] = {}

        def keep(part: Part) -> Callable[..., None]:
            return lambda module, given, result: kept.update({part: result[:, 1:].clone()})

        blocks = visual.transformer.resblocks
        hooks = [blocks[part.index - 1].register_forward_hook(keep(part)) for part in tower.spec.taps]
        try:
            with torch.no_grad():
                kept[CLS] = tower.model.encode_image(pictures)  # type: ignore[operator]
        finally:
            for hook in hooks:
                hook.remove()
        return kept

    return run


@pytest.mark.parametrize(("image_size", "count", "rounds"), [(224, 4, 7), (448, 2, 5)], ids=["short", "long"])
def test_encoding(image_size: int, count: int, rounds: int, race: Any, figure: Any) -> None:
    tower = tower_of("ViT-B-16", image_size)
    pictures = torch.randn(count, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    wanted = (CLS, *tower.spec.taps)
    peer = by_hooks(tower, pictures)
    for part, tokens in peer().items():
        torch.testing.assert_close(tower.encode(pictures, wanted)[part], tokens, atol=1e-3, rtol=1e-3)
    with FlopCounterMode(display=False) as counter:
        tower.encode(pictures, wanted)
    square = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    outcome = race(
        lambda: tower.encode(pictures, wanted), {"open_clip": peer, "sgemm": lambda: square @ square}, rounds=rounds
    )
    speed, peak = counter.get_total_flops() / outcome.ours, 2 * SIDE**3 / outcome.peers["sgemm"]
    what = f"encoding on the CPU, ViT-B/16 at {image_size}"
    note = f"{count} pictures, {1e3 * outcome.ours / count:.4g} ms each, {torch.get_num_threads()} thread(s)"
    figure(f"{what}, of open_clip's forward with hooks", outcome.against("open_clip"), goal=">= 1.15", note=note)
    figure(
        f"{what}, of the matrix peak",
        speed / peak,
        goal=">= .8",
        note=f"{speed / 1e9:.3g} of {peak / 1e9:.3g} GFLOP/s, by the products of the forward",
    )


def test_what_it_saves_to_encode_once(tmp_path: Path, race: Any, figure: Any) -> None:
    tower = tower_of("ViT-L-14-336", 518)
    draws = np.random.default_rng(0)
    samples = []
    for index in range(BATCH):
        path = tmp_path / f"{index}.png"
        Image.fromarray(draws.integers(0, 256, (518, 518, 3), np.uint8)).save(path)
        samples.append(Sample(path.name, "noise", "noise", "train", path, None, NORMAL, GOOD))
    prepared = torch.from_numpy(tower.prepare(Image.open(samples[0].image).convert("RGB")))[None]
    wanted = (CLS, *tower.spec.taps)

    stores = iter(range(100))

    def encode_and_keep() -> Store:
        folder = tmp_path / f"store{next(stores)}"
        store = Store.create(folder, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
        report = extract(store, tower, samples[:1], {*wanted, MASK})
        assert report.encoded == 1
        return store

    class Drawn:
        spec, prepare = tower.spec, tower.prepare

        def encode(self, pictures: Tensor, parts: Any) -> dict[Part, Tensor]:
            shapes = {
                part: (self.spec.joint,) if part == CLS else (self.spec.grid**2, self.spec.width) for part in parts
            }
            return {part: torch.randn(len(pictures), *shape) for part, shape in shapes.items()}

    store = Store.create(tmp_path / "drawn", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, Drawn(), samples, {*wanted, MASK})
    reader = FeatureReader(store, tower.device)
    head = Linear().build(tower.spec, 1, seed=0)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3, betas=(0.5, 0.999))
    anchors = unit(torch.randn(BATCH, 2, tower.spec.joint, generator=torch.Generator().manual_seed(1)))

    def cached_step() -> None:
        features = reader.read(samples, {*wanted, MASK})
        optimiser.zero_grad(set_to_none=True)
        head.loss(features, anchors, torch.zeros(BATCH, dtype=torch.long)).backward()  # type: ignore[operator]
        optimiser.step()

    outcome = race(cached_step, {"encode": lambda: tower.encode(prepared, wanted), "keep": encode_and_keep}, rounds=3)
    # Pictures go through the tower one by one on a CPU, so a batch costs as many times one picture.
    step, encode, keep = outcome.ours, BATCH * outcome.peers["encode"], BATCH * outcome.peers["keep"]
    note = (
        f"ViT-L/14 at 518, batches of {BATCH}: {step:.3g} s a cached step, {encode / BATCH:.3g} s to encode a picture"
    )
    figure("a step that encodes anew, in steps from the store", (encode + step) / step, goal=">= 50", note=note)
    figure(
        f"{EPOCHS} epochs that encode anew, in epochs from the store and its making",
        EPOCHS * (encode + step) / (keep + EPOCHS * step),
        goal=">= 12",
        note="by the medians of a step, of encoding a picture and of encoding and keeping it",
    )
