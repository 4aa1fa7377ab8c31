"""A method in a bench: it begins, steps, remembers and predicts, and what it gives is checked."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stackclip.benchmarks.curves import Point
from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.shapes import check_facts
from stackclip.benchmarks.tally import Tally
from stackclip.clip import TextEncoder
from stackclip.errors import BrokenPlugin, NonFiniteScores, NotApplicable, StackclipError
from stackclip.methods import Detector
from stackclip.metrics import Measured
from stackclip.ops.files import canonical_json
from stackclip.types import Features

__all__ = ["Contender", "TaskEncode"]


@dataclass
class Contender:
    """A method in the bench of one seed: what it still has to do, what it has learned, what went wrong.

    `curves` has the points of its cells by the names of their rows, `drawn` are the cells that get some in training.
    `steps` has each term of the loss as it was in the `first` step that had it, and in the `last`.
    """

    entrant: Entrant
    lacking: list[Cell]
    detector: Detector | None = None
    trained: bool = False
    losses: list[dict[str, float]] = field(default_factory=list)
    steps: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    curves: dict[str, list[Point]] = field(default_factory=dict)
    drawn: list[Cell] = field(default_factory=list)

    @property
    def spec(self) -> str:
        """The name that the method goes by in the rows."""
        return self.entrant.spec

    @property
    def working(self) -> Detector:
        """The detector of a method that has begun."""
        if self.detector is None:
            raise StackclipError(f"{self.spec} has not begun")
        return self.detector

    def step(self, features: Features) -> dict[str, float]:
        """One optimiser step: the loss by term. Raises NonFiniteScores for a loss that is no number."""
        started = time.perf_counter()
        terms = {name: float(value) for name, value in self.working.step(features).items()}
        if terms and "loss" not in terms:
            raise BrokenPlugin(f"its step() gave {', '.join(terms)}; wanted the loss by term, loss among them")
        self.seconds += time.perf_counter() - started
        for name, value in terms.items():
            if not math.isfinite(value):
                raise NonFiniteScores(f"{name} is {value} in epoch {len(self.losses) + 1} of training")
        self.steps = {"first": terms | self.steps.get("first", {}), "last": self.steps.get("last", {}) | terms}
        return terms

    def remember(self, category: str, features: Features) -> None:
        """Look at the shots of a category."""
        self.working.remember(category, features)

    def predict(self, features: Features, runs: Sequence[np.ndarray | None], tally: Tally) -> None:
        """Predict a batch and add it to the cell's tally."""
        started = time.perf_counter()
        tally.add(self.working.predict(features), features.samples, runs)
        tally.seconds += time.perf_counter() - started

    def measure(self, cell: Cell, tally: Tally) -> Measured:
        """The metrics of a cell whose batches have all been predicted."""
        started = time.perf_counter()
        measured = tally.compute(cell.samples, self.working)
        tally.seconds += time.perf_counter() - started
        return measured

    def facts(self) -> dict[str, Any]:
        """What the method says of itself, as JSON can hold it. Raises BrokenPlugin for what no table can work with."""
        facts: dict[str, Any] = json.loads(canonical_json(dict(self.working.facts)))
        try:
            check_facts(facts)
        except ValueError as error:
            raise BrokenPlugin(f"what it says of itself cannot be kept: {error}") from error
        return facts


@dataclass(frozen=True, slots=True)
class TaskEncode:
    """The tower's text side, as strategies ask for it; `mean_of` gives a training category's mean unit class token."""

    encoder: TextEncoder
    mean_of: Callable[[str], Tensor] | None = None

    @property
    def context_length(self) -> int:
        """The tokens that the text tower takes."""
        return self.encoder.context_length

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D)."""
        return self.encoder(phrases)

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase."""
        return self.encoder.count_tokens(phrase)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        """The mean unit class token of each training category: (n, D). Raises NotApplicable if none are known."""
        if self.mean_of is None:
            raise NotApplicable("there are no class means of training pictures here: use source=text")
        return torch.stack([self.mean_of(category) for category in categories])
