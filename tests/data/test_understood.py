"""What is told of a data set is what a count by hand gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from stackclip.data import open_dataset
from stackclip.data.understood import Understood, understood


def draw(path: Path, mode: str = "RGB", size: tuple[int, int] = (40, 30), box: tuple[int, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(path.name)).integers(60, 200, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "mask":
        values = np.zeros((size[1], size[0]), np.uint8)
        values[slice(*box[:2]), slice(*box[2:])] = 255
    picture = Image.fromarray(values)
    (picture if mode == "mask" else picture.convert(mode)).save(path)


def found(root: Path) -> Understood:
    for name in ("train/good/0.png", "train/good/1.png", "test/good/2.png"):
        draw(root / "nut" / name)
    for name in ("dent/3.png", "dent/4.png", "dent/5.png", "dent/6.png", "hole/7.png"):
        draw(root / "nut/test" / name, "L", (20, 30))
    draw(root / "nut/ground_truth/dent/3_mask.png", "mask", (20, 30), (0, 3, 0, 20))  # a tenth
    draw(root / "nut/ground_truth/dent/4_mask.png", "mask", (20, 30), (0, 0, 0, 0))
    draw(root / "nut/ground_truth/dent/5_mask.png", "mask", (21, 30), (0, 3, 0, 20))
    (root / "nut/test/good/8.png").write_bytes(b"no picture")
    (root / "notes.txt").touch()
    return understood(open_dataset(str(root), generated=root / "g"), str(root))


def test_pictures_are_counted_by_split_and_defect(tmp_path: Path) -> None:
    train, test = found(tmp_path).tallies
    assert (train.category, train.split, train.good, train.defects, train.unlabelled) == ("nut", "train", 2, {}, 0)
    assert (test.category, test.split, test.good, test.defects) == ("nut", "test", 2, {"dent": 4, "hole": 1})


def test_masks_are_told_by_what_is_wrong_with_them(tmp_path: Path) -> None:
    masks = found(tmp_path).masks
    truth = tmp_path / "nut/ground_truth/dent"
    assert (masks.paired, masks.missing, masks.not_localised, masks.looked_at) == (3, (truth / "6_mask.png",), 1, 3)
    assert masks.shares == (0.1, 0.0)
    assert masks.empty == (truth / "4_mask.png",)
    assert [error.path for error in masks.unusable] == [truth / "5_mask.png"]


def test_sizes_and_kinds_are_those_of_the_files(tmp_path: Path) -> None:
    pictures = found(tmp_path).pictures
    assert pictures.sizes == {(30, 40): 3, (30, 20): 5}
    assert pictures.kinds == {"PNG RGB": 3, "PNG L": 5}
    assert [error.path.name for error in pictures.unreadable] == ["8.png"]


def test_the_words_are_for_what_is_not_known(tmp_path: Path) -> None:
    whole = found(tmp_path)
    assert not any("good=" in typed for typed, _ in whole.words)
    assert whole.dataset.left_out == ("1 other file left out: 1 .txt",)
    draw(tmp_path / "plain/fine/1.png")
    draw(tmp_path / "plain/dent/1.png")
    plain = understood(open_dataset(str(tmp_path / "plain"), generated=tmp_path), "plain")
    assert f"'{tmp_path / 'plain'}[good=fine,bad=dent]'" in dict(plain.words)
