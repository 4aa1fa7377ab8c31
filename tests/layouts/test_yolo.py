"""YOLO's text files: outlines, boxes, turned boxes, and where the pictures are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.data import detect_layout
from stackclip.errors import DataError
from stackclip.types import GOOD, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]


def line(number: int, *corners: tuple[float, float], height: int = 12, width: int = 16) -> str:
    return " ".join([str(number), *(f"{x / width:.8f} {y / height:.8f}" for x, y in corners)])


SQUARE = ((2, 3), (5, 3), (5, 7), (2, 7))
TRIANGLE = ((8.2, 1.2), (14.4, 1.2), (8.2, 8.9))
BOX = "1 0.21875 0.416666667 0.1875 0.333333333"  # of the square: centre (3.5, 5) of (16, 12), 3 x 4 pixels


@pytest.fixture
def root(photo: Make, document: Make, tmp_path: Path) -> Path:
    for name in ("images/train/a.png", "images/val/a.png", "images/val/b.png"):
        photo(tmp_path / "plates" / name)
    document(tmp_path / "plates/data.yaml", "train: images/train\nval: images/val\nnames:\n  0: dent\n  1: scratch\n")
    return tmp_path / "plates"


def square() -> NDArray[np.bool_]:
    mask = np.zeros((12, 16), dtype=np.bool_)
    mask[3:7, 2:5] = True
    return mask


def test_outlines_of_pictures_of_the_same_name(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(root / "labels/train/a.txt", f"{line(0, *SQUARE, (2, 5))}\n{line(1, *TRIANGLE)}\n")
    document(root / "labels/val/a.txt", f"\n{line(1, *SQUARE, (2, 5))}\n")
    document(root / "labels/val/b.txt", "")
    found = opened(root)
    assert found.layout == "yolo"
    assert [(each.id, each.split, each.defect) for each in found] == [
        ("images/train/a.png", "train", "dent+scratch"),
        ("images/val/a.png", "test", "scratch"),
        ("images/val/b.png", "test", UNLABELLED),
    ]
    np.testing.assert_array_equal(pixels(found.samples[1]), square())
    assert pixels(found.samples[0])[square()].all()
    assert pixels(found.samples[0]).sum() > square().sum()
    assert "left out" not in found.finding
    assert opened(root, "yolo[unannotated=good]").samples[2].defect == GOOD


@pytest.mark.parametrize("sure", ["", " 0.93"])
def test_boxes_are_no_masks_unless_that_is_chosen(
    root: Path, document: Make, opened: Make, pixels: Pixels, sure: str
) -> None:
    document(root / "labels/val/a.txt", BOX + sure)
    assert [(each.defect, each.mask) for each in opened(root)][1] == ("scratch", None)
    np.testing.assert_array_equal(pixels(opened(root, "yolo[boxes=mask]").samples[1]), square())


def test_four_corners_everywhere_are_turned_boxes_and_beside_others_outlines(
    root: Path, document: Make, opened: Make, pixels: Pixels
) -> None:
    document(root / "labels/val/a.txt", line(0, *SQUARE))
    found = opened(root)
    assert found.samples[1].mask is None
    assert "four corners are taken for turned boxes; corners=outline says that they are outlines" in str(found.warnings)
    np.testing.assert_array_equal(pixels(opened(root, "yolo[corners=outline]").samples[1]), square())
    document(root / "labels/val/b.txt", line(0, *TRIANGLE))
    np.testing.assert_array_equal(pixels(opened(root).samples[1]), square())
    assert opened(root, "yolo[corners=box]").samples[1].mask is None


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("data.yaml", "names: [dent, scratch]\n", "scratch"),
        ("my.yml", "nc: 2\nnames: {0: dent, 1: 'deep scratch'}\n", "deep scratch"),
        ("classes.txt", "dent\nscratch\n", "scratch"),
        ("labels/classes.txt", "dent\nscratch\n", "scratch"),
        ("notes.md", "", "class 1"),
    ],
)
def test_classes_are_called_as_the_file_of_names_says(
    root: Path, document: Make, opened: Make, name: str, content: str, word: str
) -> None:
    (root / "data.yaml").unlink()
    document(root / name, content)
    document(root / "labels/val/a.txt", line(1, *TRIANGLE))
    found = opened(root)
    assert found.samples[1].defect == word
    assert ("other file left out" in found.finding) == (name == "notes.md")


@pytest.mark.parametrize(
    ("picture", "labels"),
    [("a.JPG", "a.txt"), ("val/images/a.png", "val/labels/a.txt"), ("images/a[1].png", "labels/a[1].txt")],
)
def test_a_text_file_lies_beside_the_picture_or_in_labels(
    photo: Make, document: Make, opened: Make, tmp_path: Path, picture: str, labels: str
) -> None:
    photo(tmp_path / "parts" / picture)
    document(tmp_path / "parts" / labels, line(1, *TRIANGLE))
    (sample,) = opened(tmp_path / "parts")
    assert (sample.id, sample.defect, sample.mask is not None) == (picture, "class 1", True)


def test_shares_are_of_the_picture_as_it_is_read(
    photo: Make, document: Make, opened: Make, pixels: Pixels, tmp_path: Path
) -> None:
    photo(tmp_path / "parts/a.jpg", 12, 16, orientation=6)
    document(tmp_path / "parts/a.txt", "0 0 0 1 0 1 0.25")
    (sample,) = opened(tmp_path / "parts")
    mask = pixels(sample)
    assert mask.shape == (16, 12)
    assert mask[:4].any()
    assert not mask[4:].any()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0 0.1 0.2 0.3", r"a\.txt:2: 4 numbers"),
        ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", r"a\.txt:2: 8 numbers"),
        ("0 120 80 40 40", r"a\.txt:2: no class, or places beyond the picture"),
        ("0.5 0.1 0.2 0.3 0.4", r"a\.txt:2: no class, or"),
        ("dent 0.1 0.2 0.3 0.4", r"a\.txt:2: could not convert string"),
        ("a photograph of a plate", r"a\.txt:2: could not convert string"),
    ],
)
def test_a_line_that_is_wrong_is_named(root: Path, document: Make, opened: Make, content: str, words: str) -> None:
    document(root / "labels/val/b.txt", line(0, *TRIANGLE))
    document(root / "labels/val/a.txt", "\n" + content)
    with pytest.raises(DataError, match=words):
        opened(root)


def test_a_text_beside_a_picture_that_is_no_annotation_is_left_out(
    photo: Make, document: Make, opened: Make, tmp_path: Path
) -> None:
    for name in "ab":
        photo(tmp_path / "parts" / f"{name}.png")
    document(tmp_path / "parts/a.txt", line(1, *TRIANGLE))
    document(tmp_path / "parts/b.txt", "a photograph of a plate")
    found = opened(tmp_path / "parts")
    assert [each.defect for each in found] == ["class 1", UNLABELLED]
    assert "1 other file left out: 1 .txt" in found.finding


def test_a_file_of_names_that_is_wrong_is_named(root: Path, document: Make, opened: Make) -> None:
    document(root / "labels/val/a.txt", line(0, *TRIANGLE))
    for content in ("names: [a\n", "names: 7\n", "names: {x: a}\n"):
        document(root / "data.yaml", content)
        with pytest.raises(DataError, match=r"data\.yaml: .*wanted names: a list of classes"):
            opened(root)


def test_labels_of_a_picture_that_is_not_there_are_said(root: Path, document: Make, opened: Make) -> None:
    document(root / "labels/val/a.txt", BOX)
    document(root / "labels/val/gone.txt", BOX)
    document(root / "images/val/numbers.txt", "not of a picture")
    found = opened(root)
    assert any("1 picture of the annotations is not there (gone.txt): left out" in each for each in found.warnings)
    assert "1 other file left out: 1 .txt" in found.finding
    assert not any("not read here" in each for each in found.warnings)


def test_numbers_beside_pictures_are_no_labels_by_themselves(photo: Make, document: Make, tmp_path: Path) -> None:
    for name in ("good/1.png", "dent/2.png"):
        photo(tmp_path / "plates" / name)
    document(tmp_path / "plates/measured.txt", "1 20 30 40 50\n2 21 31 41 51\n")
    assert detect_layout(tmp_path / "plates") == "folder"
