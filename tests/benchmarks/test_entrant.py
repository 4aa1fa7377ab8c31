"""A bench makes each method once, asks it once for its needs and opens one store, however many seeds there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import Result

from stackclip.benchmarks import entrant, plan
from stackclip.benchmarks.entrant import entrants_of, needed, needs_of
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store
from stackclip.clip import random_tower
from stackclip.errors import BadOption, NotApplicable, UnknownComponent
from stackclip.methods import PHASES, Detector, Moment, Stage
from stackclip.registry import methods
from stackclip.types import CLS, MASK, Features, Part, Prediction, patch
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
    assert calls == {"resolve": len(METHODS), "_needs_in": (len(PHASES) - 1) * len(METHODS), "__init__": 1}


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


def test_of_several_parts_that_a_tower_lacks_the_first_is_told() -> None:
    class Wanting:
        def needs(self, tower: object, phase: object) -> frozenset[Part]:
            return frozenset(patch(layer) for layer in range(20, 40))

    with pytest.raises(NotApplicable, match="has no part patch/20:"):
        needs_of(cast(Any, Wanting()), random_tower(image_size=56).spec)


class Reading(Detector):
    """Reads more than it says: in a stage, in its steps or in its predictions."""

    def __init__(self, stage: frozenset[Part] | None, step: Part, predict: Part) -> None:
        super().__init__()
        self.reads = (stage, step, predict)
        self.stages = (Stage("only", 1, 3, stage),)

    def needs(self, tower: object, phase: str) -> frozenset[Part]:
        return frozenset({CLS})

    def check(self, tower: object) -> None: ...

    def begin(self, task: object) -> Reading:
        return self

    def step(self, features: Features, at: Moment) -> Mapping[str, float]:
        return {"loss": float(features[self.reads[1]].mean())}

    def predict(self, features: Features) -> Prediction:
        return Prediction(features[self.reads[2]].flatten(1).mean(1), None, why_no_maps="none")


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        (
            (frozenset({patch(2)}), CLS, CLS),
            "its stage only reads patch/2; wanted parts that its needs() name for training",
        ),
        ((None, patch(2), CLS), "the batch lacks patch/2 (it holds cls, mask); name it in the method's needs"),
        ((None, CLS, patch(2)), "the batch lacks patch/2 (it holds cls); name it in the method's needs"),
    ],
)
def test_a_method_reads_what_it_says_whoever_reads_more_beside_it(
    small: Small, bench: Callable[..., Bench], reads: tuple[Any, ...], words: str
) -> None:
    methods.register("reading")(
        type("R", (Reading,), {"__doc__": "Reads.", "__init__": lambda self: Reading.__init__(self, *reads)})
    )
    alone, together = small.plan("reading"), small.plan("precise", "reading")
    assert {row.error for row in bench(alone, "alone").run().rows} == {words}
    rows = bench(together, "together").run().rows
    assert [row.error for row in rows] == ["", "", words, words]


class First(Reading):
    """A detector of the first contract under a method of the second."""

    epochs = 2

    def __init__(self) -> None:
        super().__init__(None, CLS, CLS)
        self.stages = ()

    def begin(self, task: object) -> First:
        return self


class Remembering(First):
    """One that is shown shots as in the first contract."""

    epochs = 0

    def remember(self, features: Features) -> None: ...


class Unphased(First):
    """One that is asked once for its needs."""

    def needs(self, tower: object) -> frozenset[Part]:  # type: ignore[override]  # as in the first contract
        return frozenset({CLS})


class Bare(First):
    """One that begins something else."""

    def begin(self, task: object) -> Any:
        return object()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (First, "its detector has epochs and no stages; wanted stages, a tuple of Stage(name, epochs, batch)"),
        (Remembering, "its detector has remember() and no on(); wanted on(category, shots, normals)"),
        (Unphased, "reading cannot say what it needs in a phase; wanted needs(tower, phase)"),
        (
            Bare,
            "its begin() gave a object, which lacks stages, facts, takes_shots, step, on; wanted a subclass of "
            "stackclip.methods.Detector",
        ),
    ],
)
def test_a_plugin_of_the_first_contract_is_told_what_is_wanted(
    small: Small, bench: Callable[..., Bench], kind: type[First], words: str
) -> None:
    methods.register("reading")(kind)
    assert {row.error for row in bench(small.plan("reading")).run().rows} == {words}
