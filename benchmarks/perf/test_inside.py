"""What trains inside the image tower: a step against the blocks that it cannot do without, run once and back.

Run: pytest benchmarks/perf/test_inside.py --benchmark-only -s
"""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

import pytest
import torch

from stackclip.clip import Tower, assemble_tower, flush_denormals
from stackclip.clip.doubles import random_weights
from stackclip.clip.recipe import LiveTraining
from stackclip.methods import Moment, Task, resolve
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Sample

HIDDEN, BATCH = Part("hidden", 1), 2
CONFIG = {
    "embed_dim": 768,
    "vision_cfg": {"image_size": 518, "layers": 24, "width": 1024, "head_width": 64, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 4},
}


class Step:
    """A step of the second stage of `aa-clip` on random tokens, and the blocks alone, there and back."""

    def __init__(self, *, recompute: bool = False) -> None:
        flush_denormals()
        self.tower: Tower = assemble_tower(CONFIG, random_weights(CONFIG, seed=0), name="ViT-L-14-random", device="cpu")
        spec, image = self.tower.spec, self.tower.image
        task = Task(
            tower=spec,
            encode=self.tower,  # type: ignore[arg-type]  # the text tower is asked for alone
            categories=("bottle",),
            train_on=("random",),
            seed=0,
            device=self.tower.device,
            text=self.tower.text,
            image=image.running(LiveTraining(recompute=recompute)),
        )
        self.detector: Any = resolve("aa-clip[text_epochs=0]").begin(task)
        draws = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(BATCH, 1 + spec.grid**2, spec.width, generator=draws)
        masks = torch.zeros(BATCH, spec.image_size, spec.image_size, dtype=torch.uint8)
        masks[1, 100:200, 100:200] = 1
        samples = tuple(
            Sample(f"{index}.png", "random", "bottle", "test", None, None, label, "hole")  # type: ignore[arg-type]  # no picture is read
            for index, label in enumerate((NORMAL, ANOMALOUS))
        )
        self.features = Features(samples, {HIDDEN: self.hidden, MASK: masks})

    def __call__(self) -> None:
        self.detector.step(self.features, Moment(self.detector.stages[0], 0, 0, last=False))

    def blocks(self) -> None:
        """Blocks 2 to the last, forward and backward to the tokens that go in: what no step can do without."""
        hidden = self.hidden.clone().requires_grad_()
        (tokens,) = self.tower.image.resume(hidden, 2).values()
        tokens.square().mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def test_a_step_inside_the_tower(race: Any, figure: Any) -> None:
    step = Step()
    outcome = race(step, {"blocks 2 to 24, there and back": step.blocks}, rounds=3)
    note = "aa-clip, second stage, ViT-L/14 at 518, batch 2"
    figure("A step inside the tower, of its blocks alone", 1 / outcome.ratio, goal="<= 1.15", note=note)
    figure("A step inside the tower", outcome.ours, unit="s", note=note)


@pytest.mark.parametrize("recompute", [False, True])
def test_memory_of_a_step_inside_the_tower(recompute: bool, figure: Any) -> None:
    """In a process of its own, whose peak it is."""
    code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); from test_inside import peak; print(peak({recompute}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=__file__.rpartition("/")[0], capture_output=True, text=True, check=True
    )
    how = "recomputed" if recompute else "kept"
    figure(f"A step inside the tower: peak memory, activations {how}", float(done.stdout), unit="GB", note="batch 2")


def peak(recompute: bool) -> float:
    """The peak memory of a step beyond the tower and the tokens, in GB."""
    step = Step(recompute=recompute)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
