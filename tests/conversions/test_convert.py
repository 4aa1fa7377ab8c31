"""What is converted and opened again is what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.conversions import CONVERSIONS, convert
from stackclip.data import Dataset, open_dataset
from stackclip.data.masks import whole_mask
from stackclip.errors import DataError, StackclipError, UsageError
from stackclip.registry import datasets
from stackclip.types import GOOD

# What is typed behind the place of each form, and the reader that it needs.
READERS = {
    "mvtec": ("", "mvtec"),
    "csv": ("", "table"),
    "jsonl": ("", "table"),
    "coco": ("", "coco"),
    "anomalib": ("[good=normal+normal_test,bad=abnormal,masks=mask]", "folder"),
}


def tree(root: Path) -> Dataset:
    """Two categories with names that meet: one stem in two folders, in two cases, and with two extensions."""
    names = {
        "nut": ["train/good/0.png", "train/good/1.png", "test/good/0.png", "test/dent/late/0.png", "test/dent/0.png"],
        "cap": ["train/good/0.jpg", "test/good/a.png", "test/good/A.png", "test/hole/0.jpg", "test/hole 2/0.png"],
    }
    for number, (category, name) in enumerate((c, each) for c, every in names.items() for each in every):
        path, draws = root / category / name, np.random.default_rng(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = 20 + number, 31
        Image.fromarray(draws.integers(60, 200, (height, width, 3), dtype=np.uint8)).save(path)
        _, _, *inner = Path(category, name).with_suffix("").parts
        if inner[0] != "good":
            mask = root / category / "ground_truth" / Path(*inner[:-1]) / f"{inner[-1]}_mask.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((draws.random((height, width)) < 0.1).astype(np.uint8) * 7).save(mask)
    return open_dataset(f"mine={root}", generated=root / "generated")


def contents(dataset: Dataset) -> list[tuple[bytes, int, str, bytes]]:
    """Each picture with its label, its defect and its mask, in an order that no name decides."""
    return sorted(
        (each.image.read_bytes(), each.label, each.defect, whole_mask(each).tobytes() if each.label else b"")
        for each in dataset
    )


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("form", CONVERSIONS)
def test_pictures_labels_defects_and_masks_come_back(form: str, copy: bool, tmp_path: Path) -> None:
    words, reader = READERS[form]
    if reader not in datasets:
        pytest.skip(f"no reader {reader}")
    dataset = tree(tmp_path / "tree")
    assert (len(dataset), sum(whole_mask(each).sum() > 0 for each in dataset if each.label)) == (10, 4)
    done = convert(dataset, form, tmp_path / "out", copy=copy)
    assert (done.pictures, done.masks, done.failed) == (10, 4, ())
    assert any(path.is_symlink() for path in (tmp_path / "out").rglob("*")) is not copy
    again = open_dataset(f"again={tmp_path / 'out'}{words}", generated=tmp_path / "generated")
    assert contents(again) == contents(dataset)
    if form in ("mvtec", "csv", "jsonl"):
        assert {(e.category, e.split, e.defect) for e in again} == {(e.category, e.split, e.defect) for e in dataset}


@pytest.mark.parametrize("form", CONVERSIONS)
def test_real_pictures_come_back(form: str, shared: Path, tmp_path: Path) -> None:
    words, reader = READERS[form]
    if reader not in datasets:
        pytest.skip(f"no reader {reader}")
    dataset = open_dataset(str(shared / "data" / "ksdd-mini"), generated=tmp_path)
    if form == "anomalib":
        words = "[good=normal_test,bad=abnormal,masks=mask]"  # it has no training pictures
    convert(dataset, form, tmp_path / "out")
    again = open_dataset(f"again={tmp_path / 'out'}{words}", generated=tmp_path)
    assert contents(again) == contents(dataset)


def test_nothing_is_overwritten_and_nothing_is_left_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = tree(tmp_path / "tree")
    (tmp_path / "out").mkdir()
    convert(dataset, "mvtec", tmp_path / "out")
    with pytest.raises(StackclipError, match="is there and is not empty; nothing is overwritten"):
        convert(dataset, "mvtec", tmp_path / "out")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("stackclip.conversions.files.Placer.mask", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(dataset, "csv", tmp_path / "other")
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_folder_keeps_its_permissions_and_a_link_leads_to_what_is_written(tmp_path: Path) -> None:
    dataset = tree(tmp_path / "tree")
    (own := tmp_path / "own").mkdir()
    own.chmod(0o700)
    for name, leads_to in (("link", own), ("dangling", tmp_path / "new")):
        (tmp_path / name).symlink_to(leads_to)
        done = convert(dataset, "csv", tmp_path / name)
        assert (done.folder, (tmp_path / name).is_symlink()) == (tmp_path / name, True)
        assert any(leads_to.iterdir())
    assert own.stat().st_mode & 0o777 == 0o700


def test_the_current_folder_is_not_taken_from_under_who_works_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tree(tmp_path / "tree")
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("stackclip.conversions.files.Placer.picture", lambda *_: pytest.fail("it was written"))
    with pytest.raises(StackclipError, match=r"is the current folder.*name a folder in it"):
        convert(dataset, "csv", Path())
    assert list(here.iterdir()) == []


def test_what_cannot_be_read_is_named_and_the_rest_is_written(tmp_path: Path) -> None:
    tree(tmp_path / "tree")
    (tmp_path / "tree/nut/train/good/0.png").write_bytes(b"")
    (tmp_path / "tree/nut/ground_truth/dent/0_mask.png").write_bytes(b"no mask")
    (tmp_path / "tree/cap/ground_truth/hole/0_mask.png").unlink()
    dataset = open_dataset(f"mine={tmp_path}/tree", generated=tmp_path)
    done = convert(dataset, "mvtec", tmp_path / "out")
    assert [error.path.name for error in done.failed] == ["0.png", "0_mask.png"]
    assert (done.pictures, done.masks, done.notes) == (9, 2, ("1 mask missing, and left out",))


def test_pictures_without_labels_go_where_nothing_has_to_be_known(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "shots" / "1.png")
    dataset = open_dataset(str(tmp_path / "shots"), generated=tmp_path)
    for form in ("mvtec", "coco", "anomalib"):
        with pytest.raises(DataError, match=f"1 picture has no labels, which {form} cannot say"):
            convert(dataset, form, tmp_path / "out")
    assert convert(dataset, "csv", tmp_path / "out").pictures == 1
    assert dataset.samples[0].defect != GOOD
    with pytest.raises(UsageError, match="--to vod: wanted one of mvtec, csv"):
        convert(dataset, "vod", tmp_path / "other")
