"""A plan says what is compared, refuses what would not be zero-shot, and draws shots by the seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.entrant import entrants_of, needed, needs_of
from stackclip.benchmarks.plan import Plan, Shots, check_plan
from stackclip.data import Dataset
from stackclip.errors import BrokenPlugin, CategoryOverlap, DataError, NotApplicable, UsageError
from stackclip.methods import resolve
from stackclip.types import ANOMALOUS, CLS, MASK, NORMAL, Part, Sample, TowerSpec, patch

TOWER = TowerSpec("toy", 56, 7, 8, 16, 8, (2, 4, 6, 8))


def dataset(
    name: str, *categories: str, good: int = 6, defective: int = 2, tested: tuple[int, int] = (1, 1)
) -> Dataset:
    """A data set without files: for every category `good` normal training pictures, and `tested` good and bad ones."""
    samples = []
    for category in categories:
        kinds = [("train", NORMAL, good), ("train", ANOMALOUS, defective)]
        kinds += [("test", label, count) for label, count in zip((NORMAL, ANOMALOUS), tested, strict=True)]
        for split, label, count in kinds:
            for number in range(count):
                path = Path(f"{category}/{split}/{label}/{number}.png")
                defect = "hole" if label else "good"
                samples.append(Sample(path.as_posix(), name, category, split, path, None, label, defect))
    return Dataset(name, Path(name), "toy", tuple(samples), name)


def plan(train_on: Dataset, test_on: Dataset, **words: object) -> Plan:
    return Plan(**{"methods": ("stacked",), "train_on": (train_on,), "test_on": (test_on,), **words})


def test_training_uses_the_test_splits() -> None:
    training = plan(dataset("a", "x"), dataset("b", "y")).training
    assert [(sample.split, sample.label) for sample in training] == [("test", NORMAL), ("test", ANOMALOUS)]


def test_few_training_pictures_are_drawn_by_the_seed_half_of_them_normal_in_every_category() -> None:
    trained = dataset("a", "x", "y", tested=(7, 9))
    few = plan(trained, dataset("b", "z"), train_shots=4, seeds=(0, 1, 2))
    drawn = [few.training_of(seed) for seed in few.seeds]
    order = trained.select(split="test").samples
    for samples in drawn:
        assert Counter((s.category, s.label) for s in samples) == dict.fromkeys(product("xy", (NORMAL, ANOMALOUS)), 2)
        assert list(samples) == [sample for sample in order if sample in samples]
        assert len(set(samples)) == 8
    assert len(set(drawn)) == 3
    assert drawn == [plan(trained, dataset("c", "z"), train_shots=4, seeds=(seed,)).training for seed in few.seeds]
    assert few.training == tuple(sample for sample in order if any(sample in each for each in drawn))
    more = plan(trained, dataset("b", "z"), train_shots=6)
    assert set(drawn[0]) < set(more.training)  # a smaller draw is the beginning of a larger one


def test_few_training_pictures_that_are_not_there_are_refused() -> None:
    trained = dataset("a", "x", tested=(7, 1))
    with pytest.raises(DataError, match=r"a x has 1 anomalous picture to train on; wanted 2, half of --train-shots 4"):
        check_plan(plan(trained, dataset("b", "z"), train_shots=4))
    for odd in (0, 1, 3):
        with pytest.raises(UsageError, match=f"{odd} training pictures a category; wanted 2, 4"):
            plan(trained, dataset("b", "z"), train_shots=odd)
    check_plan(plan(trained, dataset("b", "z"), train_shots=2))


@pytest.mark.parametrize("alike", [{"published": "visa"}, {"registered": "synthetic"}, {"root": Path("a")}])
def test_a_category_that_is_tested_may_not_be_trained_on(alike: dict[str, Any]) -> None:
    first, second = dataset("a", "metal_nut", "cable"), dataset("b", "Metal-Nut")
    overlapping = plan(replace(first, **alike), replace(second, **alike))
    with pytest.raises(CategoryOverlap, match=r"Metal-Nut: tested on b and trained on a, so not zero-shot"):
        check_plan(overlapping)
    check_plan(replace(overlapping, allow_overlap=True))


@pytest.mark.parametrize(
    "trained",
    [
        {},
        {"published": "mvtec"},
        {"registered": "synthetic"},
        {"registered": "folder"},
        {"registered": "mvtec"},
    ],
)
def test_one_shared_name_decides_nothing_between_sets_that_have_nothing_to_do_with_each_other(
    trained: dict[str, Any],
) -> None:
    check_plan(plan(replace(dataset("a", "hazelnut"), **trained), dataset("b", "hazelnut")))


def test_a_category_and_the_folder_that_it_lies_in_are_one_place() -> None:
    with pytest.raises(CategoryOverlap, match="nut: tested on b and trained on a"):
        check_plan(plan(dataset("a", "nut", "cap"), replace(dataset("b", "nut"), root=Path("a/nut"))))


def test_shots_are_normal_training_pictures_drawn_without_replacement() -> None:
    tested = dataset("b", "y", good=6)
    for seed in range(20):
        shots = plan(dataset("a", "x"), tested).shots_of(tested, "y", seed, shots=Shots(6))
        assert len(set(shots)) == 6
        assert {(shot.split, shot.label) for shot in shots} == {("train", NORMAL)}


def test_shots_follow_from_the_seed_and_the_category() -> None:
    tested = dataset("b", "y", "z", good=50)
    draw = partial(plan(dataset("a", "x"), tested).shots_of, shots=Shots(4))
    assert draw(tested, "y", 0) == draw(tested, "y", 0)
    assert draw(tested, "y", 0) != draw(tested, "y", 1)
    assert draw(dataset("b", "z", "y", good=50), "y", 0) == draw(tested, "y", 0)


def test_with_replacement_a_picture_may_be_drawn_twice_and_fewer_suffice() -> None:
    tested = dataset("b", "y", good=2)
    of = plan(dataset("a", "x"), tested).shots_of
    drawn = [of(tested, "y", seed, shots=Shots(3, repeated=True)) for seed in range(9)]
    assert all(len(shots) == 3 and len(set(shots)) < 3 for shots in drawn)


def test_a_method_is_shown_what_it_asks_for_itself_or_else_what_the_bench_says() -> None:
    said = plan(dataset("a", "x"), dataset("b", "y"), shots=2)
    assert said.shots_for(resolve("winclip")) == Shots(2)
    assert said.shots_for(resolve("winclip[shots=0]")) == Shots(0)
    assert said.shots_for(resolve("april-gan[shots=4,draw=with-replacement]")) == Shots(4, repeated=True)
    assert said.shots_for(resolve("precise")) == Shots(2)  # and refuses them when it begins


def test_more_shots_than_pictures_are_refused_with_the_numbers() -> None:
    tested = dataset("b", "y", good=2)
    with pytest.raises(NotApplicable, match="b y has 2 normal training pictures, wanted 3"):
        plan(dataset("a", "x"), tested).shots_of(tested, "y", 0, shots=Shots(3))


def test_what_a_bench_reads_is_what_is_trained_on_tested_and_shown() -> None:
    trained, tested = dataset("a", "x"), dataset("b", "y")
    wanted = plan(trained, tested, shots=1, seeds=(0, 1, 2))
    samples, parts = needed(wanted, entrants_of(wanted, TOWER))
    assert parts == {CLS, MASK, *(patch(layer) for layer in (2, 4, 6, 8))}
    assert {s for s in samples if s.split == "test"} == {s for s in (*trained, *tested) if s.split == "test"}
    assert 1 <= sum(sample.split == "train" for sample in samples) <= 3
    assert len(set(samples)) == len(samples)


def test_two_data_sets_of_one_name_are_refused_with_both_places_and_the_way_out() -> None:
    first, second = replace(dataset("b", "x"), root=Path("A/b")), replace(dataset("b", "y"), root=Path("B/b"))
    said = r"two data sets are named b, A/b and B/b, .* give one a name, other=B/b"
    for train_on, test_on in (((), (first, second)), ((first, second), ()), ((first,), (second,))):
        with pytest.raises(UsageError, match=said):
            Plan(methods=("clip",), train_on=train_on, test_on=test_on)
    Plan(methods=("clip",), train_on=(first,), test_on=(first,))


@pytest.mark.parametrize(("empty", "said"), [({"methods": ()}, "without methods"), ({"seeds": ()}, "without seeds")])
def test_a_bench_of_nothing_is_refused(empty: dict[str, tuple[()]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(dataset("a", "x"), dataset("b", "y"), **empty)


class Needing:
    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def needs(self, tower: TowerSpec, phase: str) -> list[object]:
        if not self.parts:
            raise ValueError("no idea")
        return list(self.parts)


def test_the_mask_is_always_needed() -> None:
    assert needs_of(Needing(CLS, patch(3)), TOWER) == {CLS, patch(3), MASK}


@pytest.mark.parametrize("part", [patch(9), patch(0), Part("vv", 24)])
def test_a_part_that_the_tower_does_not_have_is_not_applicable(part: Part) -> None:
    with pytest.raises(NotApplicable, match=f"toy has no part {part}"):
        needs_of(Needing(part), TOWER)


def test_needs_that_are_no_parts_are_told() -> None:
    with pytest.raises(BrokenPlugin, match="'cls' is among them"):
        needs_of(Needing("cls"), TOWER)
    with pytest.raises(BrokenPlugin, match="it cannot say what it needs: ValueError: no idea"):
        needs_of(Needing(), TOWER)
