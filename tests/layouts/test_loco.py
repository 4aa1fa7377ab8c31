"""MVTec-LOCO: its validation split, its files of defects, and products that are divided into sub-types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from stackclip.data import open_dataset
from stackclip.data.defects import DEFECTS_CONFIG
from stackclip.errors import DataError
from stackclip.layouts.loco import AutoVi, MvtecLoco
from stackclip.layouts.mvtec import Mvtec
from stackclip.types import NORMAL

Plant = Callable[..., Path]
CONFIG = json.dumps([{"defect_name": "a", "pixel_value": 255, "saturation_threshold": 1, "relative_saturation": True}])
PICTURES = (
    "train/good/000.png",
    "validation/good/000.png",
    "test/good/000.png",
    "test/logical_anomalies/000.png",
    "test/structural_anomalies/000.png",
)
MASKS = tuple(f"ground_truth/{kind}_anomalies/000/000.png" for kind in ("logical", "structural"))


@pytest.fixture
def loco(plant: Plant, tmp_path: Path) -> Path:
    """Two categories, each with a picture of every sort."""
    root = tmp_path / "mvtec_loco"
    for category in ("juice_bottle", "pushpins"):
        plant(root, *(f"{category}/{name}" for name in (*PICTURES, *MASKS)))
        (root / category / DEFECTS_CONFIG).write_text(CONFIG)
    return root


def listed(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["image,subtype", *lines]))
    return path


JUICES = tuple(f"juice_bottle/{name},{'cherry' if 'train' in name else 'banana'}" for name in PICTURES)


def test_the_splits_stand_in_order_and_every_picture_has_its_category_s_file(loco: Path) -> None:
    samples = [sample for sample in MvtecLoco().read(loco, "loco") if sample.category == "pushpins"]
    assert [sample.id for sample in samples] == [f"pushpins/{name}" for name in PICTURES]
    assert [sample.split for sample in samples] == ["train", "validation", "test", "test", "test"]
    assert [sample.mask for sample in samples if sample.label == NORMAL] == [None] * 3
    assert {sample.defects for sample in samples} == {loco / "pushpins" / DEFECTS_CONFIG}


def test_by_its_path_it_is_read_as_by_its_name_and_no_file_is_left_over(loco: Path) -> None:
    named, by_path = (
        open_dataset(text, data_root=root, generated=loco)
        for text, root in (("mvtec-loco", loco.parent), (str(loco), None))
    )
    assert [(s.id, s.split, s.mask, s.defects) for s in named] == [(s.id, s.split, s.mask, s.defects) for s in by_path]
    for found in (named, by_path):
        assert "train 2 good, validation 2 good, test 2 good + 4 defective" in found.finding
        assert "left out" not in found.finding


def test_a_folder_of_the_general_layout_has_saturation_areas_where_its_category_has_the_file(
    plant: Plant, tmp_path: Path
) -> None:
    plant(tmp_path, "with/test/bent/0.png", "with/validation/good/0.png", "without/validation/good/0.png")
    plant(tmp_path, "without/test/bent/0.png")
    (tmp_path / "with" / DEFECTS_CONFIG).write_text(CONFIG)
    found = [(sample.id, sample.defects) for sample in Mvtec().read(tmp_path, "own")]
    config = tmp_path / "with" / DEFECTS_CONFIG
    assert found == [
        ("with/validation/good/0.png", config),
        ("with/test/bent/0.png", config),
        ("without/test/bent/0.png", None),
    ]


def test_a_broken_file_of_defects_stops_the_reading_and_a_missing_one_does_not(loco: Path) -> None:
    (loco / "pushpins" / DEFECTS_CONFIG).write_text("[]")
    with pytest.raises(DataError, match=r"pushpins/defects_config\.json: holds an empty list"):
        MvtecLoco().read(loco, "loco")
    (loco / "pushpins" / DEFECTS_CONFIG).unlink()
    assert len(MvtecLoco().read(loco, "loco")) == 10


def test_subtypes_are_categories_of_their_own_in_order_and_others_stay(loco: Path, tmp_path: Path) -> None:
    samples = MvtecLoco(subtypes=listed(tmp_path / "list.csv", *JUICES)).read(loco, "loco")
    assert list(dict.fromkeys(sample.category for sample in samples)) == [
        "juice_bottle/banana",
        "juice_bottle/cherry",
        "pushpins",
    ]
    assert [sample.id for sample in samples if sample.category == "juice_bottle/cherry"] == [
        "juice_bottle/train/good/000.png"
    ]
    assert {sample.id for sample in samples} == {sample.id for sample in MvtecLoco().read(loco, "loco")}


@pytest.mark.parametrize(("anomalies", "name"), [("both", "subtypes"), ("logical", "subtypes-logical")])
def test_a_divided_data_set_says_so_in_its_name_and_is_the_published_one(
    loco: Path, tmp_path: Path, anomalies: Literal["both", "logical"], name: str
) -> None:
    path = listed(tmp_path / "list.csv", *JUICES)
    text = f"mvtec-loco[anomalies={anomalies},subtypes={path}]"
    found = open_dataset(text, data_root=loco.parent, generated=tmp_path)
    assert (found.name, found.family, found.remark) == (f"mvtec-loco-{name}", "mvtec-loco", "")
    assert ("structural_anomalies" in {sample.defect for sample in found}) == (anomalies == "both")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (JUICES[1:], r"1 of 5 pictures of juice_bottle lack, juice_bottle/train/good/000\.png for one"),
        ((*JUICES, "juice_bottle/test/good/7.png,cherry"), r"juice_bottle/test/good/7\.png: no such picture"),
        ((*JUICES, JUICES[0]), r"list\.csv:7: juice_bottle/train/good/000\.png stands there a second time"),
        (("juice_bottle/test/good/000.png",), r"list\.csv:2: found juice_bottle/test/good/000\.png; wanted a picture"),
        (("a.png,red/green",), r"list\.csv:2: found a\.png,red/green"),
        ((), "names no picture"),
    ],
)
def test_a_list_of_subtypes_that_is_not_whole_is_refused(
    loco: Path, tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        MvtecLoco(subtypes=listed(tmp_path / "list.csv", *lines)).read(loco, "loco")


def test_a_list_without_its_first_line_or_that_is_not_there_is_refused(loco: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,fruit\n")
    with pytest.raises(DataError, match="the first line is path,fruit; wanted image,subtype"):
        MvtecLoco(subtypes=tmp_path / "list.csv").read(loco, "loco")
    with pytest.raises(DataError, match=r"none\.csv: cannot be read \(No such file"):
        MvtecLoco(subtypes=tmp_path / "none.csv").read(loco, "loco")


def test_autovi_is_read_alike(plant: Plant, tmp_path: Path) -> None:
    names = ("train/good/0000.png", "test/missing/0000.png", "ground_truth/missing/0000/0000.png")
    plant(tmp_path, *(f"pipe_clip/{name}" for name in names))
    train, test = AutoVi().read(tmp_path, "autovi")
    assert (train.split, test.defect, test.mask) == (
        "train",
        "missing",
        tmp_path / "pipe_clip/ground_truth/missing/0000",
    )


def test_a_file_beside_the_masks_of_a_defect_that_is_no_picture_is_left_out_aloud(loco: Path) -> None:
    (loco / "pushpins/ground_truth/logical_anomalies/000/notes.txt").touch()
    assert open_dataset(str(loco), generated=loco).finding.endswith("1 other file left out: 1 .txt")
