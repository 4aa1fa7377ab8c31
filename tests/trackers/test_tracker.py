"""Names that every tracker takes."""

from __future__ import annotations

import re

import pytest

from stackclip.trackers import OpenRuns, plain_name
from stackclip.trackers.tracker import MOST_OPEN


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


def test_the_last_few_runs_are_open_and_all_are_ended_whichever_fails() -> None:
    ended: list[str] = []

    def end(run: str) -> None:
        ended.append(run)
        if run == "20":
            raise OSError("nobody answers")

    runs = OpenRuns(end)
    for number in range(21):
        assert runs.get(str(number), lambda: str(number)) == str(number)  # noqa: B023
        assert runs.get("0", lambda: "0 again") == "0"
    assert ended == [str(number) for number in range(1, 22 - MOST_OPEN)]
    with pytest.raises(OSError, match="nobody answers"):
        runs.close()
    assert sorted(ended, key=int) == [str(number) for number in range(21)]
    runs.close()
    assert len(ended) == 21
