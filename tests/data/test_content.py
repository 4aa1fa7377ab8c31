"""Where a name says mask and the pixels say photograph, or the other way round, nothing is counted wrong.

Each tree has three good pictures and three scratches; the third folder, or the third kind of file, is what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, GOOD

SIDE = 64
RNG = np.random.default_rng(0)


def photograph(path: Path, kind: str = "fills") -> None:
    """A photograph that fills its picture, or of a small object on black, in colour or grey."""
    pixels = RNG.integers(60, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    if kind != "fills":
        pixels[30:], pixels[:, 30:] = 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert("L" if kind == "grey on black" else "RGB").save(path)


def mask(path: Path, kind: str = "hard") -> None:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    if kind != "black":
        pixels[10:30, 20:40] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = Image.fromarray(pixels)
    (canvas.filter(ImageFilter.GaussianBlur(1)) if kind == "soft" else canvas).save(path)


def three(draw: Callable[[Path, str], None], folder: Path, name: str, kind: str) -> None:
    for number in range(3):
        draw(folder / name.format(number), kind)


@pytest.fixture(params=["own", "mvtec"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of the labels, in a tree of one's own or in a test split."""
    return tmp_path / "set" if request.param == "own" else tmp_path / "set" / "part" / "test"


def opened(tree: Path) -> Dataset:
    root = next(folder for folder in (tree, *tree.parents) if folder.name == "set")
    return open_dataset(f"{root}/", generated=root.parent / "generated")


def counts(found: Dataset) -> tuple[int, int, int]:
    """Good pictures, defective ones, masks that are there."""
    defective = [each for each in found if each.label == ANOMALOUS]
    there = sum(each.mask is not None and each.mask.exists() for each in defective)
    return len(found) - len(defective), len(defective), there


@pytest.mark.parametrize("kind", ["fills", "on black", "grey on black"])
@pytest.mark.parametrize("extension", ["png", "jpg"])
@pytest.mark.parametrize(
    "folder", ["label", "mask", "gt", "Ground_Truth", "annotations", "scratch_label", "mask_scratch"]
)
def test_photographs_in_a_folder_called_as_masks_are_refused(
    tree: Path, folder: str, extension: str, kind: str
) -> None:
    for name in ("good", "scratch", folder):
        three(photograph, tree / name, f"{{}}.{extension}", kind)
    with pytest.raises(DataError, match="a mask by its name or its folder's, and a picture by its pixels"):
        opened(tree)


@pytest.mark.parametrize("kind", ["fills", "on black", "grey on black"])
@pytest.mark.parametrize("place", ["good/label", "scratch/mask", "label"])
def test_in_another_folder_or_without_defects_too(tree: Path, place: str, kind: str) -> None:
    for name in ("good", place) if place == "label" else ("good", "scratch", place):
        three(photograph, tree / name, "{}.png", kind)
    with pytest.raises(DataError, match="a picture by its pixels"):
        opened(tree)


@pytest.mark.parametrize("kind", ["fills", "on black", "grey on black"])
@pytest.mark.parametrize("name", ["{}_label.png", "{}_mask.png", "gt-{}.png"])
def test_photographs_called_as_masks_beside_pictures_are_refused_and_good_ones_counted(
    tree: Path, name: str, kind: str
) -> None:
    three(photograph, tree / "good", "{}.png", kind)
    three(photograph, tree / "good", name, kind)
    three(photograph, tree / "scratch", "{}.png", kind)
    assert counts(opened(tree)) == (6, 3, 0)
    three(photograph, tree / "scratch", name, kind)
    with pytest.raises(DataError, match="a picture by its pixels"):
        opened(tree)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("folder", ["seg", "binary", "truth", "roi", "target", "polygon", "pixelwise", "annotated"])
@pytest.mark.parametrize("name", ["{}.png", "{}_mask.png", "x{}_defect.png"])
def test_masks_in_a_folder_of_any_name_are_paired_or_refused(tree: Path, folder: str, name: str, kind: str) -> None:
    three(photograph, tree / "good", "1{}.png", "fills")
    three(photograph, tree / "scratch", "{}.png", "fills")
    three(mask, tree / folder, name, kind)
    if name.startswith("x"):
        with pytest.raises(DataError, match=r"masks by their look, beside photographs|none of the masks in"):
            opened(tree)
    else:
        assert counts(opened(tree)) == (3, 3, 3)


def test_masks_that_are_black_pair_too(tree: Path) -> None:
    three(photograph, tree / "good", "1{}.png", "fills")
    three(photograph, tree / "scratch", "{}.png", "fills")
    three(mask, tree / "seg", "{}.png", "black")
    assert counts(opened(tree)) == (3, 3, 3)


def test_masks_of_some_pictures_pair_with_those(tree: Path) -> None:
    three(photograph, tree / "good", "1{}.png", "fills")
    three(photograph, tree / "scratch", "{}.png", "fills")
    for number in (1, 2, 7):
        mask(tree / "seg" / f"{number}.png")
    found = opened(tree)
    assert counts(found) == (3, 3, 2)
    assert "1 mask without a picture" in found.finding or "1 other picture left out" in found.finding


@pytest.mark.parametrize("folder", ["overlays", "Heatmaps", "vis", "thumbnails"])
def test_what_was_drawn_of_pictures_is_left_out_by_name(tree: Path, folder: str) -> None:
    for name in ("good", "scratch", folder):
        three(photograph, tree / name, "{}.png", "fills")
    found = opened(tree)
    assert counts(found) == (3, 3, 0)
    assert "3 other pictures left out" in found.finding
    assert folder in found.finding


@pytest.mark.parametrize("folder", ["clean", "negative", "0", "Golden", "non-damaged"])
def test_a_second_folder_that_may_be_good_is_refused(tree: Path, folder: str) -> None:
    for name in ("good", "scratch", folder):
        three(photograph, tree / name, f"{name}{{}}.png", "fills")
    with pytest.raises(DataError, match="good pictures or a defect"):
        opened(tree)


def test_defects_may_be_numbered_from_0(tree: Path) -> None:
    for name in ("good", "0", "1", "2"):
        three(photograph, tree / name, f"{name}{{}}.png", "fills")
    assert counts(opened(tree)) == (3, 9, 0)


@pytest.mark.parametrize("names", [("image", "label"), ("img", "anomaly_mask"), ("images", "masks")])
def test_pictures_and_masks_in_a_defects_folder_pair(tmp_path: Path, names: tuple[str, str]) -> None:
    tree = tmp_path / "set" / "part" / "test"
    three(photograph, tree / "good", "{}.png", "fills")
    three(photograph, tree / "bad" / names[0], "{}.png", "fills")
    three(mask, tree / "bad" / names[1], "{}.png", "hard")
    found = opened(tree)
    assert counts(found) == (3, 3, 3)
    assert "left out" not in found.finding


def test_a_category_may_be_called_mask(tmp_path: Path) -> None:
    for category in ("bolt", "mask"):
        for name in ("ok", "ng"):
            three(photograph, tmp_path / "own" / category / name, "{}.png", "fills")
            three(photograph, tmp_path / "split" / category / "test" / name, "{}.png", "fills")
        three(mask, tmp_path / "split" / category / "ground_truth" / "ng", "{}_mask.png", "hard")
    for root, masks in (("own", 0), ("split", 6)):
        found = open_dataset(f"{tmp_path / root}/", generated=tmp_path / "generated")
        assert counts(found) == (6, 6, masks)
        assert {each.category for each in found} == {"bolt", "mask"}


@pytest.mark.parametrize("kind", ["fills", "on black"])
def test_unlabelled_photographs_count_whatever_their_folder_is_called(tmp_path: Path, kind: str) -> None:
    for folder in ("a", "label"):
        three(photograph, tmp_path / "set" / folder, "{}.png", kind)
    assert len(opened(tmp_path / "set")) == 6


@pytest.mark.parametrize("name", ["{}.png", "{}_mask.png", "mask-{}.png"])
def test_masks_among_unlabelled_pictures_are_named_and_not_counted(tmp_path: Path, name: str) -> None:
    three(photograph, tmp_path / "set" / "a", "{}.png", "fills")
    three(mask, tmp_path / "set" / "seg", name, "hard")
    found = opened(tmp_path / "set")
    assert [each.image.parent.name for each in found] == ["a", "a", "a"]
    assert "left out" in found.finding
    assert "seg/" in found.finding
    assert all(each.defect != GOOD for each in found)
