"""The generated pictures: reproducible, true to their masks, and written whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import BadOption, UsageError
from stackclip.layouts import generated
from stackclip.layouts.generated import Synthetic
from stackclip.registry import datasets
from stackclip.synthetic import (
    COLOURS,
    CONTRAST,
    DEFECTS,
    MIN_AREA,
    PARTS,
    PATTERNS,
    SHAPES,
    Pair,
    PartName,
    Subtlety,
    categories_of,
    contact_sheet,
    draw,
    draw_pair,
    kinds_of,
    spread,
)
from stackclip.synthetic.parts import subtlety_of
from stackclip.synthetic.scene import PLAIN
from stackclip.synthetic.sheet import SHEETS, SheetName
from stackclip.types import ANOMALOUS, NORMAL

PATTERN_NAMES, SHAPE_NAMES, KINDS = tuple(PATTERNS), tuple(SHAPES), tuple(DEFECTS)

DIGEST = "c335efa805fd3d2667bc445b17c3c355fee31accf8ab4cde96370f33bd06b0ea"
DIGEST_OF_A_FEW = """
import hashlib
from stackclip.synthetic import DEFECTS, PATTERNS, SHAPES, draw_pair
digest = hashlib.sha256()
for number, kind in enumerate(DEFECTS):
    category = f"{tuple(PATTERNS)[number]}-{tuple(SHAPES)[number]}"
    pair = draw_pair(category, kind, seed=number, size=64)
    for array in (pair.good, pair.defective, pair.mask):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def change(pair: Pair) -> np.ndarray:
    """The largest difference over the channels, in levels: (S, S)."""
    return np.abs(pair.good.astype(int) - pair.defective).max(2)


def some_pairs(kind: str, count: int = 8) -> list[Pair]:
    start = KINDS.index(kind)
    return [
        draw_pair(
            f"{PATTERN_NAMES[(start + 3 * i) % len(PATTERN_NAMES)]}-{SHAPE_NAMES[(start + 5 * i) % len(SHAPE_NAMES)]}",
            kind,
            seed=100 * start + i,
        )
        for i in range(count)
    ]


def test_one_seed_gives_the_same_bytes_again() -> None:
    one, again = (draw_pair("woven-bottle", "scratch", seed=5) for _ in range(2))
    assert one.good.tobytes() == again.good.tobytes()
    assert one.defective.tobytes() == again.defective.tobytes()
    assert one.good.tobytes() != draw_pair("woven-bottle", "scratch", seed=6).good.tobytes()


@pytest.mark.parametrize("salt", ["1", "2"])
def test_another_process_draws_the_pictures_of_this_version(salt: str) -> None:
    """Where this fails the drawing has changed: raise _VERSION, so that no older folder is reused, and renew DIGEST."""
    done = subprocess.run(
        [sys.executable, "-c", DIGEST_OF_A_FEW],
        env={**os.environ, "PYTHONHASHSEED": salt},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == DIGEST


def test_a_pair_says_what_it_shows() -> None:
    pair = draw_pair("tiled-star", "stain", seed=1, size=80)
    assert pair.good.shape == pair.defective.shape == (80, 80, 3)
    assert pair.good.dtype == pair.defective.dtype == np.uint8
    assert pair.mask.shape == (80, 80)
    assert pair.mask.dtype == np.bool_
    assert (pair.pattern, pair.shape, pair.defect) == ("tiled", "star", "stain")
    assert pair.colour in PATTERNS["tiled"].colours


def test_the_good_product_does_not_depend_on_the_defect() -> None:
    goods = {draw_pair("cloudy-tube", kind, seed=9).good.tobytes() for kind in KINDS}
    goods.add(draw("cloudy", "tube", seed=9).tobytes())
    assert len(goods) == 1


def test_a_named_colour_is_the_colour_of_a_plain_surface() -> None:
    for name, colour in COLOURS.items():
        mean = draw("plain", "surface", colour=name, seed=3, size=48).mean((0, 1)) / 255
        nearest = min(COLOURS, key=lambda other: np.abs(np.array(COLOURS[other]) - mean).max())
        assert nearest == name, (name, colour, mean)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_shows_within_its_mask_and_nowhere_else(kind: str) -> None:
    for pair in some_pairs(kind):
        difference = change(pair)
        visible = difference > 20
        assert (visible & pair.mask).sum() >= 0.95 * visible.sum()
        assert difference[~pair.mask].max() <= 12
        # The sensor's noise clips at black and white, so a little of the contrast may be lost.
        assert difference[pair.mask].mean() >= 0.85 * CONTRAST
        assert pair.mask.mean() >= MIN_AREA
        assert pair.mask.mean() <= 0.35


@pytest.mark.parametrize("size", [64, 112, 160])
def test_every_category_is_drawable_at_every_size(size: int) -> None:
    for number, category in enumerate(f"{pattern}-{shape}" for pattern in PATTERNS for shape in SHAPES):
        if size != 64 and number % 7:
            continue
        pair = draw_pair(category, KINDS[number % len(KINDS)], seed=number, size=size)
        assert pair.good.shape == (size, size, 3)
        assert pair.mask.any()


def test_another_size_shows_the_same_scene() -> None:
    for number, kind in enumerate(KINDS):
        category = f"{PATTERN_NAMES[number]}-{SHAPE_NAMES[number + 2]}"
        small = draw_pair(category, kind, seed=number, size=112)
        large = draw_pair(category, kind, seed=number, size=224)
        halved = large.defective.reshape(112, 2, 112, 2, 3).mean((1, 3))
        assert np.abs(halved - small.defective).mean() < 12
        mask = large.mask.reshape(112, 2, 112, 2).mean((1, 3)) >= 0.5
        assert (mask & small.mask).sum() >= 0.75 * (mask | small.mask).sum()


def test_unknown_names_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no pattern is named 'paisley'"):
        draw("paisley", "disc", seed=0)
    with pytest.raises(UsageError, match="no shape is named 'teapot'"):
        draw_pair("plain-teapot", "scratch", seed=0)
    with pytest.raises(UsageError, match="no colour is named 'mauve'"):
        draw("plain", "disc", colour="mauve", seed=0)
    with pytest.raises(UsageError, match="no defect is named 'rust'"):
        draw_pair("plain-disc", "rust", seed=0)


def test_training_shows_nothing_of_what_the_other_parts_hold_back() -> None:
    training = set(categories_of("training"))
    assert len(training) == 156
    assert len(set(categories_of("combinations"))) == len(categories_of("combinations")) == 40
    for part in PARTS[1:]:
        assert training.isdisjoint(categories_of(part))
    assert not {category.split("-")[1] for category in training} & {"gear", "cable"}
    assert kinds_of("defects") == ("hole", "cut")
    assert {*kinds_of("training"), *kinds_of("defects")} == set(KINDS)
    assert not set(kinds_of("training")) & set(kinds_of("defects"))


def test_a_subtle_defect_is_smaller_and_fainter_where_the_good_product_is_the_same() -> None:
    faint = Subtlety(strength=0.4)
    for number, kind in enumerate(KINDS):
        category = f"{PATTERN_NAMES[number]}-disc"
        whole, small, pale = (
            draw_pair(category, kind, seed=number, subtlety=subtlety)
            for subtlety in (PLAIN, Subtlety(scale=0.6), faint)
        )
        assert whole.good.tobytes() == small.good.tobytes() == pale.good.tobytes()
        assert small.mask.any()
        if kind not in ("missing-part", "deformation"):
            assert change(pale)[pale.mask].mean() < change(whole)[whole.mask].mean()
    sizes = [draw_pair("plain-disc", "stain", seed=seed, subtlety=Subtlety(0.5)).mask.sum() for seed in range(8)]
    assert np.mean(sizes) < 0.5 * np.mean([draw_pair("plain-disc", "stain", seed=seed).mask.sum() for seed in range(8)])


def test_only_what_is_novel_is_subtle_and_each_picture_differently() -> None:
    assert all(subtlety_of(part, 3) is PLAIN for part in PARTS if part != "novel")
    assert len({subtlety_of("novel", seed) for seed in range(20)}) == 20
    assert kinds_of("novel") == KINDS


def test_each_known_pattern_and_shape_is_held_out_about_as_often() -> None:
    patterns, shapes = (
        Counter(category.split("-")[side] for category in categories_of("combinations")) for side in (0, 1)
    )
    assert set(patterns) == set(PATTERNS)
    assert {*patterns.values(), *shapes.values()} <= {2, 3}
    assert set(shapes) == set(SHAPES) - {"gear", "cable"}


@pytest.mark.parametrize("part", ["training", "combinations"])
def test_twelve_categories_are_spread_over_patterns_and_shapes(part: PartName) -> None:
    chosen = [category.split("-") for category in spread(part, 12)]
    assert len({pattern for pattern, _ in chosen}) == 12
    assert Counter(shape for _, shape in chosen)["surface"] == 3
    assert len({shape for _, shape in chosen}) == 10
    assert spread(part, 1000) == tuple(sorted(categories_of(part)))


def test_a_generated_folder_is_complete_and_readable(tmp_path: Path) -> None:
    made = Synthetic(size=48, categories=4, per_category=12, train_good=2)
    root = made.generate(tmp_path)
    samples = made.read(root, "synthetic")

    assert {sample.category for sample in samples} == set(made.categories)
    assert {sample.dataset for sample in samples} == {"synthetic"}
    assert Counter((sample.split, sample.label) for sample in samples) == {
        ("train", NORMAL): 4 * 2,
        ("test", NORMAL): 4 * 6,
        ("test", ANOMALOUS): 4 * 6,
    }
    assert {sample.defect for sample in samples} == {"good", *kinds_of("training")}
    for sample in samples:
        with Image.open(sample.image) as picture:
            assert (picture.size, picture.mode) == ((48, 48), "RGB")
        if sample.label == ANOMALOUS:
            assert sample.mask is not None
            with Image.open(sample.mask) as mask:
                assert (mask.size, mask.mode) == ((48, 48), "L")
                assert set(np.unique(np.asarray(mask))) == {0, 255}
    assert len({sample.image.read_bytes() for sample in samples}) == len(samples)


def test_a_paired_set_shows_the_same_products_good_and_defective(tmp_path: Path) -> None:
    root = Synthetic(size=64, categories=1, per_category=4, train_good=0, paired=True).generate(tmp_path)
    (category,) = root.iterdir()
    kinds = sorted(folder.name for folder in (category / "test").iterdir() if folder.name != "good")
    closest = []
    for kind in kinds:
        defective = np.asarray(Image.open(category / "test" / kind / "000.png")).astype(int)
        outside = np.asarray(Image.open(category / "ground_truth" / kind / "000_mask.png")) == 0
        goods = [np.asarray(Image.open(path)).astype(int) for path in sorted((category / "test" / "good").iterdir())]
        closest.append(min(int(np.abs(good - defective).max(2)[outside].max()) for good in goods))
    assert len(kinds) == 2
    assert max(closest) <= 12


def test_a_complete_folder_is_not_drawn_again(tmp_path: Path) -> None:
    made = Synthetic(size=32, categories=2, per_category=2, train_good=1)
    first = made.generate(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert made.generate(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before


def test_an_interrupted_run_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Synthetic(size=32, categories=2, per_category=2, train_good=1)
    draws, write = iter(range(3)), generated.write_picture

    def interrupted(folder: Path, name: str, picture: Any) -> None:
        if next(draws, None) is None:
            raise KeyboardInterrupt
        write(folder, name, picture)

    with monkeypatch.context() as patch:
        patch.setattr(generated, "write_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.generate(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(made.read(made.generate(tmp_path), "synthetic")) == 2 * 3


def test_two_at_once_agree_on_one_folder(tmp_path: Path) -> None:
    made = Synthetic(size=32, categories=2, per_category=2, train_good=1)
    roots: list[Path] = []
    workers = [threading.Thread(target=lambda: roots.append(made.generate(tmp_path))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(roots) == 3
    assert set(roots) == set(tmp_path.iterdir())


def test_every_option_changes_the_name_of_the_folder() -> None:
    variants = [
        Synthetic(),
        *(Synthetic(part=part) for part in PARTS[1:]),
        Synthetic(size=64),
        Synthetic(categories=13),
        Synthetic(per_category=30),
        Synthetic(train_good=5),
        Synthetic(paired=True),
        Synthetic(seed=1),
    ]
    assert len({variant.folder_name for variant in variants}) == len(variants)


def test_the_data_set_stands_on_its_shelf_with_typed_options() -> None:
    made = datasets.create("synthetic[part=shapes,size=64,categories=3,paired=yes]")
    assert isinstance(made, Synthetic)
    assert (made.part, made.size, made.paired, len(made.categories)) == ("shapes", 64, True, 3)
    with pytest.raises(BadOption, match="categories=29 is not in 1 to 28"):
        datasets.create("synthetic[part=shapes,categories=29]")
    with pytest.raises(BadOption, match="part='other'"):
        datasets.create("synthetic[part=other]")


@pytest.mark.parametrize("what", SHEETS)
def test_a_sheet_shows_something_for_every_name(what: SheetName) -> None:
    picture = contact_sheet(what, size=32)
    assert picture.mode == "RGB"
    assert len(picture.getcolors(1 << 24) or ()) > 1000


@pytest.mark.parametrize("size", [48, 112])
def test_a_good_picture_of_a_data_set_is_that_of_its_pair(tmp_path: Path, size: int) -> None:
    dataset = Synthetic(part="novel", categories=2, per_category=4, train_good=2, size=size)
    root = dataset.generate(tmp_path)
    for category in dataset.categories:
        for role, folder in (("train", "train/good"), ("good", "test/good")):
            for index in range(2):
                pair = dataset._pair(category, "hole", role, index)
                with Image.open(root / category / folder / f"{index:03}.png") as picture:
                    assert np.array_equal(np.asarray(picture), pair.good)
