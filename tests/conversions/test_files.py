"""Names of files and folders that every system takes, each one's own."""

from __future__ import annotations

from pathlib import Path

from stackclip.conversions.files import folder_names, picture_places
from stackclip.types import NORMAL, Sample


def sample(id: str) -> Sample:
    return Sample(id, "mine", "nut", "test", Path(id), None, NORMAL, "good")


def test_a_file_keeps_its_name_unless_another_has_its_stem() -> None:
    ids = ["x/1.png", "x/2.png", "y/2.jpg", "x/a.png", "x/A.png", "y/3.png"]
    found = picture_places(map(sample, ids), lambda each: "out")
    by_id = {each.id: place for each, place in found.items()}
    assert {id for id, place in by_id.items() if place == f"out/{Path(id).name}"} == {"x/1.png", "y/3.png"}
    assert len({place.casefold().rpartition(".")[0] for place in by_id.values()}) == len(ids)


def test_folders_of_categories_are_one_level_and_apart() -> None:
    names = folder_names(["juice/cherry", "juice_cherry", "Nut", "nut", "..", "a:b", "plain"])
    assert names["plain"] == "plain"
    assert names["juice/cherry"] == "juice_cherry"
    assert len({each.casefold() for each in names.values()}) == len(names)
    assert not any(set(each) & set('/\\:*?"<>|') or each.strip(".") == "" for each in names.values())
