"""A transfer as benches: every set teaches every other, all others teach each, and what must not be is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.errors import CategoryOverlap, UsageError
from stackclip.studies.transfer import Refused, Transfer, check_names, transfer_of, transfer_plans
from stackclip.types import Sample

NAMES = ("a", "b", "c", "d")


def data(name: str) -> Dataset:
    samples = tuple(
        Sample(f"{name}/{label}", name, f"{name}-thing", "test", Path(name) / str(label), None, label, "")
        for label in (0, 1)
    )
    return Dataset(name, Path("/") / name, "folder", samples, "")


SETS = tuple(map(data, NAMES))


def plan(**words: Any) -> Plan:
    return Plan(**{"methods": ("april-gan", "winclip"), "train_on": (), "test_on": SETS, **words})


def pairs(plans: Sequence[Plan]) -> list[tuple[tuple[str, ...], str]]:
    return [(tuple(d.name for d in each.train_on), other.name) for each in plans for other in each.test_on]


def test_every_set_teaches_every_other_and_all_others_teach_each() -> None:
    transfer = transfer_of(SETS, SETS, lambda one, other: "")
    found = list(transfer_plans(transfer, plan(), SETS, {"april-gan"}))
    taught = [each for each in found if each.methods == ("april-gan",)]
    singles = [((one,), other) for one, other in permutations(NAMES, 2)]
    others = [(tuple(name for name in NAMES if name != each), each) for each in NAMES]
    assert sorted(pairs(taught)) == sorted([*singles, *others])
    assert len(taught) == len(NAMES) * 2  # a training is one bench, whatever it is tested on
    [untaught] = [each for each in found if each.methods == ("winclip",)]
    assert pairs([untaught]) == [((), name) for name in NAMES]


def test_of_two_sets_all_others_are_one_that_was_learned_before() -> None:
    two = SETS[:2]
    transfer = transfer_of(two, two, lambda one, other: "")
    found = list(transfer_plans(transfer, plan(test_on=two), two, {"april-gan", "winclip"}))
    assert pairs(found) == [(("a",), "b"), (("b",), "a")]


def test_a_pair_that_shares_something_is_left_out_and_the_rest_goes_on() -> None:
    def why_not(one: Dataset, other: Dataset) -> str:
        return "shared" if {one.name, other.name} == {"a", "b"} else ""

    transfer = transfer_of(SETS, SETS, why_not)
    assert transfer.refused == (Refused("a", "b", "shared"), Refused("b", "a", "shared"))
    assert (transfer.why_not("a", "b"), transfer.why_not("a", "c")) == ("shared", "")
    found = pairs(list(transfer_plans(transfer, plan(), SETS, {"april-gan"})))
    assert (("a",), "b") not in found
    assert {(("c", "d"), "a"), (("c", "d"), "b"), (("a", "b", "d"), "c")} <= {*found}


def test_where_nothing_can_be_learned_it_is_said_why() -> None:
    transfer = transfer_of(SETS, SETS, lambda one, other: f"{one.name} is {other.name}")
    with pytest.raises(CategoryOverlap, match="no set of a, b, c, d can teach another: a is b"):
        list(transfer_plans(transfer, plan(), SETS, {"april-gan"}))
    assert len(list(transfer_plans(transfer, plan(), SETS, set()))) == 1  # nothing has to be


def test_some_categories_may_be_tested_of_sets_that_are_trained_on_whole() -> None:
    some = SETS[1:3]
    transfer = transfer_of(SETS, some, lambda one, other: "")
    found = pairs(list(transfer_plans(transfer, plan(test_on=some), SETS, {"april-gan"})))
    assert {tested for _, tested in found} == {"b", "c"}
    assert (("a", "c", "d"), "b") in found


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ((), r"0 sets came \(none\): name two or more"),
        (("a",), r"1 set came \(a\): name two or more"),
        (("a", "b", "a"), r"a is named twice; name each set once"),
    ],
)
def test_what_makes_no_matrix_is_refused_in_a_line(texts: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_names(texts)


def test_two_sets_of_one_name_are_refused() -> None:
    other = replace(SETS[0], root=Path("/elsewhere"))
    with pytest.raises(UsageError, match=r"two data sets are named a .*give one another name, other=PATH"):
        transfer_of((*SETS, other), SETS, lambda one, other: "")


def test_others_are_all_sets_that_may_be_learned() -> None:
    transfer = Transfer(NAMES, (Refused("a", "b", "why"),))
    assert [transfer.others(name) for name in NAMES] == [("b", "c", "d"), ("c", "d"), ("a", "b", "d"), ("a", "b", "c")]
