"""The medical data sets in their public layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.errors import DataError, UnknownLayout
from stackclip.layouts.medical import BrainMri, CvcClinicDb, HeadCt, Isic
from stackclip.types import ANOMALOUS, GOOD, NORMAL

Plant = Callable[..., Path]
ISIC = "ISBI2016_ISIC_Part1"


def head_ct(
    plant: Plant, root: Path, lines: str = "id, hemorrhage\n0,1\n1, 0\n10,1\n", *, folder: str = "head_ct/head_ct"
) -> Path:
    plant(root, *(f"{folder}/{name}.png" for name in ("000", "001", "010")))
    (root / "labels.csv").write_text(lines)
    return root


@pytest.mark.parametrize("folder", ["head_ct/head_ct", "head_ct"])
def test_the_list_of_headct_says_who_bleeds(plant: Plant, tmp_path: Path, folder: str) -> None:
    samples = HeadCt().read(head_ct(plant, tmp_path, folder=folder), "headct")
    assert [(sample.id, sample.label, sample.defect, sample.mask) for sample in samples] == [
        (f"{folder}/000.png", ANOMALOUS, "hemorrhage", None),
        (f"{folder}/001.png", NORMAL, GOOD, None),
        (f"{folder}/010.png", ANOMALOUS, "hemorrhage", None),
    ]
    assert {(sample.category, sample.split) for sample in samples} == {("brain", "test")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "id,hemorrhage\n0,1\n1,0\n2,0\n10,1\n",
            r"labels\.csv: names picture 2 twice, or it is not in .*head_ct/head_ct",
        ),
        ("id,hemorrhage\n0,1\n0,0\n1,0\n10,1\n", r"labels\.csv: names picture 0 twice"),
        ("id,hemorrhage\n0,1\n1,0\n", r"head_ct/010\.png: no line for it in .*labels\.csv"),
        ("picture,label\n0,1\n", r"labels\.csv: wanted a first line: id,hemorrhage"),
        ("", r"labels\.csv: wanted a first line"),
        ("id,hemorrhage\n0,yes\n", r"labels\.csv:2: '0,yes'; wanted a picture's number, then 0 or 1"),
        ("id,hemorrhage\n-1,1\n", r"labels\.csv:2: '-1,1'; wanted"),
        ("id,hemorrhage\n0\n", r"labels\.csv:2: '0'; wanted"),
    ],
)
def test_a_list_that_does_not_go_with_the_pictures_is_refused(
    plant: Plant, tmp_path: Path, lines: str, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        HeadCt().read(head_ct(plant, tmp_path, lines), "headct")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("below", ["", "brain_tumor_dataset/"])
def test_brain_mri_is_told_by_yes_and_no(plant: Plant, tmp_path: Path, below: str) -> None:
    names = ("no/1 no.jpeg", "no/N3.jpg", "yes/Y1.JPG", "yes/Y2.png")
    samples = BrainMri().read(plant(tmp_path, *(below + name for name in names)), "brainmri")
    assert [(sample.id, sample.label, sample.defect) for sample in samples] == [
        (f"{below}no/1 no.jpeg", NORMAL, GOOD),
        (f"{below}no/N3.jpg", NORMAL, GOOD),
        (f"{below}yes/Y1.JPG", ANOMALOUS, "tumor"),
        (f"{below}yes/Y2.png", ANOMALOUS, "tumor"),
    ]


def test_pictures_that_the_archive_of_brain_mri_holds_twice_are_read_once(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, *(f"{below}{answer}/1.jpg" for below in ("", "brain_tumor_dataset/") for answer in ("yes", "no")))
    assert len(BrainMri().read(tmp_path, "brainmri")) == 2


def test_every_picture_of_isic_is_a_lesion_with_its_segmentation(plant: Plant, tmp_path: Path) -> None:
    plant(
        tmp_path,
        f"{ISIC}_Test_Data/ISIC_0000003.jpg",
        f"{ISIC}_Test_Data/ISIC_0000004.jpg",
        f"{ISIC}_Test_GroundTruth/ISIC_0000003_Segmentation.png",
        f"{ISIC}_Training_Data/ISIC_0000000.jpg",
        f"{ISIC}_Training_GroundTruth/ISIC_0000000_Segmentation.png",
    )
    train, test, gap = Isic().read(tmp_path, "isic")
    assert {sample.label for sample in (train, test, gap)} == {ANOMALOUS}
    assert (train.split, test.split, test.category) == ("train", "test", "skin")
    assert test.mask == tmp_path / f"{ISIC}_Test_GroundTruth/ISIC_0000003_Segmentation.png"
    assert gap.mask == tmp_path / f"{ISIC}_Test_GroundTruth/ISIC_0000004_Segmentation.png"  # the path expected


def test_isic_without_its_folder_of_masks_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, f"{ISIC}_Test_Data/ISIC_0000003.jpg")
    with pytest.raises(DataError, match=rf"{ISIC}_Test_GroundTruth: no such folder; wanted the masks of .*Test_Data"):
        Isic().read(tmp_path, "isic")


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [
        ("Original", "Ground Truth"),
        ("images", "masks"),
        ("PNG/Original", "PNG/Ground Truth"),
        ("TIF/images", "TIF/masks"),
    ],
)
def test_frames_and_masks_of_clinicdb_have_one_name(plant: Plant, tmp_path: Path, pictures: str, masks: str) -> None:
    plant(tmp_path, *(f"{folder}/{number}.tif" for folder in (pictures, masks) for number in (1, 12)))
    samples = CvcClinicDb().read(tmp_path, "cvc-clinicdb")
    assert [(sample.id, sample.mask) for sample in samples] == [
        (f"{pictures}/{number}.tif", tmp_path / masks / f"{number}.tif") for number in (1, 12)
    ]
    assert {(sample.label, sample.category, sample.split) for sample in samples} == {(ANOMALOUS, "colon", "test")}


def test_trees_of_the_published_counts_are_found_as_published(plant: Plant, tmp_path: Path) -> None:
    head = tmp_path / "HeadCT"
    plant(head, *(f"head_ct/head_ct/{number:03}.png" for number in range(200)))
    (head / "labels.csv").write_text("id, hemorrhage\n" + "".join(f"{n},{int(n < 100)}\n" for n in range(200)))
    plant(tmp_path / "BrainMRI", *(f"no/{number}.jpg" for number in range(98)))
    plant(tmp_path / "BrainMRI", *(f"yes/{number}.jpg" for number in range(155)))
    plant(tmp_path / "ISIC", *(f"{ISIC}_Test_Data/ISIC_{number:07}.jpg" for number in range(379)))
    plant(tmp_path / "ISIC", *(f"{ISIC}_Test_GroundTruth/ISIC_{n:07}_Segmentation.png" for n in range(379)))
    plant(tmp_path / "CVC-ClinicDB", *(f"Original/{number}.tif" for number in range(1, 613)))
    plant(tmp_path / "CVC-ClinicDB", *(f"Ground Truth/{number}.tif" for number in range(1, 613)))
    for name, expected in {
        "headct": "1 category (brain), test 100 good + 100 defective, no masks",
        "brainmri": "1 category (brain), test 98 good + 155 defective, no masks",
        "isic": "1 category (skin), test 379 defective, 379 masks",
        "cvc-clinicdb": "1 category (colon), test 612 defective, 612 masks",
    }.items():
        found = open_dataset(name, data_root=tmp_path, generated=tmp_path)
        assert found.finding.endswith(expected)
        assert (found.family, found.remark) == (name, "")
        assert Counter(sample.id for sample in found).most_common(1)[0][1] == 1


@pytest.mark.parametrize("name", ["headct", "brainmri", "isic", "cvc-clinicdb"])
def test_a_folder_of_its_name_that_is_laid_out_otherwise_shows_the_tree_wanted(
    plant: Plant, tmp_path: Path, name: str
) -> None:
    plant(tmp_path / name, "a.png")
    with pytest.raises(UnknownLayout) as caught:
        open_dataset(name, data_root=tmp_path, generated=tmp_path)
    first, _, rest = str(caught.value).partition("\n")
    assert first == f"{tmp_path / name}: 1 file (a.png), 1 picture in all; wanted {name}, as below"
    assert "ROOT/" in rest
