"""A picture that was trained on or shown is known by its bytes, whatever its folder is called."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stackclip.benchmarks.overlap import check_content, overlap_notes, trained_on, twins
from stackclip.cache import extract
from stackclip.data import Dataset, open_dataset
from stackclip.errors import CategoryOverlap
from stackclip.types import CLS, MASK, NORMAL


def copied(source: Dataset, root: Path, count: int) -> Dataset:
    """Own pictures with another name of the category, of which the first `count` are tested pictures of `source`."""
    tested = source.select(split="test").samples
    (root / "nut/test/good").mkdir(parents=True)
    for number, sample in enumerate(tested[:count]):
        shutil.copy(sample.image, root / f"nut/test/good/{number}.png")
    return open_dataset(str(root), generated=root)


def test_copies_under_another_name_are_refused_with_their_number_and_both_paths(small, bench, tmp_path: Path) -> None:
    own = copied(small.training, tmp_path / "own", 5)
    plan = small.plan("clip", test_on=(own,))
    with pytest.raises(CategoryOverlap) as caught:
        bench(plan).run()
    message = str(caught.value)
    first = small.training.select(split="test").samples[0].image
    assert message.startswith(
        f"5 tested pictures were trained on, byte for byte: {tmp_path}/own/nut/test/good/0.png (as {first}), "
    )
    assert message.endswith("and 2 more: take them out on one side, or say --allow-overlap")
    assert not (tmp_path / "here").exists()


def test_overlap_that_is_allowed_is_counted_in_every_row_and_said_once(small, bench, tmp_path: Path) -> None:
    own = copied(small.training, tmp_path / "own", 3)
    extract(small.store, small.tower, own, {CLS, MASK, *small.tower.spec.taps})
    rows = bench(small.plan("clip", "precise", test_on=(own,), allow_overlap=True)).run().rows
    assert [row.facts["overlap"] for row in rows] == [{"trained": 3, "shots": 0}] * 2
    assert list(overlap_notes(rows)) == ["tested pictures that were trained on, byte for byte: own nut 3"]
    [clean] = (
        bench(small.plan("clip", test_on=(small.tested.select(categories=small.tested.categories[:1]),))).run().rows
    )
    assert clean.facts["overlap"] == {}
    assert list(overlap_notes([clean])) == []


def with_tested_shots(dataset: Dataset) -> Dataset:
    """The data set with a copy of its normal tested pictures in place of those that shots are drawn from."""
    tested = [sample for sample in dataset if sample.split == "test"]
    normal = [sample for sample in tested if sample.label == NORMAL]
    shown = [replace(sample, id=f"train/{sample.id}", split="train") for sample in normal]
    return replace(dataset, samples=(*shown, *tested))


def test_shots_that_are_tested_are_refused_and_other_training_pictures_are_not(small, bench) -> None:
    plan = small.plan("winclip", shots=1, test_on=(with_tested_shots(small.tested),))
    with pytest.raises(CategoryOverlap, match=r"^\d+ tested pictures? (was|were) shown as shots, byte for byte: "):
        check_content(plan, small.store)
    assert check_content(replace(plan, shots=0), small.store) == ""
    assert check_content(replace(plan, test_on=(small.tested,)), small.store) == ""
    assert "shown as shots" in check_content(replace(plan, allow_overlap=True), small.store)


def test_twins_that_a_published_data_set_has_itself_are_said_and_not_refused(small) -> None:
    own = replace(with_tested_shots(small.tested), published="visa")
    plan = small.plan("winclip", shots=1, test_on=(own,))
    assert "shown as shots" in check_content(plan, small.store)
    with pytest.raises(CategoryOverlap):  # its numbers are not the published ones: somebody changed it
        check_content(replace(plan, test_on=(replace(own, remark="not visa as published"),)), small.store)


def test_the_same_picture_twice_among_the_tested_ones_is_no_overlap(small) -> None:
    tested = small.tested.select(split="test").samples
    again = tuple(replace(sample, id=f"again/{sample.id}") for sample in tested)
    plan = small.plan("clip", test_on=(replace(small.tested, samples=(*tested, *again)),))
    assert check_content(plan, small.store) == ""


def test_a_picture_that_cannot_be_read_is_nobodys_twin(small, tmp_path: Path) -> None:
    lost = [replace(sample, image=tmp_path / "lost.png", id=f"lost/{sample.id}") for sample in small.tested.samples[:2]]
    assert twins(lost, lost, small.store) == ()


def test_pictures_to_predict_that_were_trained_on_are_told(small, tmp_path: Path) -> None:
    own = copied(small.training, tmp_path / "mine", 2)
    assert trained_on(small.plan("clip", test_on=(own,)), small.store).startswith("2 tested pictures were trained on")
    assert trained_on(small.plan("clip"), small.store) == ""
