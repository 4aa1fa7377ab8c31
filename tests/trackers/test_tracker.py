"""Names that every tracker takes."""

from __future__ import annotations

import re

import pytest

from stackclip.trackers import plain_name


@pytest.mark.parametrize("name", ["image_AUROC", "metal nut", "größe", "a-b.c"])
def test_plain_names_stay(name: str) -> None:
    assert plain_name(name) == name


def test_other_names_become_plain_ones_and_stay_apart() -> None:
    names = ["../x", "..", "", "a/b", "a:b", "a\\b", "pixel_AUsPRO@0.05", "pixel_AUsPRO@0.1", "x" * 300, "x" * 301]
    names += ["a\x1b[2J", "\u202egnp", "\udcff", " a", "a ", "<b>", "CON\n", "C:"]
    made = [plain_name(name) for name in names]
    assert len({*made, "a"}) == len(names) + 1
    for each in made:
        assert re.fullmatch(r"\w[\w .-]{0,80}", each), each
        assert ".." not in each
