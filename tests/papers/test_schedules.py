"""What is said of schedules: between the methods of a table, from the published ones, and in the table of the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackclip.papers.positions import position_notes
from stackclip.papers.published import Lookup, published
from stackclip.papers.remarks import remarks
from stackclip.papers.schedule_table import written_into
from stackclip.papers.schedules import apart_from_published, published_schedules, schedule_notes
from stackclip.reports.notes import notes
from stackclip.types import Row


def part(epochs: int, lr: float, batch: int, steps: int | list[int]) -> dict[str, Any]:
    return {"epochs": epochs, "lr": lr, "batch": batch, "steps": steps}


def row(method: str, train_on: tuple[str, ...] = ("visa",), **facts: object) -> Row:
    return Row(method, train_on, "mvtec", "bottle", 0, 0, metrics={}, undefined={}, facts=facts)


def test_equal_epochs_at_unequal_rates_are_said() -> None:
    rows = [
        row("april-gan", schedule={"head": part(1, 1e-3, 8, 40)}),
        row("fuzzy", schedule={"head": part(1, 1e-4, 8, 40)}),
    ]
    [said] = schedule_notes(rows)
    assert said == (
        "not trained alike, but each by its own schedule, in learning rate: april-gan: lr 0.001; fuzzy: lr 0.0001"
    )
    assert said in notes(rows)


def test_methods_that_train_alike_and_those_that_do_not_train_are_not_mentioned() -> None:
    rows = [row("a", schedule={"head": part(1, 1e-3, 8, 40)}), row("b", schedule={"prompts": part(1, 1e-3, 8, 40)})]
    assert list(schedule_notes([*rows, row("sdp", schedule={})])) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (part(2, 1e-3, 16, 80), "in epochs, steps (--epochs gives one number of epochs): b: 2 epochs, 80 steps; a: 1"),
        (
            part(1, 1e-3, 8, 80),
            "in batch, steps (--batch-size gives one size): a: batches of 16, 40 steps; b: batches of 8, 80 steps",
        ),
        (part(1, 1e-3, 16, [30, 12]), "in steps: a: 40 steps; b: 30 + 12 steps"),
    ],
)
def test_every_value_that_differs_is_named_and_no_other(other: dict[str, Any], words: str) -> None:
    rows = [row("a", schedule={"head": part(1, 1e-3, 16, 40)}), row("b", schedule={"head": other})]
    [said] = schedule_notes(rows)
    assert words in said


def test_the_parts_of_one_method_are_told_apart() -> None:
    both = {"head": part(2, 1e-4, 16, 80), "learner": part(1, 1e-3, 16, 40)}
    [said] = schedule_notes([row("stackclip", schedule=both), row("fuzzy", schedule={"head": both["head"]})])
    assert "stackclip: head 2 epochs, lr 0.0001, batches of 16, 80 steps, and learner 1 epoch, lr 0.001" in said


def test_places_are_compared_by_themselves() -> None:
    here = [row(name, schedule={"head": part(n, 1e-3, 8, n)}) for name, n in (("a", 15), ("b", 2))]
    there = [row(name, ("mvtec",), schedule={"head": part(3, 1e-3, 8, 3)}) for name in ("a", "b")]
    [said] = schedule_notes([*here, *there])
    assert said.startswith("trained on visa: not trained alike")


@pytest.mark.parametrize(
    ("method", "own", "trained", "said"),
    [
        ("april-gan", part(15, 1e-3, 8, 1), ("visa",), "batch 8 (paper 16)"),
        ("april-gan", part(15, 1e-3, 16, 1), ("visa",), "batch 16 (release 8)"),
        ("april-gan", part(1, 1e-4, 8, 1), ("mvtec",), "epochs 1 (release 3); learning rate 0.0001 (release 0.001); "),
        ("stacked[clusters=1]", part(2, 1e-3, 16, 1), ("visa",), ""),
        ("stacked", part(2, 1e-3, 16, 1), ("mvtec",), "learning rate 0.001 (paper 0.0001)"),
        ("sdp-plus[lr=1e-5]", part(5, 1e-5, 8, 1), ("visa",), ""),
        ("own-method", part(5, 1e-5, 8, 1), ("visa",), ""),
    ],
)
def test_what_differs_from_the_published_schedule_is_said(
    method: str, own: dict[str, Any], trained: tuple[str, ...], said: str
) -> None:
    found = list(apart_from_published(row(method, schedule={"head": own}), method, trained))
    assert len(found) == bool(said)
    assert all(said in line for line in found)


def test_under_a_printed_line_its_schedule_is_compared_with_the_rows() -> None:
    lines = tuple(line for line in published() if (line.source, line.table) == ("fuzzyclip", "4"))
    said = remarks(Lookup(lines=lines, families={}), [row("fuzzy", schedule={"head": part(1, 1e-3, 16, 136)})])
    assert "FuzzyCLIP, table 4: fuzzy's head is not trained as published: epochs 1 (paper 2)" in said


def test_a_learners_own_options_take_the_place_of_the_papers() -> None:
    [said] = published_schedules("stackclip[learner=rpl[epochs=4]]", "learner", ("mvtec",))
    assert said.values == {"epochs": 4, "lr": 1e-3, "batch": 16}


def test_options_of_one_part_are_not_those_of_another() -> None:
    for options, text, image in (
        ("epochs=15", 5, 15),
        ("text_epochs=2", 2, 20),
        ("text_epochs=2,epochs=15,text_lr=1e-4", 2, 15),
    ):
        said = [published_schedules(f"aa-clip[{options}]", part, ("visa",))[-1].values for part in ("text", "image")]
        assert [each["epochs"] for each in said] == [text, image]
        assert [each["lr"] for each in said] == [1e-4 if "text_lr" in options else 1e-5, 5e-4]


def test_the_table_in_the_docs_is_that_of_the_suites() -> None:
    page = Path(__file__).parents[2] / "docs" / "suites.md"
    text = page.read_text("utf-8")
    assert written_into(text) == text, "run: python -m stackclip.papers.schedule_table docs/suites.md"


def test_methods_released_with_other_position_embeddings_are_named_where_they_are_resized() -> None:
    def at(way: str, released: str, *, resized: bool = True) -> Row:
        facts = {"fingerprint": {"position_embedding": way}, "recorded": {"positions_resized": resized}}
        return row("anomalyclip", released_positions=released, **facts)

    [said] = position_notes([at("bicubic-antialias", "bilinear")])
    assert said.startswith("anomalyclip: released with position embeddings resized bilinear, here bicubic-antialias")
    assert not list(position_notes([at("bilinear", "bilinear"), at("bicubic", "bilinear", resized=False)]))
