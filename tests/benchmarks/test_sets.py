"""Rows are told apart by what was tested where; a report says of every place what its last bench says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.rows import RowFolder, cell_id
from stackclip.benchmarks.sets import Standing, reported, standing
from stackclip.reports.table import summarise
from stackclip.types import Row

Pictures = dict[str, str]
"""Category -> what its pictures are."""


@dataclass
class World:
    """Data sets of one name at several places, benches over them, and a workspace."""

    folder: Path
    at: dict[str, Pictures] = field(default_factory=dict)
    training: str = "t0"
    training_at: str = "/t"
    drawn: int = 0
    code: int = 0

    def bench(self, place: str, *, methods: str = "m", categories: str = "", seed: int = 0) -> dict[str, float]:
        """What a bench prints, by method and category; rows are found again as a bench finds them."""
        pictures = {name: self.at[place][name] for name in categories or self.at[place]}
        keeper, found = Keeper(RowFolder(self.folder), self.folder), {}
        for method in methods:
            for category in pictures:
                row = self.measured(place, method, category, seed)
                cell = cell_id({**row.facts, "tested": pictures[category], "row": [method, category, seed, self.code]})
                kept = keeper.find_row(cell, place, pictures, adopt=True)
                if kept is None:
                    keeper.keep_row(cell, row, {place: pictures})
                found[f"{method} {category} {seed}"] = (kept or row).metrics["image_AP"]
        assert not keeper.unkept
        return found

    def measured(self, place: str, method: str, category: str, seed: int) -> Row:
        content = self.at[place][category]
        value = Random(f"{method} {category} {content} {seed} {self.training} {self.code}").random()
        facts: dict[str, Any] = {
            "trained": {"content": self.training, "places": [self.training_at]},
            "tested": {"content": content, "place": place},
            "protocol": f"p{self.drawn}",
        }
        if self.drawn:
            drawn = {"content": f"{self.training} {seed}", "drawn_from": "t"}
            facts |= {"train_shots": self.drawn, "trained": {**facts["trained"], **drawn}}
        return Row(method, ("t",), "lineup", category, 0, seed, metrics={"image_AP": value}, facts=facts)

    def report(self) -> dict[Standing, dict[str, float]]:
        """What a report prints, by the standing of its tables."""
        tables: dict[Standing, dict[str, float]] = {}
        for row in reported(RowFolder(self.folder).entries()):
            cells = tables.setdefault(standing(row), {})
            assert f"{row.method} {row.category} {row.seed}" not in cells
            cells[f"{row.method} {row.category} {row.seed}"] = row.metrics["image_AP"]
        return tables

    def now(self, place: str) -> dict[str, float]:
        """The table of what holds now at a place."""
        return self.report().get(Standing(0, 0, place, self.training), {})

    def titles(self) -> list[str]:
        return [summary.title for summary in summarise(reported(RowFolder(self.folder).entries()))]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"/a": {"x": "1", "y": "1"}, "/b": {"x": "2", "z": "2"}})


@pytest.mark.parametrize("story", range(60))
def test_a_report_says_of_every_place_what_was_last_benched_there(story: int, tmp_path: Path) -> None:
    """The oracle keeps every bench, and takes of each place what was seen there last."""
    draw = Random(story)
    world = World(tmp_path, {place: dict.fromkeys("xyz", f"{place}0") for place in ("/a", "/b")})
    seen: dict[str, Pictures] = {place: {} for place in world.at}
    measured: dict[tuple[str, str, str, str], float] = {}
    for _ in range(draw.randint(3, 9)):
        place = draw.choice(list(world.at))
        if draw.random() < 0.5:
            world.at[place][draw.choice("xyz")] = f"{place}{draw.randrange(2)}"
        if draw.random() < 0.2:
            world.code = draw.randrange(2)
        wanted = "".join(sorted(draw.sample("xyz", draw.randint(1, 3))))
        told = world.bench(place, methods=draw.choice(["m", "n", "mn"]), categories=wanted, seed=draw.randrange(2))
        seen[place] |= {name: world.at[place][name] for name in wanted}
        measured |= {(place, world.at[place][key.split()[1]], key, ""): value for key, value in told.items()}
        for each, pictures in seen.items():
            expected = {
                key: value
                for (where, content, key, _), value in measured.items()
                if where == each and pictures[key.split()[1]] == content
            }
            assert world.now(each) == expected
        assert told.items() <= world.now(place).items()


def test_two_places_of_one_name_are_two_tables_whatever_their_seeds(world: World) -> None:
    for seeds in ((0, 0), (0, 1)):
        ours, theirs = world.bench("/a", seed=seeds[0]), world.bench("/b", seed=seeds[1])
        assert ours.items() <= world.now("/a").items()
        assert theirs.items() <= world.now("/b").items()
    assert world.now("/a").keys().isdisjoint(["m z 0", "m z 1"])
    assert sorted(title.split(",")[1].strip() for title in world.titles()) == [
        "tested on lineup (/a)",
        "tested on lineup (/b)",
    ]


def test_a_category_that_two_places_share_stands_in_both_tables(world: World) -> None:
    world.at["/b"]["x"] = "1"
    assert world.now("/a") == {}
    ours, theirs = world.bench("/a"), world.bench("/b")
    assert (world.now("/a"), world.now("/b")) == (ours, theirs)
    assert ours["m x 0"] == theirs["m x 0"]


def test_data_that_were_moved_are_one_set_at_the_new_place(world: World) -> None:
    first = world.bench("/a", categories="x")
    world.at["/c"] = world.at.pop("/a")
    second = world.bench("/c", methods="n", categories="x")
    assert world.report() == {Standing(0, 0, "/c", "t0"): {**first, **second}}
    both = world.bench("/c", methods="mn")
    assert world.report() == {Standing(0, 0, "/c", "t0"): both}
    assert world.titles() == ["trained on t, tested on lineup, mean over 2 categories, 1 seed"]


def test_categories_of_one_place_that_were_benched_apart_are_one_table(world: World) -> None:
    told = world.bench("/a", categories="x") | world.bench("/a", categories="y")
    assert world.report() == {Standing(0, 0, "/a", "t0"): told}


def test_after_a_picture_was_replaced_only_the_old_row_of_its_category_falls_out(world: World) -> None:
    before = world.bench("/a")
    world.at["/a"]["x"] = "other"
    after = world.bench("/a")
    earlier = {"m x 0": before["m x 0"]}
    assert world.report() == {Standing(0, 0, "/a", "t0"): after, Standing(0, 1, "/a", "t0"): earlier}
    assert [title.split(", ")[1] for title in world.titles()] == [
        "tested on lineup (/a)",
        "tested on lineup (earlier pictures of /a)",
    ]


def test_pictures_that_come_back_are_those_of_now_again(world: World) -> None:
    first = world.bench("/a")
    world.at["/a"]["x"] = "other"
    second = world.bench("/a")
    world.at["/a"]["x"] = "1"
    assert world.bench("/a") == first == world.now("/a")
    assert world.report()[Standing(0, 1, "/a", "t0")] == {"m x 0": second["m x 0"]}


def test_rows_of_another_training_are_a_table_of_their_own(world: World) -> None:
    before = world.bench("/a")
    world.training = "t1"
    after = world.bench("/a")
    assert world.report() == {Standing(0, 0, "/a", "t1"): after, Standing(1, 0, "/a", "t0"): before}
    assert [title.partition(", ")[0] for title in world.titles()] == [
        "trained on t (/t)",
        "trained on t (earlier pictures of /t)",
    ]
    world.training = "t0"
    assert world.bench("/a") == before == world.now("/a")


def test_seeds_that_draw_their_training_pictures_are_one_table_of_one_training(world: World) -> None:
    world.bench("/a")
    whole = world.now("/a")
    world.drawn = 2
    first = {**world.bench("/a"), **world.bench("/a", seed=1)}
    assert world.report() == {Standing(0, 0, "/a", "t0"): whole, Standing(0, 0, "/a", "t+/t"): first}
    assert {title.partition(", ")[0] for title in world.titles()} == {"trained on t"}
    world.training = "t1"  # a picture that is drawn is another one
    second = {**world.bench("/a"), **world.bench("/a", seed=1)}
    assert world.report()[Standing(0, 0, "/a", "t+/t")] == second
    assert world.report()[Standing(1, 0, "/a", "t+/t")] == first
    world.training_at, world.training = "/u", "t2"  # other pictures of the same names
    other = world.bench("/a")
    assert world.report()[Standing(0, 0, "/a", "t+/u")] == other
    assert "trained on t (/u)" in {title.partition(", ")[0] for title in world.titles()}


def test_rows_of_code_that_came_back_hold_again(world: World) -> None:
    first = world.bench("/a")
    world.code = 1
    assert world.bench("/a") != first
    world.code = 0
    assert world.bench("/a") == first == world.now("/a")


def test_a_bench_that_finds_what_holds_writes_nothing(world: World) -> None:
    world.bench("/a")
    before = {path: path.stat().st_mtime_ns for path in world.folder.iterdir()}
    world.bench("/a")
    world.bench("/a", categories="y")
    assert {path: path.stat().st_mtime_ns for path in world.folder.iterdir()} == before
