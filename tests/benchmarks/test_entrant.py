"""A bench makes each method once, asks it once for its needs and opens one store, however many seeds there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.benchmarks import entrant, plan
from stackclip.benchmarks.entrant import entrants_of, needed
from stackclip.cache import Store
from stackclip.clip import random_tower
from stackclip.errors import BadOption, NotApplicable, UnknownComponent
from stackclip.types import MASK
from tests.conftest import TESTED, TRAINING, Small

METHODS = ("stacked", "fuzzy", "precise", "april-gan", "sdp-plus", "clip-surgery", "winclip", "anomalyclip")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def counting(*given: Any, **named: Any) -> Any:
            counted[name] += 1
            return function(*given, **named)

        monkeypatch.setattr(owner, name, counting)

    count(plan, "resolve")
    count(entrant, "_needs_in")
    count(Store, "__init__")
    return counted


@pytest.mark.parametrize("again", [(), ("--overwrite", "always")])
def test_a_bench_of_8_methods_and_2_seeds(
    stackclip: Callable[..., Result], tmp_path: Path, calls: Counter[str], again: tuple[str, ...]
) -> None:
    words = ("--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", "--backbone", "random-vit-8")
    result = stackclip(tmp_path, "bench", "--methods", ",".join(METHODS), "--seeds", "0,1", *words, *again)
    assert result.exit_code == 0, result.output
    assert calls == {"resolve": len(METHODS), "_needs_in": 3 * len(METHODS), "__init__": 1}


def test_a_plan_that_is_changed_keeps_the_methods_that_it_has(small: Small, calls: Counter[str]) -> None:
    whole = small.plan("fuzzy", "winclip", "fuzzy")
    some = replace(whole, methods=("winclip", "precise"))
    assert list(whole.resolved) == ["fuzzy", "winclip"]
    assert some.resolved["winclip"] is whole.resolved["winclip"]
    assert calls["resolve"] == 3


@pytest.mark.parametrize(
    ("name", "error"),
    [("fuzy", UnknownComponent), ("fuzzy[head=3]", UnknownComponent), ("fuzzy[word=3,x=1]", BadOption)],
)
def test_a_name_that_means_nothing_is_said_when_the_plan_is_made(
    small: Small, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        small.plan("precise", name)


def test_a_method_that_cannot_work_on_the_tower_says_why_and_reads_the_mask(small: Small) -> None:
    tower = replace(random_tower(image_size=56).spec, layers=(2, 4))
    wanted = small.plan("precise", "anomalyclip[layers=taps]")
    precise, unfit = entrants_of(wanted, tower)
    assert precise.why_not is None
    assert isinstance(unfit.why_not, NotApplicable)
    assert unfit.parts == {MASK}
    samples, parts = needed(wanted, (precise, unfit))
    assert parts == precise.parts
    assert len(samples) == len({*small.training.select(split="test"), *small.tested.select(split="test")})
