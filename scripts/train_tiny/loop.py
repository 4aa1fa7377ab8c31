"""The loop: a fixed number of steps that follow from a seed, a log of every term, checkpoints to go on from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from scripts.train_tiny.learner import Learner, View
from scripts.train_tiny.losses import WEIGHTS, loss_terms, total
from scripts.train_tiny.muon import Optimiser, Rates
from scripts.train_tiny.pool import Pool
from scripts.train_tiny.views import HARD, draw_batch
from stackclip.errors import UsageError

__all__ = ["Plan", "Run", "train"]


@dataclass(frozen=True)
class Plan:
    """All that decides what is learned: a run with the same plan, seed and versions ends in the same weights.

    `short_steps` see pictures at half scale and full-scale windows by turns, with `pairs` in a batch; then `full_steps`
    see whole pictures, `full_pairs` in a batch. Rates rise for `warmup` steps, stay, and fall in the last `fall_steps`.
    `pool_pairs` are drawn in all; at step n the first `head_start + pace * pairs * n` of them may be seen, so training
    need not wait for the last. `begun_at` is the hash of the weights that it starts with, `photographs` that of those
    which the products wear (`Pool.worn`), if any.
    """

    short_steps: int
    full_steps: int
    fall_steps: int
    pool_pairs: int = 80_000
    head_start: int = 2_000
    pace: float = 2.0
    pairs: int = 32
    full_pairs: int = 16
    warmup: int = 60
    clip: float = 1.0
    seed: int = 0
    begun_at: str = ""
    photographs: str = ""
    rates: Rates = field(default_factory=Rates)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.short_steps + self.full_steps

    def view(self, step: int) -> View:
        """What a step looks at."""
        if step >= self.short_steps:
            return "full"
        return "window" if step % 2 else "half"

    def fraction(self, step: int) -> float:
        """The share of the peak rates at a step: up in a line, level, and down in a line to nearly nothing."""
        falling = (self.steps - step) / (self.fall_steps + 1)
        return min(1.0, (step + 1) / self.warmup, falling)

    def among(self, step: int) -> int:
        """How many pairs of the pool a step may draw from."""
        return min(self.pool_pairs, int(self.head_start + self.pace * self.pairs * step))


_UNASKED = {each.name: each.default for each in fields(Plan) if each.default is not MISSING}


def _told(value: Any) -> str:
    """A value of a recipe in words: `none` for a hash of nothing."""
    return "none" if value in ("", None) else str(value)


@dataclass
class Run:
    """A learner, its optimiser and how many steps they have done."""

    plan: Plan
    learner: Learner
    optimiser: Optimiser
    step: int = 0

    @classmethod
    def begin(cls, plan: Plan, *, device: str = "cpu") -> Run:
        """A new run."""
        learner = Learner(seed=plan.seed).to(device)
        return cls(plan, learner, Optimiser(learner, plan.rates))

    def _recipe(self) -> str:
        """All that decides what is learned, as JSON."""
        return json.dumps({**asdict(self.plan), "terms": dict(WEIGHTS), "hard": dict(HARD)})

    def save(self, path: Path) -> None:
        """Write a checkpoint under a new name, then rename it."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        facts = {"step": self.step, "plan": self._recipe()}
        torch.save({**facts, "learner": self.learner.state_dict(), "optimiser": self.optimiser.state_dict()}, draft)
        draft.rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; random draws follow from seed and step, so there is no other state.

        What a checkpoint does not name, since it is older, was as a plan has it unasked. Raises UsageError for one of
        another plan, of other weights of the terms or of other kinds drawn more, and for what is no checkpoint.
        """
        try:
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            before = {**_UNASKED, **json.loads(found["plan"])}
        except (RuntimeError, EOFError, UnpicklingError, LookupError, TypeError, ValueError):
            raise UsageError(f"{path} is no checkpoint of a training: give a new folder") from None
        now = json.loads(self._recipe())
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if told := [f"{name} {_told(before.get(name))}, now {_told(now.get(name))}" for name in other]:
            raise UsageError(f"{path} was begun otherwise ({'; '.join(told)}): give the same options or a new folder")
        self.learner.load_state_dict(found["learner"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.step = found["step"]


def train(
    run: Run,
    pool: Pool,
    *,
    log: Path,
    every: int = 20,
    stop: int | None = None,
    watch: Callable[[Run], None] | None = None,
) -> None:
    """Take the remaining steps, up to `stop`; write the mean of each term over `every` steps as a line of JSON.

    `watch` is called after each line.
    """
    plan, learner = run.plan, run.learner
    learner.train()
    sums: dict[str, float] = {}
    begun, seen = time.monotonic(), 0
    for step in range(run.step, min(plan.steps, plan.steps if stop is None else stop)):
        view = plan.view(step)
        pairs = plan.full_pairs if view == "full" else plan.pairs
        batch = draw_batch(pool, pairs, among=plan.among(step), view=view, seed=(plan.seed, 1, step))
        terms, floor = loss_terms(learner, batch)
        loss = total(terms)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters(), plan.clip)
        run.optimiser.step(plan.fraction(step))
        with torch.no_grad():
            learner.model.logit_scale.clamp_(max=4.6052)
        run.step = step + 1
        seen += 2 * pairs
        found = {
            **{name: float(term.detach()) for name, term in terms.items()},
            "loss": float(loss.detach()),
            "floor": floor,
        }
        for name, value in {**found, "norm": float(norm)}.items():
            sums[name] = sums.get(name, 0.0) + value
        if run.step % every == 0 or run.step == plan.steps:
            rate = seen / (time.monotonic() - begun)
            _write(log, run, view, {name: value / every for name, value in sums.items()}, rate)
            sums = {}
            if watch is not None:
                watch(run)
                learner.train()
            begun, seen = time.monotonic(), 0


def _write(log: Path, run: Run, view: View, means: dict[str, float], rate: float) -> None:
    facts = {"step": run.step, "of": run.plan.steps, "view": view, "pictures_per_second": round(rate, 1)}
    line = {**facts, "scale": round(run.learner.scale.item(), 2), **{k: round(v, 4) for k, v in means.items()}}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
