"""Real-IAD and its Variety: lists split and label the views, whose parts are objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackclip.data import Dataset, open_dataset
from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, NORMAL

Plant = Callable[..., Path]
Document = Callable[[Path, Any], Path]
VIEWS = range(1, 6)


def names(ending: str = "jpg") -> list[str]:
    """A good part that trains, a good one and a defective one that are tested; S0001 is used twice."""
    parts = {"OK/S0001": "pcb_0001_OK", "OK/S0002": "pcb__0002_OK", "NG/HS/S0001": "pcb_0001_NG_HS"}
    return [f"{place}/{part}_C{view}_20230101.{ending}" for place, part in parts.items() for view in VIEWS]


def table(pictures: list[str], masks: dict[int, str], *, prefix: str = "") -> dict[str, Any]:
    """A list in the authors' schema; the masks are those of the views of the defective part."""

    def row(name: str) -> dict[str, Any]:
        code = "OK" if name.startswith("OK") else "HS"
        mask = masks.get(int(name.split("_C")[1][0])) if code == "HS" else None
        return {
            "category": "pcb",
            "anomaly_class": code,
            "image_path": prefix + name,
            "mask_path": mask and prefix + mask,
        }

    rows = [row(name) for name in pictures]
    return {"meta": {"prefix": "pcb/", "normal_class": "OK"}, "train": rows[:5], "test": rows[5:]}


def read(place: str, root: Path, tmp_path: Path) -> Dataset:
    return open_dataset(place, data_root=root, generated=tmp_path / "made")


@pytest.mark.parametrize("prefix", ["", "pcb/"])
def test_the_views_of_a_part_are_an_object_and_one_without_a_mask_is_normal(
    plant: Plant, document: Document, tmp_path: Path, prefix: str
) -> None:
    masks = {view: f"NG/HS/S0001/pcb_0001_NG_HS_C{view}_20230101.png" for view in (2, 3)}
    root = plant(tmp_path / "Real-IAD", *(f"realiad_256/pcb/{name}" for name in (*names(), *masks.values())))
    document(root / "realiad_jsons/pcb.json", table(names(), masks, prefix=prefix))
    found = read("real-iad", root, tmp_path)
    parts = ("pcb_0001_OK", "pcb__0002_OK", "pcb_0001_NG_HS")
    assert [each.group for each in found] == [f"realiad_256/pcb/{part}" for part in parts for _ in VIEWS]
    assert [each.split for each in found] == ["train"] * 5 + ["test"] * 10
    assert [each.label for each in found] == [NORMAL] * 10 + [NORMAL, ANOMALOUS, ANOMALOUS, NORMAL, NORMAL]
    assert [each.defect for each in found.samples[10:13]] == ["good", "scratch", "scratch"]
    assert "left out" not in found.finding


def test_a_single_view_has_lists_of_its_own(plant: Plant, document: Document, tmp_path: Path) -> None:
    root = plant(tmp_path / "Real-IAD", *(f"pcb/{name}" for name in names()))
    top = [name for name in names() if "_C1_" in name]
    document(
        root / "realiad_jsons_sv/realiad_jsons_sv/pcb.json",
        {
            **table(names(), {}),
            "train": [],
            "test": [{"anomaly_class": "OK", "image_path": name, "mask_path": None} for name in top],
        },
    )
    found = read("real-iad[lists=sv]", root, tmp_path)
    assert (len(found), found.name) == (3, "real-iad-sv")
    assert "12 other pictures left out" in found.finding


def test_variety_is_told_by_its_lists_and_its_masks_are_png_as_its_pictures(
    plant: Plant, document: Document, tmp_path: Path
) -> None:
    masks = {3: "NG/HS/S0001/mask_3.png"}
    root = plant(
        tmp_path / "Real-IAD_Variety", *(f"realiadvariety_raw/pcb/{name}" for name in (*names("png"), *masks.values()))
    )
    document(root / "realiadvariety_jsons/Real-IAD_Variety_jsons/pcb.json", table(names("png"), masks))
    for found in (read("real-iad-variety", tmp_path, tmp_path), open_dataset(str(root), generated=tmp_path)):
        assert found.layout == "real-iad-variety"
        assert [each.label for each in found.samples[10:]] == [NORMAL, NORMAL, ANOMALOUS, NORMAL, NORMAL]
        assert len({each.group for each in found}) == 3
        assert "left out" not in found.finding
    assert found.name == "real-iad_variety"


def test_variety_without_lists_is_refused_as_its_masks_would_be_pictures(plant: Plant, tmp_path: Path) -> None:
    plant(tmp_path / "Real-IAD_Variety", *(f"pcb/{name}" for name in names("png")))
    with pytest.raises(DataError, match=r"no folder realiadvariety_jsons/ with the lists of its categories"):
        read("real-iad-variety", tmp_path, tmp_path)


def test_half_an_archive_is_told_in_one_line(plant: Plant, document: Document, tmp_path: Path) -> None:
    root = plant(tmp_path / "Real-IAD", *(f"pcb/{name}" for name in names()[:-2]))
    document(root / "realiad_jsons/pcb.json", table(names(), {}))
    wanted = r"pcb\.json: names 2 of 15 files that are not below .*C4_20230101\.jpg' for one; is its archive wholly unp"
    with pytest.raises(DataError, match=wanted):
        read("real-iad", root, tmp_path)
    document(root / "realiad_jsons/pcb.json", {**table([], {}), "test": [{"anomaly_class": "OK", "image_path": None}]})
    with pytest.raises(DataError, match=r"names 1 of 1 files that are not below .*'None' for one"):
        read("real-iad", root, tmp_path)


def test_one_category_in_two_sizes_is_asked_about(plant: Plant, tmp_path: Path) -> None:
    root = plant(
        tmp_path / "Real-IAD", *(f"{size}/pcb/{name}" for size in ("realiad_256", "realiad_512") for name in names())
    )
    with pytest.raises(
        DataError, match=r"realiad_512/pcb: .*realiad_256/pcb holds pcb too; name the folder of one size"
    ):
        read("real-iad", root, tmp_path)
    assert len(read("real-iad", root / "realiad_256", tmp_path)) == 15
