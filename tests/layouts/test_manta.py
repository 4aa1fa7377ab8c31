"""MANTA: strips of five views, cut into pictures of their own with the labels that their masks say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.data import open_dataset
from stackclip.data.masks import anomalous_pixels
from stackclip.errors import DataError, PictureError
from stackclip.types import ANOMALOUS, NORMAL

SIDE = 4


def strip(path: Path, *, marked: tuple[int, ...] | None = None) -> None:
    """A strip whose view N has the value 40 N; as a mask where `marked` views have a pixel above 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.repeat(np.arange(1, 6, dtype=np.uint8) * 40, SIDE)[None].repeat(SIDE, axis=0)
    if marked is not None:
        values = np.zeros_like(values)
        for number in marked:
            values[1, (number - 1) * SIDE + 2] = 255
    Image.fromarray(values).save(path)


def tree(root: Path) -> Path:
    for name in ("train/good/a.png", "test/good/b.png", "test/crack/c.png", "test/crack/d.png"):
        strip(root / "agriculture/maize" / name)
    strip(root / "agriculture/maize/ground_truth/crack/c.png", marked=(2, 5))
    strip(root / "agriculture/maize/ground_truth/crack/d.png", marked=())
    strip(root / "medicine/capsule/train/good/e.png")
    strip(root / "medicine/capsule/test/good/f.png")
    return root


def test_each_view_is_a_picture_that_is_defective_where_the_mask_of_its_strip_marks_something(tmp_path: Path) -> None:
    tree(tmp_path / "data/MANTA_TINY_256")
    found = open_dataset("manta", data_root=tmp_path / "data", generated=tmp_path / "made")
    assert found.categories == ("maize", "capsule")
    assert len(found) == 6 * 5
    cracked = [each for each in found if each.image.stem.startswith("c-")]
    assert [each.label for each in cracked] == [NORMAL, ANOMALOUS, NORMAL, NORMAL, ANOMALOUS]
    assert [each.defect for each in cracked] == ["good", "crack", "good", "good", "crack"]
    assert {each.group for each in cracked} == {"agriculture/maize/test/crack/c.png"}
    assert cracked[1].id == "agriculture/maize/test/crack/c-2.png"
    for number, each in enumerate(cracked, 1):
        picture = np.asarray(Image.open(each.image).convert("L"))
        assert picture.shape == (SIDE, SIDE)
        assert set(picture.ravel()) == {40 * number}
    assert cracked[4].mask is not None
    assert np.argwhere(anomalous_pixels(cracked[4].mask)).tolist() == [[1, 2]]
    assert [each.split for each in found][:5] == ["train"] * 5
    assert (found.family, found.remark) == ("manta", "manta: not manta as published: 2 of its 38 categories")


def test_of_a_defective_strip_that_nobody_marked_all_views_count_and_their_masks_are_missed(tmp_path: Path) -> None:
    found = open_dataset("manta", data_root=tree(tmp_path / "MANTA"), generated=tmp_path / "made")
    unmarked = [each for each in found if each.group.endswith("d.png")]
    assert [each.label for each in unmarked] == [ANOMALOUS] * 5
    assert "2 masks, 5 masks missing" in found.finding


def test_views_are_cut_once_and_again_where_a_strip_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, made = tree(tmp_path / "MANTA"), tmp_path / "made"
    caplog.set_level("INFO")
    first = open_dataset("manta", data_root=root, generated=made)
    assert "manta: cutting 6 strips into 5 views each, once" in caplog.text
    caplog.clear()
    assert open_dataset("manta", data_root=root, generated=made).samples == first.samples
    assert not caplog.records
    strip(root / "agriculture/maize/ground_truth/crack/d.png", marked=(1,))
    again = open_dataset("manta", data_root=root, generated=made)
    assert sum(each.label == ANOMALOUS for each in again) == 3
    assert not list(made.glob(".*"))


def test_strips_may_stay_whole_and_categories_be_chosen(tmp_path: Path) -> None:
    root = tree(tmp_path / "MANTA")
    whole = open_dataset("manta[views=strip]", data_root=root, generated=tmp_path / "made")
    assert (len(whole), whole.name, {each.group for each in whole}) == (6, "manta-strip", {""})
    assert not (tmp_path / "made").exists()
    one = open_dataset("manta[only=capsule]", data_root=root, generated=tmp_path / "made")
    assert (one.categories, len(one)) == (("capsule",), 10)
    with pytest.raises(DataError, match=r"no category led; there are maize, capsule"):
        open_dataset("manta[only=capsule+led]", data_root=root, generated=tmp_path / "made")


def test_a_picture_that_is_no_strip_is_named_and_nothing_half_cut_stays(tmp_path: Path) -> None:
    root = tree(tmp_path / "MANTA")
    Image.new("L", (3 * SIDE, SIDE)).save(root / "medicine/capsule/test/good/g.png")
    with pytest.raises(PictureError, match=r"g\.png.*12 x 4 pixels; wanted 5 views side by side"):
        open_dataset("manta", data_root=root, generated=tmp_path / "made")
    assert not list((tmp_path / "made").iterdir())
    strip(root / "medicine/capsule/test/good/f.bmp")
    with pytest.raises(DataError, match=r"f\.png: f\.bmp lies beside it: which of the two is the strip"):
        open_dataset("manta", data_root=root, generated=tmp_path / "made")


def test_a_path_is_taken_for_it_by_its_strips_and_not_by_names_alone(tmp_path: Path) -> None:
    found = open_dataset(str(tree(tmp_path / "MANTA")), generated=tmp_path / "made")
    assert (found.layout, found.published) == ("manta", "manta")
    domain = open_dataset(str(tmp_path / "MANTA/medicine"), generated=tmp_path / "made")
    assert (domain.layout, domain.categories) == ("manta", ("capsule",))
    for name in ("nut/train/good/a.png", "nut/test/good/b.png", "gear/test/good/c.png"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / "own" / name)
    assert open_dataset(str(tmp_path / "own"), generated=tmp_path / "made").layout == "mvtec"
