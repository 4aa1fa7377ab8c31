"""A folder's layout is told from its tree, or the trees known are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stackclip.data.detection import LAYOUTS, detect_layout
from stackclip.errors import DataError, UnknownLayout
from stackclip.registry import datasets

Plant = Callable[..., Path]
ANNOTATED_TREES = {
    "coco": {
        "train/a.jpg": "",
        "train/a.coco.json": '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}',
    },
    "labelme": {"train/a.jpg": "", "train/a.json": '{"shapes": [], "imagePath": "a.jpg"}'},
    "yolo": {"images/train/a.jpg": "", "labels/train/a.txt": "0 0.5 0.5 0.1 0.1"},
    "cvat": {"a.jpg": "", "a.xml": "<annotations><image name='a.jpg' width='9' height='9'/></annotations>"},
    "label-studio": {"a.jpg": "", "a.json": '[{"data": {"image": "/d/a.jpg"}, "annotations": [{"result": []}]}]'},
    "voc": {"JPEGImages/a.jpg": "", "Annotations/a.xml": "<annotation><filename>a.jpg</filename></annotation>"},
    "table": {"a.jpg": "", "list.csv": "path,label\na.jpg,good\n"},
}


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["nut/train/good/0.png", "nut/test/bent/0.png"], "mvtec"),
        (["nut/test/good/0.png"], "mvtec"),
        (["train/good/0.png", "test/good/0.png"], "mvtec"),
        (["split_csv/1cls.csv", "pcb1/Data/Images/Normal/0.JPG"], "visa"),
        (["pcb1/Data/Images/Normal/0.JPG"], "visa"),
        (["kos01/Part0.jpg", "kos01/Part0_label.bmp"], "ksdd"),
        (["Class1/Test/0001.PNG", "Class1/Test/Label/0001_label.PNG"], "dagm"),
        (["labels.csv", "head_ct/head_ct/000.png"], "headct"),
        (["ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg"], "isic"),
        (["Class1/test/good/0.png", "Class1/train/good/0.png"], "mvtec"),
        (["a.png"], "folder"),
        (["yes/a.jpg", "no/a.jpg"], "folder"),
        (["images/1.png", "masks/1.png"], "folder"),
        (["good/a.png", "dent/b.png"], "folder"),
        (["caps/good/a.png", "caps/dent/b.png"], "folder"),
        (["2024/may/a.png"], "folder"),
    ],
)
def test_each_tree_is_told(plant: Plant, tmp_path: Path, names: list[str], layout: str) -> None:
    assert detect_layout(plant(tmp_path, *names)) == layout


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.txt", "b.csv"], "2 files (a.txt, b.csv), no picture in all"),
        (["x/a.txt"], "1 folder (x), no picture in all"),
        (
            [f"{name}/a.txt" for name in "abcde"] + ["z"],
            "5 folders (a, b, c, d, ...) and 1 file (z), no picture in all",
        ),
    ],
)
def test_a_folder_of_no_known_layout_says_what_it_holds_and_shows_the_trees(
    plant: Plant, tmp_path: Path, names: list[str], found: str
) -> None:
    with pytest.raises(UnknownLayout) as caught:
        detect_layout(plant(tmp_path, *names))
    first, _, rest = str(caught.value).partition("\n")
    assert first == f"{tmp_path}: {found}; wanted {' or '.join(LAYOUTS)}, as below"
    for layout in LAYOUTS:
        assert f"{layout}:\n{datasets.create(layout).tree.rstrip()}" in rest


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownLayout) as caught:
        detect_layout(tmp_path)
    assert str(caught.value) == f"{tmp_path}: an empty folder; wanted pictures in it"


def test_a_folder_of_data_sets_is_not_taken_for_one(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "mvtec/nut/test/good/0.png", "sdd/kos01/Part0.jpg", "0.png")
    with pytest.raises(UnknownLayout, match=r"holds data sets \(mvtec, sdd\) and is none itself: name one of them"):
        detect_layout(tmp_path)


def test_what_is_no_folder_is_refused(plant: Plant, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: no such folder; nothing is downloaded"):
        detect_layout(tmp_path / "absent")
    with pytest.raises(DataError, match=r"a\.png: is a file; name the folder"):
        detect_layout(plant(tmp_path, "a.png") / "a.png")


def test_the_tree_that_each_reader_shows_is_one_it_recognises(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "visa", "split_csv/1cls.csv")
    plant(tmp_path / "ksdd", "kos01/Part0.jpg")
    plant(tmp_path / "dagm", "Class1/Test/0001.PNG", "Class1/Test/Label/0001_label.PNG")
    plant(tmp_path / "headct", "labels.csv", "head_ct/head_ct/000.png")
    plant(tmp_path / "isic", "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg")
    plant(tmp_path / "mvtec-ad2", "can/test_public/good/0_regular.png")
    plant(tmp_path / "real-iad", "pcb/OK/S0001/pcb_0001_OK_C1_1.jpg")
    plant(tmp_path / "bmad", "Brain/test/good/img/0.png")
    variety = "realiadvariety_raw/gear/OK/S0001/gear_0001_OK_C1_1.png"
    plant(tmp_path / "real-iad-variety", variety, "realiadvariety_jsons/gear.json")
    plant(tmp_path / "ksdd2", "train/10000.png", "train/10000_GT.png")
    plant(tmp_path / "manta", "agriculture/maize/test/good/0.png")
    Image.new("L", (50, 10)).save(tmp_path / "manta/agriculture/maize/test/good/0.png")
    for layout, names in ANNOTATED_TREES.items():
        for name, content in names.items():
            (tmp_path / layout / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / layout / name).write_text(content, encoding="utf-8")
    plant(tmp_path / "mvtec", "CATEGORY/train/good/0.png")
    plant(tmp_path / "folder", "CATEGORY/good/0.png")
    for layout in LAYOUTS:
        assert detect_layout(tmp_path / layout) == layout
