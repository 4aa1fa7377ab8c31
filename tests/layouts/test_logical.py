"""`synthetic-logical`: MVTec-LOCO's layout, a file for each defect, its value and saturation configured."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import BadOption
from stackclip.layouts.logical import SyntheticLogical
from stackclip.registry import datasets
from stackclip.synthetic.arrangement import LOGICAL
from stackclip.synthetic.assembled import STRUCTURAL, draw_assembly, flaws_of
from stackclip.types import ANOMALOUS

FEW = "size=64,train_good=2,validation_good=1,test_good=2,per_kind=2"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: SyntheticLogical = datasets.create(f"synthetic-logical[{FEW}]")
    return made.generate(tmp_path_factory.mktemp("logical"))


def test_it_has_the_splits_and_kinds_of_loco(root: Path) -> None:
    assert [category.name for category in sorted(root.iterdir())] == ["connector_plate", "fastener_tray", "pencil_box"]
    for category in root.iterdir():
        pictures = Counter(path.parent.relative_to(category).as_posix() for path in category.glob("[tv]*/*/*.png"))
        assert pictures == {
            "train/good": 2,
            "validation/good": 1,
            "test/good": 2,
            "test/logical_anomalies": 2 * len(LOGICAL),
            "test/structural_anomalies": 2 * len(STRUCTURAL),
        }


def test_the_reader_of_loco_reads_it(root: Path) -> None:
    samples = datasets.create("mvtec-loco").read(root, "parts")
    tested = [sample for sample in samples if sample.split == "test"]
    assert Counter(sample.defect for sample in tested) == {
        "good": 3 * 2,
        "logical_anomalies": 3 * 2 * len(LOGICAL),
        "structural_anomalies": 3 * 2 * len(STRUCTURAL),
    }
    assert all(sample.mask is not None for sample in tested if sample.label == ANOMALOUS)


def test_each_mask_is_one_defect_whose_value_names_it(root: Path) -> None:
    files = 0
    for category in root.iterdir():
        config = json.loads((category / "defects_config.json").read_text())
        names = {entry["pixel_value"]: entry["defect_name"] for entry in config}
        assert sorted(names, reverse=True) == list(range(255, 255 - len(config), -1))
        for folder in category.glob("ground_truth/*/*"):
            kind = folder.name.split("-", 1)[1]
            assert (category / "test" / folder.parent.name / f"{folder.name}.png").is_file()
            masks = sorted(folder.iterdir())
            assert [mask.name for mask in masks] == [f"{number:03}.png" for number in range(len(masks))]
            for mask in masks:
                [black, value] = np.unique(np.asarray(Image.open(mask)))
                assert black == 0
                assert names[value] == kind or names[value].startswith(f"{kind}_")
                files += 1
    assert files > 3 * 2 * (len(LOGICAL) + len(STRUCTURAL))  # some anomalies are two defects


def test_saturations_are_pixels_at_the_size_of_the_picture_or_the_whole_defect(root: Path) -> None:
    for category in root.iterdir():
        for entry in json.loads((category / "defects_config.json").read_text()):
            assert sorted(entry) == ["defect_name", "pixel_value", "relative_saturation", "saturation_threshold"]
            pixels = flaws_of(category.name, 64)[entry["defect_name"]]
            assert entry["relative_saturation"] is (pixels is None)
            assert entry["saturation_threshold"] == (1.0 if pixels is None else pixels)


def test_it_is_drawn_once_and_alike(root: Path, tmp_path: Path) -> None:
    made = datasets.create(f"synthetic-logical[{FEW}]")
    again = made.generate(tmp_path)
    assert again.name == root.name
    names = sorted(path.relative_to(root) for path in root.rglob("*.*"))
    assert all((root / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert made.generate(tmp_path) == again


def test_every_picture_is_of_its_own(root: Path) -> None:
    pictures = [path.read_bytes() for path in root.glob("*/[tv]*/*/*.png")]
    assert len(set(pictures)) == len(pictures)


def test_every_option_changes_the_name_of_the_folder() -> None:
    words = ("size=64", "categories=1", "train_good=5", "validation_good=5", "test_good=5", "per_kind=5", "seed=1")
    variants = [SyntheticLogical(), *(datasets.create(f"synthetic-logical[{each}]") for each in words)]
    assert len({variant.folder_name for variant in variants}) == len(variants)
    with pytest.raises(BadOption, match="synthetic-logical: categories=4 is not in 1 to 3"):
        SyntheticLogical(categories=4)


def test_the_smallest_picture_shows_every_defect() -> None:
    for kind in (*LOGICAL, *STRUCTURAL):
        assert all(defect.mask.any() for defect in draw_assembly("fastener_tray", kind, seed=3, size=64).defects)
