"""CVAT's XML: each kind of shape, codes along rows, tags and subsets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.errors import DataError
from stackclip.types import GOOD, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]


def xml(*images: str) -> str:
    meta = "<meta><task><labels><label><name>dent</name></label></labels></task></meta>"
    head = "<?xml version='1.0' encoding='utf-8'?>"
    return f"{head}<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>"


def image(inner: str = "", name: str = "a.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="16" height="12" {more}>{inner}</image>'


def mask_of(values: NDArray[np.bool_], left: int, top: int) -> str:
    """A mask as CVAT writes it: runs along the rows of its own box, the first of zeros, counted one by one."""
    counts, current = [0], False
    for value in values.ravel().tolist():
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    rle = ", ".join(map(str, counts))
    height, width = values.shape
    box = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    return f'<mask label="dent" source="manual" occluded="0" rle="{rle}" {box} z_order="0"/>'


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    return photo(tmp_path / "plates/a.png").parent  # type: ignore[no-any-return]


def test_a_mask_runs_along_the_rows_of_its_own_box(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    values = np.random.default_rng(2).random((5, 7)) < 0.5
    document(root / "annotations.xml", xml(image(mask_of(values, 8, 4))))
    found = opened(root)
    assert (found.layout, found.samples[0].defect) == ("cvat", "dent")
    expected = np.zeros((12, 16), dtype=np.bool_)
    expected[4:9, 8:15] = values
    np.testing.assert_array_equal(pixels(found.samples[0]), expected)
    assert "left out" not in found.finding


def test_polygons_and_ellipses(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    polygon = '<polygon label="dent" points="2.00,3.00;5.00,3.00;5.00,7.00;2.00,7.00"/>'
    ellipse = '<ellipse label="hole" cx="11" cy="6" rx="4" ry="2" rotation="90"/>'
    document(root / "annotations.xml", xml(image(polygon + ellipse)))
    (sample,) = opened(root)
    assert sample.defect == "dent+hole"
    rows, columns = np.mgrid[0:12, 0:16] + 0.5
    expected = ((columns - 11) / 2) ** 2 + ((rows - 6) / 4) ** 2 <= 1
    expected[3:7, 2:5] = True
    np.testing.assert_array_equal(pixels(sample), expected)


def test_a_box_turns_about_its_middle_and_is_no_mask_unless_that_is_chosen(
    root: Path, document: Make, opened: Make, pixels: Pixels
) -> None:
    document(root / "annotations.xml", xml(image('<box label="dent" xtl="4" ytl="4" xbr="10" ybr="6" rotation="90"/>')))
    assert opened(root).samples[0].mask is None
    expected = np.zeros((12, 16), dtype=np.bool_)
    expected[2:8, 6:8] = True
    np.testing.assert_array_equal(pixels(opened(root, "cvat[boxes=mask]").samples[0]), expected)


def test_tags_subsets_lines_and_pictures_without_any(photo: Make, document: Make, opened: Make, tmp_path: Path) -> None:
    root = tmp_path / "plates"
    for name in "abcd":
        photo(root / "images" / f"{name}.png")
    line = '<polyline label="dent" points="1,1;9,9"/>'
    images = (
        image('<tag label="ok"/>', "images/a.png", 'subset="Test"'),
        image('<tag label="dent"/>', "b.png", 'subset="Train"'),
        image(line, "c.png", 'subset="Validation"'),
        image("", "d.png", 'subset="default"'),
    )
    document(root / "annotations.xml", xml(*images))
    assert [(each.split, each.defect, each.mask) for each in opened(root)] == [
        ("test", GOOD, None),
        ("train", "dent", None),
        ("validation", "dent", None),
        ("test", UNLABELLED, None),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<annotations><image", "not XML"),
        ('<!DOCTYPE a [<!ENTITY x "y">]>' + xml(image()).partition("?>")[2], "declares entities"),
        (xml("<image id='0' name='a.png'/>"), "no 'height'; wanted <image name width height>"),
        (xml(image('<polygon label="dent" points="1,2;3"/>')), r"a\.png: shape 1: 3 coordinates"),
        (xml(image('<polygon points="1,2;3,4"/>')), r"a\.png: shape 1: no 'label'"),
        (xml(image('<mask label="d" rle="3" left="0" top="0" width="2" height="2"/>')), "runs of 3 pixels for 2 x 2"),
        (xml(image('<mask label="d" rle="1" left="0" top="0" width="99999" height="99999"/>')), "a mask of 99999 x"),
        (xml(image(), "<track id='0' label='dent'/>"), "annotations of a video; export"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    root: Path, document: Make, opened: Make, content: str, words: str
) -> None:
    document(root / "annotations.xml", content)
    with pytest.raises(DataError, match=rf"annotations\.xml: .*{words}"):
        opened(root, "cvat[file=annotations.xml]")
