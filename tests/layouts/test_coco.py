"""COCO's annotations, as a writer of its own puts them down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, GOOD, NORMAL, UNLABELLED, Sample

Make = Callable[..., Any]
Pixels = Callable[[Sample], NDArray[np.bool_]]
SQUARE, OTHER = [2, 3, 5, 3, 5, 7, 2, 7], [8, 0, 10, 0, 10, 2, 8, 2]


def listed(*annotations: dict[str, Any], size: tuple[int, int] = (12, 16), names: str = "abc") -> dict[str, Any]:
    images = [
        {"id": 10 * place + 7, "file_name": f"{name}.png", "height": size[0], "width": size[1]}
        for place, name in enumerate(names)
    ]
    categories = [{"id": 3, "name": "dent"}, {"id": 90, "name": "scratch"}, {"id": 4, "name": "OK"}]
    return {"images": images, "annotations": list(annotations), "categories": categories}


def of(image: int, category: int, segmentation: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 10 * image + 7, "category_id": category, "segmentation": segmentation, **more}


def plain_runs(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Uncompressed runs down the columns, counted one by one."""
    counts, current = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != current:
                counts.append(0)
                current = not current
            counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


@pytest.fixture
def root(photo: Make, tmp_path: Path) -> Path:
    for name in "abc":
        photo(tmp_path / "plates" / "images" / f"{name}.png")
    return tmp_path / "plates"


def square(*corners: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((12, 16), dtype=np.bool_)
    for left, top, right, bottom in corners:
        mask[top:bottom, left:right] = True
    return mask


def test_polygons_of_several_classes_and_gaps_in_ids(
    root: Path, document: Make, opened: Callable[..., Dataset], pixels: Pixels
) -> None:
    document(root / "all.json", listed(of(0, 3, [SQUARE, OTHER]), of(0, 90, [OTHER]), of(2, 90, [SQUARE], iscrowd=1)))
    found = opened(root)
    assert found.layout == "coco"
    assert [(each.id, each.label, each.defect) for each in found] == [
        ("images/a.png", ANOMALOUS, "dent+scratch"),
        ("images/b.png", NORMAL, UNLABELLED),
        ("images/c.png", ANOMALOUS, "scratch"),
    ]
    assert found.categories == ("plates",)
    np.testing.assert_array_equal(pixels(found.samples[0]), square((2, 3, 5, 7), (8, 0, 10, 2)))
    np.testing.assert_array_equal(pixels(found.samples[2]), square((2, 3, 5, 7)))
    assert "1 picture has no annotation (images/b.png): unlabelled; unannotated=good" in " ".join(found.warnings)
    assert "left out" not in found.finding
    assert opened(root, "coco[unannotated=good]").samples[1].defect == GOOD


def test_codes_run_down_the_columns(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    mask = np.random.default_rng(0).random((12, 16)) < 0.3
    packed = "".join(chr(48 + count) for count in (0, 3))  # below 16 a count is one letter; the first three are plain
    rest = {"size": [12, 16], "counts": packed + "m5"}  # 189 = 29 + 32 * 5
    document(root / "all.json", listed(of(0, 3, plain_runs(mask)), of(1, 3, rest, iscrowd=1)))
    first, second, _ = opened(root)
    np.testing.assert_array_equal(pixels(first), mask)
    np.testing.assert_array_equal(pixels(second), square((0, 0, 1, 3)))


def test_a_box_is_no_mask_unless_that_is_chosen(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(
        root / "all.json", listed(of(0, 3, [], bbox=[2, 3, 3, 4]), of(1, 3, [SQUARE]), of(1, 90, bbox=[8, 0, 2, 2]))
    )
    found = opened(root)
    assert [(each.label, each.mask) for each in found.samples[:2]] == [(ANOMALOUS, None)] * 2
    assert "2 pictures have boxes, no outlines (images/a.png, images/b.png): not localised; boxes=mask" in str(
        found.warnings
    )
    boxes = opened(root, "coco[boxes=mask]")
    assert "COCO annotations, boxes as masks" in boxes.finding
    np.testing.assert_array_equal(pixels(boxes.samples[0]), square((2, 3, 5, 7)))
    np.testing.assert_array_equal(pixels(boxes.samples[1]), square((2, 3, 5, 7), (8, 0, 10, 2)))


def test_a_class_that_is_called_good_is_no_defect(root: Path, document: Make, opened: Make, pixels: Pixels) -> None:
    document(root / "all.json", listed(of(0, 4, [SQUARE]), of(1, 4, [SQUARE]), of(1, 3, [OTHER]), of(2, 90, [OTHER])))
    found = opened(root)
    assert [each.defect for each in found] == [GOOD, "dent", "scratch"]
    np.testing.assert_array_equal(pixels(found.samples[1]), square((8, 0, 10, 2)))
    assert [each.defect for each in opened(root, "coco[good=scratch]")] == ["OK", "OK+dent", GOOD]


def test_files_of_splits_lie_in_their_folders(photo: Make, document: Make, opened: Make, tmp_path: Path) -> None:
    root = tmp_path / "plates"
    for split, names in (("train", "a"), ("valid", "bc"), ("test", "d")):
        for name in names:
            photo(root / split / f"{name}.png")
        document(root / split / "_annotations.coco.json", listed(of(0, 3, [SQUARE]), names=names))
    assert {each.id: each.split for each in opened(root)} == {
        "train/a.png": "train",
        "valid/b.png": "validation",
        "valid/c.png": "validation",
        "test/d.png": "test",
    }
    assert {each.split for each in opened(root, "coco[split=test]")} == {"test"}


def test_pictures_that_are_not_there_are_named(root: Path, document: Make, opened: Make) -> None:
    document(root / "all.json", listed(of(0, 3, [SQUARE]), names="axyz"))
    found = opened(root)
    assert "3 pictures of the annotations are not there (x.png, y.png, z.png): left out" in str(found.warnings)
    assert len(found) == 3
    document(root / "all.json", listed(of(0, 3, [SQUARE]), names="xyz"))
    assert opened(root).layout == "folder"
    with pytest.raises(DataError, match=r"all\.json: names no picture below .*plates \(x\.png\)"):
        opened(root, "coco")


def test_two_files_about_one_picture_are_refused_and_one_can_be_named(
    root: Path, document: Make, opened: Make, tmp_path: Path
) -> None:
    document(root / "annotations" / "one.json", listed(of(0, 3, [SQUARE])))
    document(root / "annotations" / "two.json", listed(of(0, 90, [SQUARE])))
    with pytest.raises(DataError, match=r"a\.png: annotated in .*one\.json and .*two\.json; keep one of them"):
        opened(root)
    assert opened(root, "coco[file=annotations/two.json]").samples[0].defect == "scratch"
    by_path = open_dataset(f"mine={root}/annotations/two.json", generated=tmp_path / "generated")
    assert (by_path.name, by_path.root, by_path.samples[0].defect) == ("mine", root, "scratch")
    assert "annotations in the format of COCO are not read here (one.json, ...)" in str(by_path.warnings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"all\.json: not JSON"),
        ({"images": 7, "annotations": [], "categories": []}, r"all\.json: .*wanted \{\"images\""),
        (listed(of(0, 5, [SQUARE])), r"annotation 1: no 5; wanted an image_id and a category_id"),
        (listed(of(9, 3, [SQUARE])), r"annotation 1: no 97; wanted"),
        (listed(of(0, 3, [[1, 2, 3]])), "annotation 1: 3 coordinates"),
        (listed(of(0, 3, [[1, 2, float("nan"), 3]])), "annotation 1: nan is no place in a picture"),
        (listed(of(0, 3)), "annotation 1: neither segmentation nor bbox"),
        (listed(of(0, 3, {"size": [12, 16], "counts": [5]})), "annotation 1: runs of 5 pixels for"),
        (listed(of(0, 3, {"size": [10**6, 10**6], "counts": [5]})), "annotation 1: a code of 1000000 x 1000000 pixels"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    root: Path, document: Make, opened: Make, content: Any, words: str
) -> None:
    document(root / "all.json", content)
    with pytest.raises(DataError, match=words):
        opened(root, "coco[file=all.json]")
