"""What is proposed for a folder makes it readable."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data import open_dataset
from stackclip.data.hints import label_words, mask_words
from stackclip.types import ANOMALOUS

Plant = Callable[..., Path]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["fine/1.png", "dent/2.png", "dent/3.png"], "good=fine,bad=dent"),
        (["pics_ng/1.png", "pics_ng/2.png", "pics_ok/1.png"], "good=pics_ok,bad=pics_ng"),
        (["a/1.png", "b/2.png", "b/3.png"], "good=b,bad=a"),
        (["schlecht/1.png", "schlecht/2.png", "gut/1.png"], "good=gut,bad=schlecht"),
        (["Teile defekt/1.png", "Teile defekt/2.png", "Teile/1.png"], "good=Teile,bad=Teile defekt"),
        (["x/clean/images/1.png", "x/dent/images/1.png"], "good=clean/images,bad=dent/images"),
        (["x/clean/1.png", "x/dent/1.png", "x/masks/dent/1-m.png"], "good=clean,bad=dent,masks=masks,mask_suffix=-m"),
    ],
)
def test_the_folders_that_were_found_are_named(plant: Plant, tmp_path: Path, names: list[str], words: str) -> None:
    plant(tmp_path, *names)
    typed = label_words(tmp_path)
    assert typed == f"'{tmp_path}[{words}]'"
    [text] = shlex.split(typed)
    labels = {sample.label for sample in open_dataset(text, generated=tmp_path)}
    assert labels == {0, 1}


def test_without_folders_it_is_said_where_pictures_belong(plant: Plant, tmp_path: Path) -> None:
    assert label_words(plant(tmp_path, "1.png")).startswith(f"{tmp_path}/good/ for good pictures")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["outlines/1-m.png", "outlines/2-m.png"], "masks=outlines,mask_suffix=-m"),
        (["dent/1-m.png", "dent/2-m.png"], "mask_suffix=-m"),
        (["drawn/dent/1.png", "drawn/dent/2.png"], "masks=drawn"),
        (["drawn/dent/9.png"], ""),
    ],
)
def test_masks_that_were_left_out_are_paired_by_the_words(
    plant: Plant, tmp_path: Path, names: list[str], words: str
) -> None:
    plant(tmp_path, "good/0.png", "dent/1.jpg", "dent/2.jpg")
    samples = open_dataset(str(tmp_path), generated=tmp_path / "g").samples
    plant(tmp_path, *names)
    typed = mask_words(tmp_path, "folder", samples)
    assert typed == (f"'{tmp_path}[{words}]'" if words else "")
    for text in shlex.split(typed):
        again = open_dataset(text, generated=tmp_path / "g")
        assert all(each.mask and each.mask.exists() for each in again if each.label == ANOMALOUS)


def test_annotations_and_tables_are_told_their_own_words(tmp_path: Path) -> None:
    assert label_words(tmp_path, "coco[boxes=mask]") == f"'{tmp_path}[boxes=mask,unannotated=good]'"
    assert label_words(tmp_path, "table[file=a.csv,label=x]") == f"'{tmp_path}[file=a.csv,label=COLUMN]'"
