"""Pascal VOC's boxes: a label, and a mask by choice; whether pixels count from 0 or from 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, GOOD, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]


def xml(*boxes: tuple[str, int, int, int, int], name: str = "a.png", attribute: str = "") -> str:
    objects = "".join(
        f"<object><name>{word}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}"
        "</ymax></bndbox></object>"
        for word, left, top, right, bottom in boxes
    )
    size = "<size><width>16</width><height>12</height><depth>3</depth></size>"
    return f"<annotation{attribute}><folder>x</folder><filename>{name}</filename>{size}{objects}</annotation>"


def mask(top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    found = np.zeros((12, 16), dtype=np.bool_)
    found[top:bottom, left:right] = True
    return found


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    for name in "ab":
        photo(tmp_path / "plates/JPEGImages" / f"{name}.png")
    return tmp_path / "plates"


def test_boxes_make_defects_and_no_masks(root: Path, document: Make, opened: Make) -> None:
    document(root / "Annotations/a.xml", xml(("dent", 3, 4, 5, 7), ("rust", 1, 1, 2, 2), attribute=' verified="yes"'))
    document(root / "Annotations/b.xml", xml(name="b.png"))
    found = opened(root)
    assert found.layout == "voc"
    assert [(each.label, each.defect, each.mask) for each in found] == [
        (ANOMALOUS, "dent+rust", None),
        (0, UNLABELLED, None),
    ]
    assert "test 1 defective + 1 unlabelled, no masks" in found.finding
    assert "1 picture has boxes, no outlines (JPEGImages/a.png): not localised; boxes=mask" in str(found.warnings)
    assert opened(root, "voc[unannotated=good]").samples[1].defect == GOOD


@pytest.mark.parametrize(
    ("option", "others", "expected", "first"),
    [
        ("", (4, 4, 8, 8), mask(3, 7, 2, 5), 1),  # the devkit: pixels count from 1, and the last is in the box
        ("", (0, 4, 8, 8), mask(4, 8, 3, 6), 0),  # a box that begins at 0 anywhere: they count from 0
        (",first=0", (4, 4, 8, 8), mask(4, 8, 3, 6), 0),
        (",first=1", (0, 4, 8, 8), mask(3, 7, 2, 5), 1),
    ],
)
def test_boxes_by_choice_are_masks_from_their_first_pixel_to_their_last(
    root: Path,
    document: Make,
    opened: Make,
    pixels: Pixels,
    option: str,
    others: tuple[int, int, int, int],
    expected: NDArray[np.bool_],
    first: int,
) -> None:
    document(root / "Annotations/a.xml", xml(("dent", 3, 4, 5, 7)))
    document(root / "Annotations/b.xml", xml(("dent", *others), name="b.png"))
    found = opened(root, f"voc[boxes=mask{option}]")
    np.testing.assert_array_equal(pixels(found.samples[0]), expected)
    assert f"boxes are read from {first} on (first={first})" in str(found.warnings)
    assert "Pascal VOC annotations, boxes as masks" in found.finding


def test_a_box_beyond_the_rim_is_cut_off(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(root / "Annotations/a.xml", xml(("dent", -1, -3, 2, 4), ("dent", 15, 11, 40, 40)))
    found = pixels(opened(root, "voc[boxes=mask,first=1]").samples[0])
    np.testing.assert_array_equal(found, mask(0, 4, 0, 2) | mask(10, 12, 14, 16))


def test_the_picture_has_the_name_of_the_file_where_the_name_in_it_is_another(
    root: Path, document: Make, opened: Make
) -> None:
    document(root / "Annotations/a.xml", xml(("dent", 3, 4, 5, 7), name="frame_001.tiff"))
    assert [each.defect for each in opened(root)] == ["dent", UNLABELLED]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotation><filename>a.png</filename><object><name>x</name></object></annotation>", "object 1: no <bndbox>"),
        (xml(("dent", 1, 2, 3, 4)).replace("<xmax>3</xmax>", ""), "object 1: float"),
        (xml().replace("<width>16", "<width>wide"), "invalid literal"),
        ("<annotation><object><filename>", "not XML"),
    ],
)
def test_what_is_wrong_is_named(root: Path, document: Make, opened: Make, content: str, words: str) -> None:
    document(root / "Annotations/a.xml", content)
    with pytest.raises(DataError, match=rf"a\.xml: .*{words}"):
        opened(root, "voc")
