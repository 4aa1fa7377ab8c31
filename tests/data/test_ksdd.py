"""Raw KolektorSDD: the labels say which commutators are cracked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data.ksdd import CATEGORY, Ksdd
from stackclip.data.masks import read_mask
from stackclip.errors import BadOption, DataError, PictureError
from stackclip.types import ANOMALOUS, NORMAL


def tree(root: Path) -> Path:
    values = {"kos01/Part0": 0, "kos01/Part1": 255, "kos02/Part0": 1, "kos10/Part0": 0}
    for stem, value in values.items():
        (root / stem).parent.mkdir(exist_ok=True)
        Image.new("L", (5, 12)).save(root / f"{stem}.jpg")
        label = np.zeros((12, 5), np.uint8)
        label[3, 2] = value
        Image.fromarray(label).save(root / f"{stem}_label.bmp")
    return root


def test_a_label_above_0_is_a_crack(tmp_path: Path) -> None:
    samples = Ksdd().read(tree(tmp_path), "ksdd")
    assert [(sample.id, sample.label, sample.defect) for sample in samples] == [
        ("kos01/Part0.jpg", NORMAL, "good"),
        ("kos01/Part1.jpg", ANOMALOUS, "crack"),
        ("kos02/Part0.jpg", ANOMALOUS, "crack"),
        ("kos10/Part0.jpg", NORMAL, "good"),
    ]
    assert {sample.category for sample in samples} == {CATEGORY}
    assert {sample.split for sample in samples} == {"test"}
    assert [sample.mask for sample in samples][:2] == [None, tmp_path / "kos01/Part1_label.bmp"]


def test_the_first_commutators_can_be_kept_for_training(tmp_path: Path) -> None:
    samples = Ksdd(train_items=1).read(tree(tmp_path), "ksdd")
    assert [sample.split for sample in samples] == ["train", "train", "test", "test"]
    assert "the first 1 commutators train" in Ksdd(train_items=1).title
    with pytest.raises(DataError, match="3 commutators; train_items=3 leaves none to test"):
        Ksdd(train_items=3).read(tmp_path, "ksdd")
    with pytest.raises(BadOption, match="train_items=-1"):
        Ksdd(train_items=-1)


def test_a_picture_without_a_readable_label_is_refused(tmp_path: Path) -> None:
    (tree(tmp_path) / "kos01/Part0_label.bmp").write_bytes(b"BM")
    with pytest.raises(PictureError, match="Part0_label"):
        Ksdd().read(tmp_path, "ksdd")
    (tmp_path / "kos01/Part0_label.bmp").unlink()
    with pytest.raises(DataError, match=r"kos01/Part0\.jpg: no label; expected .*kos01/Part0_label\.bmp"):
        Ksdd().read(tmp_path, "ksdd")


def test_the_real_subset_has_eight_cracks_in_both_forms_of_label(shared: Path) -> None:
    samples = Ksdd().read(shared / "data/ksdd-mini", "ksdd")
    cracked = [sample for sample in samples if sample.label == ANOMALOUS]
    assert (len(samples), len(cracked)) == (64, 8)
    modes = set()
    for sample in cracked:
        assert sample.mask is not None
        with Image.open(sample.mask) as label:
            modes.add(label.mode)
        assert read_mask(sample, 224, rule="nearest").any()
    assert modes == {"L", "1"}
