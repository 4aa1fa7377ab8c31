"""Parts by their names."""

from __future__ import annotations

import pytest

from stackclip.errors import NotApplicable
from stackclip.types import CLS, MASK, Part, TowerSpec, patch

TOWER = TowerSpec("toy", image_size=56, grid=7, depth=12, width=16, joint=8, layers=(3, 6, 9, 12))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (CLS, "cls"),
        (MASK, "mask"),
        (patch(6), "patch/6"),
        (Part("hidden", 0), "hidden/0"),
        (Part("hidden", 3), "hidden/3"),
        (Part("vv-from2", 12), "vv-from2/12"),
        (Part("cls", view="tile2x3-6"), "cls@tile2x3-6"),
        (Part("patch", 12, "rot45"), "patch/12@rot45"),
    ],
)
def test_a_part_is_read_from_its_name(part: Part, name: str) -> None:
    assert str(part) == name
    assert Part.parse(name) == part


def test_parts_of_the_picture_as_it_is_sort_before_its_views() -> None:
    parts = [Part("patch", 6, "rot45"), patch(6), CLS, Part("cls", view="rot9"), patch(12)]
    assert list(map(str, sorted(parts))) == ["cls", "cls@rot9", "patch/6", "patch/6@rot45", "patch/12"]


def test_our_own_ways_are_exact_as_they_are() -> None:
    for text in ("cls", "mask", "hidden/0", "vv-from3/9", "patch/6@rot90"):
        assert Part.parse(text).exact() == Part.parse(text)


def test_a_view_has_the_shape_of_the_picture_as_it_is() -> None:
    assert TOWER.shape(Part("hidden", 0, "rot90")) == TOWER.shape(Part("hidden", 0)) == (50, 16)
    assert TOWER.shape(Part("window", 3, "tile2x2-4")) == (25, 8)


def test_a_mask_has_no_views() -> None:
    with pytest.raises(NotApplicable, match="no part mask@rot90"):
        TOWER.shape(Part("mask", view="rot90"))
