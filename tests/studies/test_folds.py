"""Folds hold out what they say, keep apart what belongs together, and know nothing of what is tested."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.errors import UsageError
from stackclip.studies.folds import fold_plans, folds_of
from stackclip.studies.schemes import Scheme
from stackclip.types import ANOMALOUS, NORMAL, Sample

KINDS = ("hole", "cut", "dent")


def made(name: str, *categories: str, good: int = 6, each: int = 2, train: int = 3) -> Dataset:
    """A data set without files: `good` tested good pictures a category, so many of each kind, `train` normal ones."""
    samples = []
    for category in categories:
        for split, defect, count in [
            ("train", "good", train),
            ("test", "good", good),
            *(("test", k, each) for k in KINDS),
        ]:
            for number in range(count):
                path = Path(f"{category}/{split}/{defect}/{number}.png")
                label = NORMAL if defect == "good" else ANOMALOUS
                samples.append(Sample(path.as_posix(), name, category, split, path, None, label, defect))  # type: ignore[arg-type]  # a split
    return Dataset(name, Path(name), "toy", tuple(samples), name)


def planned(*train_on: Dataset, **words: Any) -> Plan:
    return Plan(**{"methods": ("stacked",), "train_on": train_on, "test_on": (made("tested", "z"),), **words})


def apart(samples: Sequence[Sample]) -> list[str | None]:
    """Every picture is another."""
    return [sample.key for sample in samples]


def test_each_category_is_tested_once_by_what_was_learned_without_it() -> None:
    plan = planned(made("a", "bolt", "nut"), made("b", "Nut", "pin"))
    folds = folds_of(plan, Scheme("leave-category-out"), 0, apart)
    assert [fold.testing for fold in folds] == ["only bolt", "only nut", "only pin"]
    assert [{sample.category for sample in fold.tested} for fold in folds] == [{"bolt"}, {"nut", "Nut"}, {"pin"}]
    for fold in folds:
        names = {sample.category.casefold() for sample in fold.tested}
        assert not names & {sample.category.casefold() for sample in fold.trained}
        assert {*fold.tested, *fold.trained} == {*plan.training}


def test_categories_are_held_out_in_groups() -> None:
    plan = planned(made("a", *"vwxyz"))
    folds = folds_of(plan, Scheme("leave-category-out", 2), 0, apart)
    assert [sorted({sample.category for sample in fold.tested}) for fold in folds] == [[*"vxz"], [*"wy"]]
    assert [fold.training for fold in folds] == ["without category group 1 of 2", "without category group 2 of 2"]


def test_a_kind_of_defect_is_tested_with_good_pictures_that_no_fold_is_trained_on() -> None:
    plan = planned(made("a", "bolt", "nut", good=7))
    folds = {seed: folds_of(plan, Scheme("leave-defect-out"), seed, apart) for seed in (0, 1)}
    for some in folds.values():
        good = {sample for fold in some for sample in fold.tested if sample.label == NORMAL}
        assert Counter(sample.category for sample in good) == {"bolt": 3, "nut": 3}
        for fold, kind in zip(some, KINDS, strict=True):
            assert {sample.defect for sample in fold.tested} == {kind, "good"}
            assert {sample.defect for sample in fold.trained} == {*KINDS, "good"} - {kind}
            assert not good & {*fold.trained}
    assert folds[0][0].tested != folds[1][0].tested
    assert folds[0] == folds_of(plan, Scheme("leave-defect-out"), 0, apart)


def test_pictures_are_dealt_evenly_and_each_is_tested_once() -> None:
    plan = planned(made("a", "bolt", "nut", good=7, each=2))
    folds = folds_of(plan, Scheme("k-fold", 3), 0, apart)
    assert Counter(sample for fold in folds for sample in fold.tested) == dict.fromkeys(plan.training, 1)
    for fold in folds:
        assert {*fold.trained} == {*plan.training} - {*fold.tested}
        counts = Counter((sample.category, sample.label) for sample in fold.tested)
        assert all(count in ((2, 3) if label == NORMAL else (2,)) for (_, label), count in counts.items())
    assert [fold.tested for fold in folds] != [fold.tested for fold in folds_of(plan, Scheme("k-fold", 3), 1, apart)]


@pytest.mark.parametrize(
    "scheme", ["leave-category-out", "leave-category-out[folds=2]", "leave-defect-out", "k-fold[folds=2]"]
)
@pytest.mark.parametrize("seed", range(8))
def test_views_of_one_object_and_equal_files_are_never_on_both_sides(scheme: str, seed: int) -> None:
    """By brute force over all pairs of pictures, of sets with groups and twins that are drawn."""
    draws = random.Random(seed)
    samples = [
        Sample(**{**{n: getattr(s, n) for n in s.__slots__}, "group": draws.choice(["", "1", "2", "3", f"own{i}"])})
        for i, s in enumerate(made("a", "bolt", "nut", "pin", good=8, each=4).samples)
    ]
    content = {sample.key: draws.choice([None, *map(str, range(150))]) for sample in samples}
    plan = planned(Dataset("a", Path("a"), "toy", tuple(samples), "a"))
    folds = folds_of(plan, Scheme.parse(scheme), seed, lambda some: [content[sample.key] for sample in some])
    assert folds
    for fold in folds:
        for one in fold.tested:
            for other in fold.trained:
                assert one != other
                assert not (one.group and (one.category, one.group) == (other.category, other.group))
                assert content[one.key] is None or content[one.key] != content[other.key]


@pytest.mark.parametrize("scheme", ["leave-category-out", "leave-defect-out", "k-fold[folds=2]"])
def test_the_benches_of_folds_name_nothing_of_what_is_tested(scheme: str) -> None:
    plan = planned(made("a", "bolt", "nut"), made("b", "pin"), seeds=(0, 1), ci=True, per_defect=True)
    for inner in fold_plans(plan, ("fuzzy", "precise"), Scheme.parse(scheme), apart):
        assert tuple(inner.resolved) == ("fuzzy", "precise")
        assert {s.dataset for d in (*inner.train_on, *inner.test_on) for s in d.samples} <= {"a", "b"}
        assert not {*inner.training} & {s for d in inner.test_on for s in d.select(split="test")}
        assert (inner.ci, inner.per_defect, inner.fold) == (False, False, scheme)


def test_seeds_share_the_folds_that_are_the_same() -> None:
    plan = planned(made("a", "bolt", "nut"), seeds=(0, 1, 2))
    assert [each.seeds for each in fold_plans(plan, ("fuzzy",), Scheme("leave-category-out"), apart)] == [(0, 1, 2)] * 2
    assert [each.seeds for each in fold_plans(plan, ("fuzzy",), Scheme("k-fold", 2), apart)] == [(0,)] * 2 + [
        (1,)
    ] * 2 + [(2,)] * 2


def test_parts_have_names_of_their_own_and_a_whole_set_keeps_its_own() -> None:
    plan = planned(made("a", "bolt", "nut"), made("b", "pin"))
    first, _, last = fold_plans(plan, ("fuzzy",), Scheme("leave-category-out"), apart)
    assert [each.name for each in first.train_on] == ["a (without bolt)", "b"]
    assert [each.name for each in first.test_on] == ["a (only bolt)"]
    assert [each.name for each in last.train_on] == ["a"]
    assert [each.name for each in last.test_on] == ["b (only pin)"]  # its rows are none of an ordinary bench


def test_tested_parts_have_the_shots_of_their_categories_but_no_twin_of_a_tested_picture() -> None:
    data = made("a", "bolt", "nut", train=3)
    twin = {"a/bolt/train/good/0.png": "a/bolt/test/good/1.png"}

    def contents(samples: Sequence[Sample]) -> list[str | None]:
        return [twin.get(sample.key, sample.key) for sample in samples]

    plan = planned(data, methods=("winclip[shots=1]",))
    [bolt, _] = fold_plans(plan, ("winclip[shots=1]",), Scheme("leave-category-out"), contents)
    shown = [sample.id for sample in bolt.test_on[0].select(split="train")]
    assert shown == ["bolt/train/good/1.png", "bolt/train/good/2.png"]


def test_few_training_pictures_are_all_that_is_divided() -> None:
    plan = planned(made("a", "bolt", "nut"), train_shots=4, seeds=(0, 1))
    inner = fold_plans(plan, ("fuzzy",), Scheme("leave-category-out"), apart)
    assert [each.seeds for each in inner] == [(0,), (0,), (1,), (1,)]
    assert [each.test_on[0].name for each in inner[:1]] == ["a (only bolt, 4 pictures a category, seed 0)"]
    for each in inner:
        used = {s.id for s in each.training} | {s.id for d in each.test_on for s in d.select(split="test")}
        assert used == {sample.id for sample in plan.training_of(each.seeds[0])}
        assert each.train_shots is None


def test_a_list_of_training_pictures_is_all_that_is_divided(tmp_path: Path) -> None:
    data, listed = made("a", "bolt", "nut"), tmp_path / "list.jsonl"
    names = [f"{c}/{p}" for c in ("bolt", "nut") for p in ("train/good/0.png", "test/good/1.png", "test/cut/0.png")]
    listed.write_text("\n".join(json.dumps({"image_path": name}) for name in names))
    plan = planned(data, train_list=listed)
    [bolt, nut] = fold_plans(plan, ("fuzzy",), Scheme("leave-category-out"), apart)
    for inner, tested, trained in ((bolt, names[:3], names[3:]), (nut, names[3:], names[:3])):
        assert sorted(sample.id for sample in inner.training) == sorted(trained)
        assert sorted(sample.id for sample in inner.test_on[0].select(split="test")) == sorted(tested)
        assert not {*trained, *tested} & {sample.id for sample in inner.test_on[0].select(split="train")}


@pytest.mark.parametrize(
    ("scheme", "data", "said"),
    [
        ("leave-category-out", [made("a", "bolt")], "2 categories or more to train on, and a has 1 (bolt)"),
        ("leave-category-out[folds=3]", [made("a", "x", "y")], "3 categories or more to train on, and a has 2 (x, y)"),
        ("leave-category-out", [made("a", "bolt"), made("b", "Bolt")], "a, b has 1 (bolt)"),
        ("leave-defect-out[folds=4]", [made("a", "x")], "4 kinds of defects or more to train on, and a has 3"),
        ("leave-defect-out", [made("a", "x", each=0)], "and a has none"),
        ("k-fold", [made("a", "x", good=9, each=1)], "no category of a has 5 good and 5 defective pictures"),
        ("k-fold[folds=2]", [made("a", "x", good=1)], "at most 1 of each"),
        ("k-fold", [], "nothing is trained on"),
    ],
)
def test_what_cannot_be_divided_so_is_refused(scheme: str, data: list[Dataset], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        fold_plans(planned(*data), ("fuzzy",), Scheme.parse(scheme), apart)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
