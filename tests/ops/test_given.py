"""What a component gives is what was wanted, or named with what came and what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from stackclip.errors import BrokenPlugin
from stackclip.methods import Stage
from stackclip.ops.given import (
    epochs_of,
    explained,
    final_scores,
    prediction_of,
    stacks_of,
    stages_of,
    subject_of,
    vector_of,
    why_no_name,
)
from stackclip.types import CLS, Prediction

NAMES = ("bolt", "nut")
FEATURES = torch.ones(3, 4)
UNIT = torch.full((4,), 0.5)
SCORES = torch.tensor([0.1, 0.2])
MAPS = torch.zeros(2, 5, 5)


@pytest.mark.parametrize("name", ["a part", "größe", "日本", "o-ring 2"])
def test_what_can_stand_in_a_prompt_is_taken(name: str) -> None:
    assert why_no_name(name) == ""
    assert subject_of("bolt", name) == name


@pytest.mark.parametrize("name", [None, b"item", "", "  ", "{} {c}", "a\nb", "a\udcff", ["a"], 3, torch.zeros(3)])
def test_what_cannot_is_named_with_the_category(name: object) -> None:
    with pytest.raises(BrokenPlugin, match=r"its subject\(\) calls 'bolt' .*, which (is|has) "):
        subject_of("bolt", name)


def test_stacks_are_tuples_of_names() -> None:
    assert stacks_of([["bolt"], ("nut",)], NAMES) == (("bolt",), ("nut",))
    assert stacks_of((group for group in [NAMES]), NAMES) == (NAMES,)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (None, "gave None"),
        ("bolt", "gave 'bolt'"),
        (NAMES, "gave 'bolt' as a stack"),
        (((1, 2),), "gave 1 as a name"),
        ((("bolt",),), "its stacks hold bolt; wanted each of bolt, nut once"),
        ((NAMES, ()), "nothing"),
        ((NAMES, NAMES), "bolt, nut; bolt, nut"),
    ],
)
def test_other_stacks_are_named(groups: object, words: str) -> None:
    with pytest.raises(BrokenPlugin, match=words):
        stacks_of(groups, NAMES)


@pytest.mark.parametrize("epochs", [-1, 1.5, float("nan"), "3", True, None])
def test_epochs_are_whole_numbers_from_0(epochs: object) -> None:
    assert (epochs_of(0), epochs_of(7)) == (0, 7)
    with pytest.raises(BrokenPlugin, match="wanted a whole number from 0"):
        epochs_of(epochs)


def test_stages_read_sets_of_parts() -> None:
    assert stages_of((Stage("one", 2, 3), Stage("other", 0, 1, frozenset({CLS})))) == 2
    for parts in ("cls", [CLS], frozenset({"cls"}), frozenset({None})):
        with pytest.raises(BrokenPlugin, match=r"its stage one reads .*; wanted a set of parts, or None"):
            stages_of((Stage("one", 1, 3, parts),))  # type: ignore[arg-type]


@pytest.mark.parametrize("facts", [None, [("a", 1)], {3: "x"}])
def test_what_is_explained_has_names(facts: object) -> None:
    assert explained({"stacks": []}) == {"stacks": []}
    with pytest.raises(BrokenPlugin, match="wanted facts by name"):
        explained(facts)


@pytest.mark.parametrize(
    "vector", [None, UNIT[:3], UNIT[None], UNIT.double(), 100 * UNIT, 0 * UNIT, UNIT * float("nan"), UNIT.numpy()]
)
def test_a_selector_gives_one_unit_vector(vector: object) -> None:
    assert vector_of(UNIT, FEATURES) is UNIT
    with pytest.raises(BrokenPlugin, match=r"wanted one vector of 4 numbers, torch.float32, of length 1"):
        vector_of(vector, FEATURES)


GOOD: tuple[Callable[[], Prediction], ...] = (
    lambda: Prediction(SCORES, MAPS),
    lambda: Prediction(None, MAPS.half(), why_no_scores="none"),
    lambda: Prediction(SCORES.double(), None, why_no_maps="none"),
    lambda: Prediction(torch.tensor([1, 2]), None),
)
BAD: dict[str, Any] = {
    "a Prediction": None,
    "a Prediction ": (SCORES, MAPS),
    "wanted text": Prediction(SCORES, MAPS, why_no_scores=5),  # type: ignore[arg-type]
    "scores as complex64": Prediction(SCORES.to(torch.complex64), MAPS),
    "maps as bool": Prediction(SCORES, MAPS > 0),
    "maps as sparse_coo": Prediction(SCORES, MAPS.to_sparse()),
    "a tensor of real numbers": Prediction(SCORES.numpy(), MAPS),  # type: ignore[arg-type]
    "scores of shape": Prediction(SCORES[:1], MAPS),
    "maps of shape": Prediction(SCORES, MAPS[:, :3]),
}


def test_a_prediction_is_taken_as_it_came() -> None:
    for make in GOOD:
        prediction = make()
        assert prediction_of(prediction, 2, 5) is prediction


@pytest.mark.parametrize("words", BAD)
def test_another_prediction_is_named(words: str) -> None:
    with pytest.raises(BrokenPlugin, match=words.strip()):
        prediction_of(BAD[words], 2, 5)


def test_final_scores_are_as_many_real_and_finite() -> None:
    assert final_scores(SCORES * 2, SCORES).tolist() == (SCORES * 2).tolist()
    assert final_scores(torch.tensor([1, 2]), torch.tensor([3, 4])).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("settled", "words"),
    [
        (None, "gave None; wanted 2 scores"),
        (SCORES.long(), "gave torch.int64 of torch.float32"),
        (SCORES > 0, "as bool"),
        (SCORES.to(torch.complex64), "as complex64"),
        (SCORES[:1], r"shape \(1,\); wanted \(2,\)"),
        (SCORES / 0, "NaN or infinity"),
    ],
)
def test_other_final_scores_are_named(settled: object, words: str) -> None:
    with pytest.raises(BrokenPlugin, match=words):
        final_scores(settled, SCORES)
