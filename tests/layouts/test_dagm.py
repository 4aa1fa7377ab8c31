"""DAGM: a picture is anomalous where it has a label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.data.census import published_counts
from stackclip.errors import DataError
from stackclip.layouts.dagm import Dagm
from stackclip.types import ANOMALOUS, GOOD, NORMAL

Plant = Callable[..., Path]
TREE = (
    "Class10/Test/0001.PNG",
    "Class10/Test/Label/Labels.txt",
    "Class2/Train/0001.PNG",
    "Class2/Train/0002.PNG",
    "Class2/Train/Thumbs.db",
    "Class2/Train/Label/0002_label.PNG",
    "Class2/Test/0002.PNG",
    "Class2/Test/Label/Labels.txt",
    "notes/readme.txt",
)


def test_a_label_makes_a_picture_anomalous_and_is_its_mask(plant: Plant, tmp_path: Path) -> None:
    samples = Dagm().read(plant(tmp_path, *TREE), "dagm")
    assert [(sample.id, sample.category, sample.split, sample.label, sample.defect) for sample in samples] == [
        ("Class2/Train/0001.PNG", "Class2", "train", NORMAL, GOOD),
        ("Class2/Train/0002.PNG", "Class2", "train", ANOMALOUS, "defect"),
        ("Class2/Test/0002.PNG", "Class2", "test", NORMAL, GOOD),
        ("Class10/Test/0001.PNG", "Class10", "test", NORMAL, GOOD),
    ]
    assert [sample.mask for sample in samples] == [None, tmp_path / "Class2/Train/Label/0002_label.PNG", None, None]


def test_a_split_without_labels_and_a_label_without_its_picture_are_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "a", "Class1/Test/0001.PNG")
    with pytest.raises(DataError, match=r"Class1/Test/Label: no such folder; without labels no picture of Test/"):
        Dagm().read(tmp_path / "a", "dagm")
    plant(tmp_path / "b", "Class1/Test/0001.PNG", "Class1/Test/Label/0007_label.PNG")
    with pytest.raises(DataError, match=r"Label/0007_label\.PNG: a label without its picture .*Class1/Test/0007\.PNG$"):
        Dagm().read(tmp_path / "b", "dagm")


def test_two_classes_with_the_published_counts_differ_only_in_being_two(tmp_path: Path) -> None:
    for category in ("Class3", "Class7"):
        counts = published_counts("dagm")[category]
        for split, good, defective in (("Train", *counts[:2]), ("Test", *counts[2:])):
            folder = tmp_path / category / split
            (folder / "Label").mkdir(parents=True)
            for number in range(1, (good or 0) + (defective or 0) + 1):
                (folder / f"{number:04}.PNG").touch()
            for number in range(1, (defective or 0) + 1):
                (folder / "Label" / f"{number:04}_label.PNG").touch()
    found = open_dataset(str(tmp_path), generated=tmp_path)
    assert (found.layout, found.family, found.categories) == ("dagm", "dagm", ("Class3", "Class7"))
    assert found.remark == f"{found.name}: not dagm as published: 2 of its 10 categories"
    assert "train 1509 good + 216 defective, test 1491 good + 234 defective, 450 masks" in found.finding
    (tmp_path / "Class3/Test/0575.PNG").unlink()
    assert open_dataset("dagm", data_root=tmp_path, generated=tmp_path).remark == (
        "dagm: not dagm as published: 2 of its 10 categories; Class3 has test 490 + 84 (published 491 + 84)"
    )
