"""BMAD's sets in the layouts that go round: the same pictures, whatever their folders are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError

GOOD, BAD, MASK = "good picture", "defective picture", "mask"
LAYOUTS: dict[str, Callable[[str, str], str]] = {
    "label, then img": lambda split, kind: (
        f"{split}/" + {GOOD: "good/img", BAD: "Ungood/img", MASK: "Ungood/anomaly_mask"}[kind]
    ),
    "label, then img or label": lambda split, kind: (
        f"{split}/" + {GOOD: "good/img", BAD: "ungood/img", MASK: "ungood/label"}[kind]
    ),
    "masks in label/img": lambda split, kind: (
        f"{split}/" + {GOOD: "good/img", BAD: "Ungood/img", MASK: "Ungood/label/img"}[kind]
    ),
    "img, then label": lambda split, kind: (
        f"{split}/" + {GOOD: "img/good", BAD: "img/Ungood", MASK: "label/Ungood"}[kind]
    ),
    "splits twice": lambda split, kind: (
        f"{split.title()}/{split}" + {GOOD: "/good", BAD: "/Ungood", MASK: "_label/Ungood"}[kind]
    ),
    "flat, with a folder of masks": lambda split, kind: (
        f"{split}/" + {GOOD: "good", BAD: "Ungood", MASK: "Ungood/label"}[kind]
    ),
}


def picture(path: Path, *, mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(len(str(path))).integers(60, 200, (12, 12), dtype=np.uint8)
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), 4) if mask else drawn).save(path)


def plant(root: Path, layout: Callable[[str, str], str], valid: str, *, masks: bool = True) -> Path:
    """Train 2 good; validation and test 1 good and 1 defective each, whose stems are the same."""
    for number in range(2):
        picture(root / layout("train", GOOD) / f"{number}.png")
    for split in (valid, "test"):
        picture(root / layout(split, GOOD) / "0.png")
        picture(root / layout(split, BAD) / "7.png")
        if masks:
            picture(root / layout(split, MASK) / "7.png", mask=True)
    return root


def counts(found: Dataset) -> list[tuple[str, str, str, str]]:
    return [
        (each.split, each.defect, each.image.stem, each.mask.stem if each.mask and each.mask.exists() else "")
        for each in found
    ]


@pytest.mark.parametrize("valid", ["valid", "val"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("folder", ["Brain_AD/BraTS2021_slice", "Retina_RESC_AD/RESC", "liver"])
def test_every_layout_that_goes_round_is_read_the_same(tmp_path: Path, layout: str, folder: str, valid: str) -> None:
    plant(tmp_path / "bmad" / folder, LAYOUTS[layout], valid)
    found = open_dataset("bmad", data_root=tmp_path, generated=tmp_path)
    expected = [("train", "good", "0", ""), ("train", "good", "1", "")]
    for split in ("validation", "test"):
        expected += [(split, "anomaly", "7", "7"), (split, "good", "0", "")]
    assert sorted(counts(found)) == sorted(expected)
    assert [each.split for each in found] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    for each in found:
        if each.mask is not None:  # the stems of the splits are the same
            assert {part.lower() for part in each.mask.parts} & {valid if each.split == "validation" else "test"}
    [category] = found.categories
    assert category == {"b": "Brain", "r": "Retina_RESC", "l": "Liver"}[folder[0].lower()]
    assert found.family == "bmad"
    assert "left out" not in found.finding


@pytest.mark.parametrize("folder", ["Chest_AD/Chest-RSNA", "RSNA", "Histopathology_AD/camelyon16_256", "OCT2017"])
def test_sets_without_masks_are_flat_and_not_localised(tmp_path: Path, folder: str) -> None:
    flat = LAYOUTS["flat, with a folder of masks"]
    plant(tmp_path / "bmad" / folder, flat, "val", masks=False)
    for found in (
        open_dataset("bmad", data_root=tmp_path, generated=tmp_path),
        open_dataset(str(tmp_path / "bmad"), generated=tmp_path),
    ):
        assert found.layout == "bmad"
        assert {each.mask for each in found} == {None}
        assert "no masks" in found.finding
        assert found.categories[0] in ("Chest", "Histopathology", "Retina_OCT2017")


def test_two_masks_of_a_picture_and_folders_that_no_layout_has_are_refused(tmp_path: Path) -> None:
    root = plant(tmp_path / "Brain", LAYOUTS["label, then img"], "valid")
    picture(root / "test/Ungood/label/7.png", mask=True)
    with pytest.raises(DataError, match=r"a second mask of 7, beside"):
        open_dataset("bmad", data_root=root, generated=tmp_path)
    (root / "test/Ungood/label/7.png").rename(root / "test/Ungood/label/8.png")
    picture(root / "valid/Ungood/drawn/9.png")
    with pytest.raises(DataError, match=r"drawn/ is no folder of this layout"):
        open_dataset("bmad", data_root=root, generated=tmp_path)
