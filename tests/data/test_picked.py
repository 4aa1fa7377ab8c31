"""Single pictures and patterns of them stand where a folder could."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.data.detection import layout_with
from stackclip.data.naming import name_of
from stackclip.errors import BadOption, DataError
from stackclip.ops.outputs import mark_output

Plant = Callable[..., Path]


def ids(text: Path | str, root: Path) -> list[str]:
    return [sample.id for sample in open_dataset(str(text), generated=root / "generated")]


def test_a_pattern_is_the_pictures_that_have_it_in_order(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "shots", "b.png", "a.PNG", "c.txt", "x/d.png", "x/y/e.png", ".hidden.png")
    assert ids(tmp_path / "shots" / "*", tmp_path) == ["a.PNG", "b.png"]
    assert ids(tmp_path / "shots" / "**" / "*.png", tmp_path) == ["b.png", "x/d.png", "x/y/e.png"]
    assert ids(tmp_path / "sh*" / "x" / "[c-e].png", tmp_path) == ["shots/x/d.png"]
    dataset = open_dataset(f"{tmp_path}/shots/*", generated=tmp_path)
    assert dataset.left_out == ("1 other file left out: .txt", "1 folder left out")
    assert (dataset.name, dataset.categories, dataset.samples[0].defect) == ("shots", ("shots",), "unlabelled")


def test_one_picture_is_a_data_set_of_one(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "shots", "part.png", "other.png")
    assert ids(tmp_path / "shots" / "part.png", tmp_path) == ["part.png"]
    assert ids(f"mine={tmp_path}/shots/part.png", tmp_path) == ["part.png"]


def test_a_name_that_looks_like_a_pattern_is_a_name_where_it_is_there(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "lot[1]/a.png", "lot1/b.png", "lot[1]/p[2].png")
    assert ids(tmp_path / "lot[1]", tmp_path) == ["a.png", "p[2].png"]
    assert ids(tmp_path / "lot[1]" / "p[2].png", tmp_path) == ["p[2].png"]
    assert ids(tmp_path / "lot[12]" / "*.png", tmp_path) == ["lot1/b.png"]


def test_what_stackclip_drew_is_not_among_them(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "shots", "a.png", "found/a.png")
    mark_output(tmp_path / "shots" / "found")
    assert ids(tmp_path / "shots" / "**" / "*.png", tmp_path) == ["a.png"]


def test_a_pattern_that_no_picture_has_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "a.txt")
    with pytest.raises(DataError, match=r"no picture has this pattern \(1 other file left out: \.txt\)"):
        ids(tmp_path / "*", tmp_path)


def test_options_stand_behind_a_folder_unless_it_is_called_so(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path, "shots/fine/1.png", "shots/dent/2.png", "shots[good=fine]x/3.png", "lot[2]/fine/4.png")
    dataset = open_dataset(f"{tmp_path}/shots[good=fine,category=cap]", generated=tmp_path)
    assert [(each.id, each.defect) for each in dataset] == [("dent/2.png", "dent"), ("fine/1.png", "good")]
    assert (dataset.name, dataset.layout) == ("shots", "folder[category=cap,good=fine]")
    assert ids(f"{tmp_path}/lot[2][good=fine]", tmp_path) == ["fine/4.png"]
    plant(tmp_path, "shots[good=fine]/5.png")
    assert ids(f"{tmp_path}/shots[good=fine]", tmp_path) == ["5.png"]
    with pytest.raises(BadOption, match=r"folder has no option 'godo' \(did you mean 'good'\?\)"):
        ids(f"{tmp_path}/shots[godo=fine]", tmp_path)


def test_options_of_the_layout_that_is_detected_reach_it(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "k", *(f"kos01/Part{part}{end}" for part in range(2) for end in (".jpg", "_label.bmp")))
    assert str(layout_with(tmp_path / "k", (("train_items", "0"),))) == "ksdd[train_items=0]"
    assert str(layout_with(tmp_path / "k", (("good", "fine"),))) == "folder[good=fine]"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{}/Shots", "shots"),
        ("{}/Shots[good=fine]", "shots"),
        ("{}/Shots/*.png", "shots"),
        ("{}/Shots/a.png", "shots"),
        ("left={}/Shots[good=fine]", "left"),
    ],
)
def test_the_name_of_what_is_typed_is_that_of_the_data_set(plant: Plant, tmp_path: Path, text: str, name: str) -> None:
    plant(tmp_path, "Shots/a.png", "Shots/fine/1.png")
    typed = text.format(tmp_path)
    assert name_of(typed) == name
    if "[" not in typed:
        assert open_dataset(typed, generated=tmp_path).name == name
