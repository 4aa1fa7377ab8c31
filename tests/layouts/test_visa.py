"""Raw VisA: what its lists say, and nothing outside its folder."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from stackclip.errors import DataError
from stackclip.layouts.visa import Visa
from stackclip.types import ANOMALOUS, NORMAL

LIST = """\
object,split,label,image,mask
pcb1,test,anomaly,pcb1/Data/Images/Anomaly/000.JPG,pcb1/Data/Masks/Anomaly/000.png
pcb1,test,normal,pcb1/Data/Images/Normal/0001.JPG,
pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,
candle,train,normal,candle/Data/Images/Normal/0000.JPG,
"""


def tree(root: Path, text: str = LIST, *, categories: tuple[str, ...] = ("candle", "pcb1")) -> Path:
    for category in categories:
        (root / category).mkdir()
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text(text)
    return root


def test_the_list_gives_split_label_and_mask(tmp_path: Path) -> None:
    train, bad, good, candle = Visa().read(tree(tmp_path), "visa")
    assert [sample.category for sample in (train, bad, good, candle)] == ["pcb1", "pcb1", "pcb1", "candle"]
    assert (train.split, train.label, train.mask) == ("train", NORMAL, None)
    assert (bad.split, bad.label, bad.defect) == ("test", ANOMALOUS, "anomaly")
    assert bad.id == "pcb1/Data/Images/Anomaly/000.JPG"
    assert bad.mask == tmp_path / "pcb1/Data/Masks/Anomaly/000.png"
    assert (good.split, good.defect) == ("test", "good")


def test_a_category_without_its_folder_is_left_out(tmp_path: Path) -> None:
    samples = Visa().read(tree(tmp_path, categories=("candle",)), "visa")
    assert {sample.category for sample in samples} == {"candle"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pcb1,test,normal,../../etc/passwd,", "leads out of the data set's folder"),
        ("pcb1,test,normal,/etc/passwd,", "leads out of"),
        ("pcb1,test,normal,C:/windows/x.png,", "leads out of"),
        ("pcb1,test,anomaly,a.png,..\\..\\x.png", "leads out of"),
        ("..,test,normal,a.png,", "leads out of"),
        ("pcb1,test,odd,a.png,", "test,odd; wanted train or test, then normal or anomaly"),
        ("pcb1,validation,normal,a.png,", "validation,normal; wanted"),
        ("pcb1,test,normal", "wanted 5 fields"),
        ("pcb1,test,normal,a,b,c", "wanted 5 fields"),
        (",test,normal,a.png,", "wanted an object"),
        ("pcb1,test,normal,pcb1/Data/Images/Normal/0001.JPG,", "stands there a second time"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Visa().read(tree(tmp_path, LIST + line + "\n"), "visa")
    assert str(caught.value).startswith(f"{tmp_path / 'split_csv/1cls.csv'}:6: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_missing_or_another_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "image,label\nx,y\n")
    with pytest.raises(DataError, match="wanted object,split,label,image,mask"):
        Visa().read(tmp_path, "visa")
    with pytest.raises(DataError, match=r"2cls_fewshot\.csv: no such list"):
        Visa(split_csv="2cls_fewshot").read(tmp_path, "visa")
    (tmp_path / "split_csv/1cls.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        Visa().read(tmp_path, "visa")


@pytest.mark.parametrize(
    ("split_csv", "train", "test"),
    [
        ("1cls", {NORMAL: 8659}, {NORMAL: 962, ANOMALOUS: 1200}),
        ("2cls_fewshot", {NORMAL: 1924, ANOMALOUS: 240}, {NORMAL: 7697, ANOMALOUS: 960}),
        ("2cls_highshot", {NORMAL: 5773, ANOMALOUS: 720}, {NORMAL: 3848, ANOMALOUS: 480}),
    ],
)
def test_the_published_lists_give_the_published_counts(
    tmp_path: Path,
    shared: Path,
    split_csv: Literal["1cls", "2cls_fewshot", "2cls_highshot"],
    train: dict[int, int],
    test: dict[int, int],
) -> None:
    shutil.copytree(shared / "reference/splits/visa_spotdiff/split_csv", tmp_path / "split_csv")
    with (tmp_path / f"split_csv/{split_csv}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for category in {row["object"] for row in rows}:
        (tmp_path / category).mkdir()
    samples = Visa(split_csv=split_csv).read(tmp_path, "visa")
    assert Counter(sample.label for sample in samples if sample.split == "train") == train
    assert Counter(sample.label for sample in samples if sample.split == "test") == test
    listed = Counter((row["object"], row["split"], row["label"] == "anomaly") for row in rows)
    assert Counter((sample.category, sample.split, sample.label == ANOMALOUS) for sample in samples) == listed
    assert {sample.id for sample in samples} == {row["image"] for row in rows}
    assert list(dict.fromkeys(sample.category for sample in samples)) == list(
        dict.fromkeys(row["object"] for row in rows)
    )
