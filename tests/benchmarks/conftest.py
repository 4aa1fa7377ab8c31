"""A small store of two generated data sets, and benches over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.data import Dataset, open_dataset
from stackclip.types import CLS, MASK

TRAINING = "synthetic[categories=2,per_category=4,train_good=4,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=4,size=56]"


@dataclass(frozen=True)
class Small:
    """Two data sets, all of whose pictures are encoded."""

    tower: Tower
    encode: TextEncoder
    store: Store
    training: Dataset
    tested: Dataset

    def plan(self, *methods: str, **words: Any) -> Plan:
        """A plan with one epoch."""
        given = {"train_on": (self.training,), "test_on": (self.tested,), "epochs": 1, "batch_size": 3, **words}
        return Plan(methods=methods, **given)


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    root = tmp_path_factory.mktemp("small")
    training, tested = (open_dataset(text, generated=root / "data") for text in (TRAINING, TESTED))
    tower = random_tower(image_size=56)
    store = Store.create(root / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, [*training, *tested], {CLS, MASK, *tower.spec.taps})
    return Small(tower, TextEncoder(tower), store, training, tested)


@pytest.fixture
def bench(small: Small, tmp_path: Path) -> Callable[..., Bench]:
    """`bench(plan)` over the small store; rows and heads in a folder of the test's own, or in `place`.

    With `alone`, phrases are encoded anew, as another process would.
    """

    def make(plan: Plan, place: str = "here", *, alone: bool = False, **words: Any) -> Bench:
        folder = tmp_path / place
        encode = TextEncoder(small.tower) if alone else small.encode
        return Bench(plan, small.tower, encode, small.store, RowFolder(folder / "rows"), folder / "heads", **words)

    return make


@pytest.fixture(autouse=True)
def _registry_as_it_was(registry_as_it_was: None) -> None: ...
