"""The MVTec-AD layout: labels by folder, masks by stem."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from stackclip.data import open_dataset
from stackclip.data.census import published_counts
from stackclip.errors import DataError
from stackclip.layouts.loco import MvtecLoco
from stackclip.layouts.mvtec import Mvtec
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL

Plant = Callable[..., Path]
TREE = (
    "nut/train/good/000.png",
    "nut/train/good/001.PNG",
    "nut/test/good/000.png",
    "nut/test/scratch/000.png",
    "nut/test/scratch/001.png",
    "nut/test/bent/000.png",
    "nut/ground_truth/scratch/001_mask.png",
    "cap/train/good/000.png",
    "cap/test/good/000.png",
    "license.txt",
    "notes/readme.txt",
)


def test_labels_masks_and_ids_come_from_the_folders(plant: Plant, tmp_path: Path) -> None:
    samples = Mvtec().read(plant(tmp_path, *TREE), "mine")
    assert [(sample.id, sample.split, sample.label, sample.defect) for sample in samples] == [
        ("cap/train/good/000.png", "train", NORMAL, GOOD),
        ("cap/test/good/000.png", "test", NORMAL, GOOD),
        ("nut/train/good/000.png", "train", NORMAL, GOOD),
        ("nut/train/good/001.PNG", "train", NORMAL, GOOD),
        ("nut/test/bent/000.png", "test", ANOMALOUS, "bent"),
        ("nut/test/good/000.png", "test", NORMAL, GOOD),
        ("nut/test/scratch/000.png", "test", ANOMALOUS, "scratch"),
        ("nut/test/scratch/001.png", "test", ANOMALOUS, "scratch"),
    ]
    assert [sample.mask for sample in samples if sample.label == ANOMALOUS] == [
        None,  # no masks at all for `bent`
        tmp_path / "nut/ground_truth/scratch/000_mask.png",  # a gap: the path expected
        tmp_path / "nut/ground_truth/scratch/001_mask.png",
    ]
    assert all(sample.image == tmp_path / sample.id and sample.dataset == "mine" for sample in samples)
    assert {sample.category for sample in samples} == {"cap", "nut"}


def test_the_folder_of_one_category_is_read_by_itself(plant: Plant, tmp_path: Path) -> None:
    samples = Mvtec().read(plant(tmp_path, *TREE) / "nut", "nut")
    assert {sample.category for sample in samples} == {"nut"}
    assert samples[0].id == "train/good/000.png"


def test_anomalous_train_pictures_do_not_take_the_masks_of_test_pictures(plant: Plant, tmp_path: Path) -> None:
    names = ("a/train/hole/0.png", "a/test/hole/0.png", "a/ground_truth/hole/0_mask.png")
    train, test = Mvtec().read(plant(tmp_path, *names), "mine")
    assert (train.label, train.mask) == (ANOMALOUS, None)
    assert test.mask == tmp_path / "a/ground_truth/hole/0_mask.png"


def test_the_ok_and_ko_of_btad_are_understood(plant: Plant, tmp_path: Path) -> None:
    names = ("01/train/ok/0.bmp", "01/test/ok/1.bmp", "01/test/ko/2.bmp", "01/ground_truth/ko/2.png")
    samples = datasets.create("btad").read(plant(tmp_path, *names), "btad")
    assert [(sample.defect, sample.label) for sample in samples] == [(GOOD, 0), ("ko", 1), (GOOD, 0)]
    assert samples[1].mask == tmp_path / "01/ground_truth/ko/2.png"


def test_the_mask_folders_of_loco_are_taken_whole(plant: Plant, tmp_path: Path) -> None:
    names = (
        "a/test/logical_anomalies/000.png",
        "a/ground_truth/logical_anomalies/000/000.png",
        "a/validation/good/1.png",
    )
    validation, sample = datasets.create("mvtec-loco").read(plant(tmp_path, *names), "loco")
    assert (validation.split, validation.label, validation.mask) == ("validation", NORMAL, None)
    assert sample.mask == tmp_path / "a/ground_truth/logical_anomalies/000"


@pytest.mark.parametrize("name", ["a/test/0.png", "a/train/0.png"])
def test_a_picture_beside_the_defect_folders_is_refused(plant: Plant, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"0\.png: beside folders that are labels; move it into one of them: good/"):
        Mvtec().read(plant(tmp_path, "a/test/good/1.png", name), "mine")


@pytest.mark.parametrize(
    ("name", "categories", "other"),
    [
        ("mpdd", ("tubes", "bracket_black"), "bottle"),
        ("btad", ("01", "03"), "tubes"),
        ("dtd-synthetic", ("Woven_001", "mesh_114"), "wood"),
        ("mvtec-loco", ("screw_bag",), "screw"),
        ("goodsad", ("food_box", "drink_can"), "food"),
        ("visa-prepared", ("pcb1", "candle"), "pcb"),
    ],
)
def test_a_published_set_is_recognised_by_its_categories(
    plant: Plant, tmp_path: Path, name: str, categories: tuple[str, ...], other: str
) -> None:
    reader = datasets.create(name)
    plant(tmp_path / "right", *(f"{category}/test/good/0.png" for category in categories), "more/test/good/0.png")
    plant(tmp_path / "wrong", f"{other}/test/good/0.png")
    assert reader.recognises(tmp_path / "right")
    assert reader.recognises(tmp_path / "right" / categories[0])
    assert not reader.recognises(tmp_path / "wrong")
    assert Mvtec().recognises(tmp_path / "wrong")


@pytest.mark.parametrize("below", ["", "1cls/"])
def test_visa_as_its_script_leaves_it_is_read_with_and_without_the_folder_around_it(
    plant: Plant, tmp_path: Path, below: str
) -> None:
    names = ("pcb1/train/good/0000.JPG", "pcb1/test/bad/000.JPG", "pcb1/ground_truth/bad/000.png")
    train, bad = datasets.create("visa-prepared").read(plant(tmp_path, *(below + name for name in names)), "visa")
    assert (train.id, train.split, train.label) == (f"{below}pcb1/train/good/0000.JPG", "train", NORMAL)
    assert (bad.label, bad.mask) == (ANOMALOUS, tmp_path / f"{below}pcb1/ground_truth/bad/000.png")


@pytest.mark.parametrize("split_csv", ["2cls_fewshot", "2cls_highshot"])
def test_the_two_class_lists_of_visa_as_its_script_leaves_them_have_masks_in_both_splits(
    plant: Plant, tmp_path: Path, split_csv: str
) -> None:
    pictures = [f"pcb1/{split}/{label}/{split}{label}.JPG" for split in ("train", "test") for label in ("good", "bad")]
    masks = [f"pcb1/ground_truth/{split}/bad/{split}bad.png" for split in ("train", "test")]
    names = [f"{split_csv}/{name}" for name in (*pictures, *masks)]
    plant(tmp_path / "visa_pytorch", *names, "1cls/pcb1/train/good/0.JPG", "1cls/pcb1/test/good/0.JPG")
    name = f"visa-prepared[split_csv={split_csv}]"
    found = open_dataset(name, data_root=tmp_path, generated=tmp_path)
    assert [(each.split, each.defect, each.mask is not None) for each in found] == [
        *(("train", "bad", True), ("train", "good", False)),
        *(("test", "bad", True), ("test", "good", False)),
    ]
    assert found.family == "visa"
    counts = published_counts("visa", split_csv)["pcb1"]
    assert f"pcb1 has train 1 + 1 (published {counts.train_good} + {counts.train_defective})" in found.remark


@pytest.mark.parametrize("around", ["", "vad/"])
def test_vad_is_one_category_whatever_its_folder_is_called_and_defects_may_train(
    plant: Plant, tmp_path: Path, around: str
) -> None:
    names = (
        "train/good/0.png",
        "train/bad/1.png",
        "test/good/2.png",
        "test/bad/3.png",
        "test/bad_unseen_defects/4.png",
    )
    plant(tmp_path / "Valeo-VAD", *(around + name for name in (*names, "low_shot_train.json")))
    plant(tmp_path / "nut", "train/good/0.png", "test/good/0.png")
    found = open_dataset("vad", data_root=tmp_path, generated=tmp_path)
    assert [(each.category, each.split, each.label, each.defect) for each in found] == [
        *(("vad", "train", 1, "bad"), ("vad", "train", 0, "good")),
        *(("vad", "test", 1, "bad"), ("vad", "test", 1, "bad_unseen_defects"), ("vad", "test", 0, "good")),
    ]
    assert "left out" not in found.finding
    differing = "vad has train 1 + 1 (published 2000 + 1000), test 1 + 2 (published 1000 + 1000)"
    assert found.remark == f"vad: not vad as published: {differing}"


@pytest.mark.parametrize(
    ("anomalies", "defects"),
    [
        ("both", ["good", "logical_anomalies", "structural_anomalies"]),
        ("logical", ["good", "logical_anomalies"]),
        ("structural", ["good", "structural_anomalies"]),
    ],
)
def test_the_anomalies_of_loco_are_tested_together_or_by_kind(
    plant: Plant, tmp_path: Path, anomalies: Literal["both", "logical", "structural"], defects: list[str]
) -> None:
    kinds = ("good", "logical_anomalies", "structural_anomalies")
    plant(tmp_path, "pushpins/train/good/0.png", *(f"pushpins/test/{kind}/0.png" for kind in kinds))
    train, *test = MvtecLoco(anomalies=anomalies).read(tmp_path, "loco")
    assert train.split == "train"
    assert [sample.defect for sample in test] == defects


@pytest.mark.parametrize(
    ("name", "good", "bad", "finding"),
    [
        ("btad", "ok", "ko", "train 1799 good, test 451 good + 290 defective, 290 masks"),
        ("mpdd", "good", "hole", "train 888 good, test 176 good + 282 defective, 282 masks"),
        ("goodsad", "good", "opened", "train 3136 good, test 1328 good + 1660 defective, 1660 masks"),
    ],
)
def test_a_tree_of_the_published_counts_is_found_as_published(
    tmp_path: Path, name: str, good: str, bad: str, finding: str
) -> None:
    for category, counts in published_counts(name).items():
        for folder, number in (
            (f"train/{good}", counts.train_good),
            (f"test/{good}", counts.test_good),
            (f"test/{bad}", counts.test_defective),
            (f"ground_truth/{bad}", counts.test_defective),
        ):
            (tmp_path / name / category / folder).mkdir(parents=True)
            for index in range(number or 0):
                (tmp_path / name / category / folder / f"{index:04}.png").touch()
    found = open_dataset(name, data_root=tmp_path, generated=tmp_path)
    assert found.finding.endswith(finding)
    assert (found.family, found.remark) == (name, "")


@pytest.mark.parametrize(
    ("folder", "normal", "anomalous"), [("MVTec", 467, 1258), ("MPDD", 176, 282), ("BTAD", 451, 290)]
)
def test_a_tree_of_the_published_list_gives_the_published_counts(
    plant: Plant, tmp_path: Path, shared: Path, folder: str, normal: int, anomalous: int
) -> None:
    lines = (shared / f"reference/splits/aa_clip_jsonl/{folder}/full-shot.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    plant(tmp_path, *(row[key] for row in rows for key in ("image_path", "mask_path") if key in row))
    samples = Mvtec().read(tmp_path, "published")
    assert Counter(sample.label for sample in samples) == {NORMAL: normal, ANOMALOUS: anomalous}
    expected = {
        row["image_path"]: (
            row["class_name"],
            int(row["label"]),
            tmp_path / row["mask_path"] if "mask_path" in row else None,
        )
        for row in rows
    }
    assert {sample.id: (sample.category, sample.label, sample.mask) for sample in samples} == expected


@pytest.mark.parametrize("category", ["train", "test", "Test"])
def test_a_category_may_be_called_as_a_split(plant: Plant, tmp_path: Path, category: str) -> None:
    names = ("train/good/0.png", "test/good/1.png", "test/bent/2.png")
    root = plant(tmp_path / "set", *(f"{category}/{name}" for name in names))
    samples = Mvtec().read(root, "mine")
    assert [(sample.category, sample.split, sample.label) for sample in samples] == [
        (category, "train", NORMAL),
        (category, "test", ANOMALOUS),
        (category, "test", NORMAL),
    ]


def test_a_defect_may_be_called_as_a_split(plant: Plant, tmp_path: Path) -> None:
    root = plant(tmp_path / "nut", "train/good/0.png", "test/good/1.png", "test/train/2.png")
    assert [(sample.category, sample.defect) for sample in Mvtec().read(root, "mine")] == [
        ("nut", GOOD),
        ("nut", GOOD),
        ("nut", "train"),
    ]
