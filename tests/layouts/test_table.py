"""Tables of pictures: columns, labels, splits, masks, and where the files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.data import Dataset, open_dataset, read_mask
from stackclip.errors import BadOption, DataError
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED

Make = Callable[..., Any]


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    for name in "abcd":
        photo(tmp_path / "plates/pics" / f"{name}.png")
    mask = np.zeros((12, 16), np.uint8)
    mask[3:7, 2:5] = 255
    (tmp_path / "plates/gt").mkdir()
    Image.fromarray(mask).save(tmp_path / "plates/gt/b.png")
    return tmp_path / "plates"


def defects(found: Dataset) -> dict[str, str]:
    return {each.id.removeprefix("pics/").removesuffix(".png"): each.defect for each in found}


def test_columns_are_found_by_their_usual_names_and_said(root: Path, document: Make, opened: Make) -> None:
    document(
        root / "list.csv",
        "Image_Path,Label,mask path,Split,object,inspector\npics/a.png,good,,train,plate,me\n"
        "pics/b.png,dent,gt/b.png,test,plate,me\npics/c.png,OK,gt/b.png,val,disc,me\npics/d.png,anomaly,,test,disc,me\n",
    )
    found = opened(root)
    assert found.layout == "table"
    assert (
        "plates: table (image=Image_Path, label=Label, mask=mask path, split=Split, category=object)" in found.finding
    )
    assert [(each.id, each.category, each.split, each.label, each.defect) for each in found] == [
        ("pics/a.png", "plate", "train", NORMAL, GOOD),
        ("pics/b.png", "plate", "test", ANOMALOUS, "dent"),
        ("pics/c.png", "disc", "validation", NORMAL, GOOD),
        ("pics/d.png", "disc", "test", ANOMALOUS, "anomaly"),
    ]
    assert [each.mask for each in found] == [None, root / "gt/b.png", None, None]
    assert read_mask(found.samples[1], 12).any()
    assert "1 good picture has a mask in the table, which is not counted" in str(found.warnings)
    assert "left out" not in found.finding


def test_a_table_is_opened_by_its_path_under_any_name(root: Path, document: Make, tmp_path: Path) -> None:
    path = document(root / "my list.jsonl", '{"file": "a.png", "y": 0}\n{"file": "b.png", "y": 1}\n')
    found = open_dataset(f"parts={path}", generated=tmp_path / "generated")
    assert (found.name, found.root, found.layout) == ("parts", root, "table[file=my list.jsonl]")
    assert defects(found) == {"a": GOOD, "b": "defect"}
    assert "2 other pictures left out (pics/c.png, pics/d.png)" in found.finding
    assert open_dataset(str(path), generated=tmp_path / "generated").name == "my-list"
    assert open_dataset("my list.jsonl", data_root=root, generated=tmp_path / "generated").samples[0].defect == GOOD


@pytest.mark.parametrize(
    ("label", "defect"),
    [
        *[
            (word, GOOD)
            for word in ("good", "Normal", "OK", "pass", "0", "0.0", "False", "no", "defect-free", "good part")
        ],
        *[(word, "defect") for word in ("1", "1.0", "TRUE", "yes")],
        *[("crack", "crack"), ("bad", "bad"), ("2", "2"), ("a/b", "a-b"), ("unlabelled", "unlabelled-class")],
        ("", UNLABELLED),
    ],
)
def test_words_of_labels(root: Path, document: Make, opened: Make, label: str, defect: str) -> None:
    document(root / "list.csv", f"path,label\npics/a.png,{label}\npics/b.png,crack\n")
    assert defects(opened(root))["a"] == defect


@pytest.mark.parametrize("label", ["negative", "positive", "-1", "clean", "reference"])
def test_a_word_that_may_mean_either_is_asked_about(root: Path, document: Make, opened: Make, label: str) -> None:
    path = document(root / "list.csv", f"path,label\npics/b.png,crack\npics/a.png,{label}\n")
    with pytest.raises(DataError, match=rf"{path}:3: the label '{label}' may mean either; table\[good=WORD\]"):
        opened(root)
    assert defects(opened(root, f"table[good={label}]"))["a"] == GOOD


def test_numbers_are_numbers_whatever_is_good(root: Path, document: Make, opened: Make) -> None:
    """scikit-learn calls what lies within 1 and what lies without -1."""
    document(root / "list.csv", "path,label\npics/a.png,1\npics/b.png,-1\npics/c.png,1.0\npics/d.png,0\n")
    assert defects(opened(root, "table[good=1]")) == {"a": GOOD, "b": "-1", "c": GOOD, "d": "0"}


def test_the_name_of_a_defect_may_have_a_column_of_its_own(root: Path, document: Make, opened: Make) -> None:
    rows = "pics/a.png,0,good\npics/b.png,1,crack\npics/c.png,1,\npics/d.png,1,good\n"
    document(root / "list.csv", f"path,label_index,defect_type\n{rows}")
    assert defects(opened(root)) == {"a": GOOD, "b": "crack", "c": "defect", "d": "defect"}
    document(root / "list.csv", "path,defect\npics/a.png,\npics/b.png,crack\npics/c.png,none\npics/d.png,good\n")
    assert defects(opened(root, "table[file=list.csv]")) == {"a": GOOD, "b": "crack", "c": GOOD, "d": GOOD}


def test_without_labels_masks_tell_and_a_split_alone_tells_nothing(root: Path, document: Make, opened: Make) -> None:
    document(root / "list.csv", "path,mask\npics/a.png,\npics/b.png,gt/b.png\n")
    assert defects(opened(root)) == {"a": GOOD, "b": "defect"}
    document(root / "list.csv", "path,split\npics/a.png,train\npics/b.png,test\n")
    found = opened(root)
    assert defects(found) == {"a": UNLABELLED, "b": UNLABELLED}
    assert "2 rows have neither label nor mask: unlabelled; label= names a column" in str(found.warnings)


def test_columns_may_be_named_and_one_that_is_not_there_is_refused(root: Path, document: Make, opened: Make) -> None:
    document(root / "list.csv", "where,path,grade,label\npics/a.png,x,fine,1\npics/b.png,y,split,0\n")
    found = opened(root, "table[image=where,label=grade,good=fine]")
    assert defects(found) == {"a": GOOD, "b": "split"}
    with pytest.raises(
        BadOption, match=r"label=grades: .*no such column \(did you mean 'grade'\?\); it has where, path"
    ):
        opened(root, "table[image=where,label=grades]")
    document(root / "list.csv", "picture,label,mask\npics/a.png,1,gt/b.png\n")
    assert opened(root, "table[mask=]").samples[0].mask is None
    document(root / "list.csv", "what,label\npics/a.png,1\n")
    with pytest.raises(
        DataError, match=r"list\.csv: no column of pictures among what, label; name it, .*list\.csv\[image="
    ):
        opened(root, "table[file=list.csv]")


@pytest.mark.parametrize(
    ("name", "found"),
    [("pics\\b.png", True), ("/home/other/plates/pics/b.png", True), ("b.png", True), ("e.png", False)],
)
def test_pictures_are_found_by_the_last_parts_of_their_paths(
    root: Path, document: Make, opened: Make, name: str, found: bool
) -> None:
    path = document(root / "list.csv", f"path,label\npics/a.png,good\n{name},dent\n")
    if found:
        assert defects(opened(root)) == {"a": GOOD, "b": "dent"}
    else:
        with pytest.raises(DataError, match=rf"{path}:3: no picture 'e\.png'; wanted a path from"):
            opened(root)


def test_pictures_may_lie_elsewhere(root: Path, document: Make, opened: Make, tmp_path: Path) -> None:
    document(tmp_path / "tables/list.csv", f"path,label\n{root}/pics/a.png,good\n../plates/pics/b.png,dent\n")
    found = open_dataset(str(tmp_path / "tables/list.csv"), generated=tmp_path / "generated")
    assert (found.root, found.categories) == (root / "pics", ("pics",))
    assert [each.id for each in found] == ["a.png", "b.png"]
    assert "2 other pictures left out (c.png, d.png)" in found.finding


def test_two_tables_of_splits_are_one_data_set_and_two_others_are_asked_about(
    root: Path, document: Make, opened: Make
) -> None:
    document(root / "train.csv", "path,label\npics/a.png,good\n")
    document(root / "test.csv", "path,label\npics/b.png,dent\npics/c.png,good\n")
    assert {each.id: each.split for each in opened(root)} == {
        "pics/a.png": "train",
        "pics/b.png": "test",
        "pics/c.png": "test",
    }
    (root / "train.csv").rename(root / "more.csv")
    with pytest.raises(
        DataError, match=r"several tables \(more\.csv, test\.csv\): type the path of one, or table\[file="
    ):
        opened(root)
    assert defects(opened(root, "table[file=more.csv]")) == {"a": GOOD}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\npics/a.png,good\npics/b.png,1\npics/a.png,1\n", r":4: .*a\.png stands in .*:2 too"),
        ("path,label\npics/a.png,good\npics,1\n", r":3: no picture 'pics'"),
        ("path,label\npics/a.png,good\n,1\n", r":3: no picture ''"),
        ("path,label,split\npics/a.png,good,fold 1\n", r":2: the split 'fold 1'; wanted train, val or test"),
        ("path,label\n", "holds no row"),
    ],
)
def test_a_row_that_is_wrong_is_named(root: Path, document: Make, opened: Make, text: str, words: str) -> None:
    document(root / "list.csv", text)
    with pytest.raises(DataError, match=rf"list\.csv.*{words}"):
        opened(root, "table[file=list.csv]")


@pytest.mark.parametrize(
    "text",
    [
        "name,weight\na,1\n",  # names no pictures
        "path,weight\npics/a.png,1\n",  # says nothing of them
        "path,label\ngone.png,1\n",  # of pictures that are not here
        "",
    ],
)
def test_another_table_beside_pictures_is_left_out_and_counted(
    root: Path, document: Make, opened: Make, text: str
) -> None:
    document(root / "list.csv", text)
    found = opened(root)
    assert found.layout == "folder"
    assert "1 other file left out: 1 .csv" in found.finding


def test_a_table_with_columns_of_other_names_is_told_and_read_as_it_says(
    root: Path, document: Make, opened: Make, tmp_path: Path
) -> None:
    path = document(root / "Liste.csv", "Bild;Ergebnis\nC:\\Halle 3\\pics\\a.png;i.O.\nC:\\Halle 3\\pics\\b.png;Riss\n")
    said = f"Liste.csv names pictures: '{path}[image=Bild,label=COLUMN]' reads it"
    assert said in str(opened(root).warnings)
    found = open_dataset(f"{path}[image=Bild,label=Ergebnis,good=i.O.]", generated=tmp_path / "generated")
    assert defects(found) == {"a": GOOD, "b": "Riss"}


def test_pictures_in_forms_that_are_not_read_are_said_to_be_pictures(root: Path, opened: Make) -> None:
    for name in ("IMG_1.HEIC", "b.nef", "notes.txt"):
        (root / "pics" / name).touch()
    found = opened(root)
    assert "2 pictures of a form that is not read (pics/IMG_1.HEIC, pics/b.nef): save as JPEG or PNG" in str(
        found.warnings
    )


def test_a_mask_that_is_not_there_is_missing(root: Path, document: Make, opened: Make) -> None:
    document(root / "list.csv", "path,label,mask\npics/a.png,1,gt/a.png\npics/b.png,1,gt/b.png\npics/c.png,0,\n")
    found = opened(root)
    assert found.samples[0].mask == root / "gt/a.png"
    assert "1 masks, 1 masks missing" in found.finding
