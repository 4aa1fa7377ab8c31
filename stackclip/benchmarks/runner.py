"""The runner of a bench: a plan, a store and a tower become rows, one seed at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from stackclip.benchmarks.entrant import Entrant, entrants_of, needed, stored
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.overlap import check_content
from stackclip.benchmarks.plan import Plan, check_plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.savings import Savings
from stackclip.benchmarks.seeds import CellName, OneSeed
from stackclip.cache import Store
from stackclip.clip import TextEncoder, Tower
from stackclip.clip.device import bf16_share
from stackclip.clip.recipe import PLAIN_TRAINING, LiveTraining
from stackclip.ops.progress import Listener, silent
from stackclip.training.residency import Kept, Resident
from stackclip.training.sources import FeatureReader, LiveSource
from stackclip.types import CLS, Row

__all__ = ["Bench", "Outcome", "Overwrite", "unheard"]

logger = logging.getLogger(__name__)
Overwrite = Literal["only-missing", "always", "never"]


def unheard(row: Row) -> None:
    """Tell nobody of a row."""


@dataclass(frozen=True)
class Outcome:
    """The rows of a plan in its order, how many were computed now, and how many rows and heads could not be kept."""

    rows: list[Row]
    computed: int
    unkept: int = 0


@dataclass(frozen=True)
class Bench:
    """A plan, and where its features, rows and trained heads are.

    `entrants` are its methods on the tower, which are made from the plan where they are not given.
    `overwrite` says which cells are computed: `only-missing`, `always` all of them anew, or `never` any. `resident`
    says where features that are read more than once stay; no figure depends on it. With the `source` `live` the tower
    sees every picture anew, which gives the same figures up to the store's rounding, and takes as long as it takes.
    `live` says how what trains inside a tower runs there: figures depend on its precision alone.
    Cells that `failed` elsewhere are not tried again: they have the row that they had there, or a row with the error.
    What is `told` of every finished row, found or new, may be told of it again. `savings` counts what served twice.
    """

    plan: Plan
    tower: Tower
    encode: TextEncoder
    store: Store
    rows: RowFolder
    heads: Path
    progress: Listener = silent
    overwrite: Overwrite = "only-missing"
    resident: Resident = "auto"
    entrants: tuple[Entrant, ...] = ()
    source: Literal["stored", "live"] = "stored"
    live: LiveTraining = PLAIN_TRAINING
    failed: Mapping[CellName, Row | str] = field(default_factory=dict)
    told: Callable[[Row], None] = unheard
    savings: Savings = field(default_factory=Savings)

    def __post_init__(self) -> None:
        if not self.entrants:
            object.__setattr__(self, "entrants", entrants_of(self.plan, self.tower.spec))

    @cached_property
    def keeper(self) -> Keeper:
        """What keeps the rows and heads, and knows what could not be kept."""
        return Keeper(self.rows, self.heads)

    def run(self) -> Outcome:
        """All rows of the plan, those found finished among them; what is missing is computed and kept cell by cell.

        Failures are rows with an `error`; they are tried again by the next run. Raises CategoryOverlap, and with
        `fail_fast` whatever went wrong first.
        """
        self.check()
        if self.plan.batch_size is not None and self.plan.training:
            logger.info("all methods train in batches of %d, instead of their own", self.plan.batch_size)
        if self.live.precision == "bf16" and self.plan.training:
            self._warn_of_bf16()
        outcomes = [self.of_seed(seed).run() for seed in self.plan.seeds]
        if saved := self.savings.say(len(self.entrants), self.encode):
            logger.info("%s", saved)
        self.keeper.say_unkept()
        rows, computed = [row for found, _ in outcomes for row in found], sum(new for _, new in outcomes)
        return Outcome(rows, computed, self.keeper.unkept.total())

    def _warn_of_bf16(self) -> None:
        """Say so where training in bf16 takes longer than in fp32."""
        if self.tower.device.type == "cpu" and (cost := bf16_share()) > 1:
            logger.warning(
                "a matrix product in bf16 takes %.1f times as long as in fp32 on this CPU: training is slower so",
                cost,
            )

    def check(self) -> None:
        """Raise what `check_plan` does, and CategoryOverlap for pictures that are trained on and tested."""
        check_plan(self.plan)
        if overlap := check_content(self.plan, self.store):
            logger.warning("%s", overlap)

    def lacking(self) -> frozenset[CellName]:
        """The cells that `run` would compute, but for methods that cannot work here."""
        works = [entrant.spec for entrant in self.entrants if not entrant.why_not]
        return frozenset(name for seed in self.plan.seeds for name in self.of_seed(seed).lacking(works))

    @cached_property
    def reader(self) -> FeatureReader:
        """What reads for all seeds; it keeps the training pictures, and those that are tested where that is repeated.

        They are tested more than once with several seeds, and with training curves.

        Raises UsageError where `resident` names a place that does not exist or is too small.
        """
        every, parts = needed(self.plan, self.entrants)
        repeated = len(self.plan.seeds) > 1 or self.plan.eval_every
        again = every if repeated else self.plan.training
        if self.plan.tiling is not None and not repeated:  # no tile of what is trained on is read
            parts = stored({CLS, *(part for entrant in self.entrants for part in entrant.reads("train"))})
        kept = Kept(self.store, again, parts, device=self.tower.device, resident=self.resident)
        live = LiveSource(self.tower)
        return FeatureReader(self.store, self.tower.device, kept, live, all_live=self.source == "live")

    def of_seed(self, seed: int) -> OneSeed:
        """The methods and cells of one seed, for who looks at single pictures."""
        return OneSeed(self, seed, self.reader)
