"""Sheets show every kind of defect, and outlines go around masks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from stackclip.data.gallery import chosen_samples, outlined, pair_sheet
from stackclip.types import ANOMALOUS, NORMAL, Sample


def sample(category: str, defect: str, number: int, image: Path = Path("a.png"), mask: Path | None = None) -> Sample:
    label = NORMAL if defect in ("good", "unlabelled") else ANOMALOUS
    return Sample(f"{category}/{defect}/{number}.png", "mine", category, "test", image, mask, label, defect)


def test_every_defect_of_every_category_is_chosen_before_one_is_shown_again() -> None:
    counts = {"good": 50, "dent": 9, "hole": 1}
    samples = [sample(c, d, n) for c in ("nut", "cap") for d, count in counts.items() for n in range(count)]
    chosen = Counter((each.category, each.defect) for each in chosen_samples(samples, most=12))
    assert chosen == {(c, d): n for c in ("nut", "cap") for d, n in (("good", 2), ("dent", 3), ("hole", 1))}
    assert len(chosen_samples([sample("nut", "unlabelled", n) for n in range(50)], most=12)) == 12
    assert len(chosen_samples([sample(f"c{n}", "good", n) for n in range(50)], most=12)) <= 12


def test_the_outline_lies_outside_the_mask_and_touches_it() -> None:
    picture = Image.new("RGB", (60, 40), (90, 90, 90))
    mask = np.zeros((40, 60), bool)
    mask[10:20, 20:40] = True
    changed = (np.asarray(outlined(picture, mask)) != 90).any(axis=2)
    around = ndimage.binary_dilation(mask, np.ones((3, 3), bool), iterations=2)
    assert np.array_equal(changed, around & ~mask)


def test_one_pixel_of_a_large_mask_is_outlined() -> None:
    mask = np.zeros((2000, 3000), bool)
    mask[1234, 567] = True
    assert (np.asarray(outlined(Image.new("RGB", (60, 40)), mask)) != 0).any()
    assert not (np.asarray(outlined(Image.new("RGB", (60, 40)), mask & False)) != 0).any()


def test_a_sheet_is_drawn_whatever_can_be_read(tmp_path: Path) -> None:
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    Image.new("RGB", (30, 60), "red").save(good)
    broken.touch()
    odd = [sample("nut", "dent", 1, good, tmp_path / "lacks.png"), sample("nut", "dent", 2, broken)]
    odd += [sample("nut" * 40, "hole\x1b", 3, good), sample("nut", "good", 4, good)]
    pairs = pair_sheet(odd)
    alone = pair_sheet([sample("nut", "unlabelled", number, good) for number in range(4)])
    assert pairs.height > pairs.width / 3
    assert (np.asarray(alone) == (255, 0, 0)).all(axis=2).sum() > 4 * 100 * 200


def test_tiles_are_as_slim_as_the_pictures(tmp_path: Path) -> None:
    shapes = {}
    for name, size in (("tall", (20, 60)), ("wide", (60, 20))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
        shapes[name] = pair_sheet([sample("nut", "good", 0, tmp_path / f"{name}.png")]).size
    assert shapes["tall"][1] > 2 * shapes["tall"][0]
    assert shapes["wide"][0] > 2 * shapes["wide"][1]
