"""The page of a study says each question, its tables and the answer, whatever is in their words."""

from __future__ import annotations

from dataclasses import replace

from stackclip.reports.document import Document
from stackclip.reports.study import StudyPage, StudyQuestion
from stackclip.types import Row

ROW = Row("a", ("x",), "y", "z", 0, 0, {"image_AP": 0.5}, seconds=1.5, facts={"train_seconds": 4.0})
CURVE = {"eval_every": 1, "curve": [{"step": step, "epoch": step, "metrics": {"image_AP": 0.5}} for step in (1, 2)]}


def page(*questions: StudyQuestion) -> StudyPage:
    return StudyPage("What it is *worth*", "On generated pictures.", questions)


def test_each_question_stands_above_its_table_with_what_was_said_to_it() -> None:
    first = StudyQuestion("Words", Document([ROW]), "Which words?", "None of them.")
    text = page(first, StudyQuestion("Heads", Document([replace(ROW, seed=1)]))).markdown()
    order = ["# What it is \\*worth\\*", "On generated pictures.", "## Words", "*Which words?*", "None of them."]
    order += ["**trained on x, tested on y", "| a | 50.0 |", "## Heads", "| a | 50.0 |"]
    places = [text.index(order[0])]
    for each in order[1:]:
        places.append(text.index(each, places[-1] + 1))
    assert places == sorted(places)


def test_a_row_of_two_questions_counts_once_and_a_training_once_for_all_categories() -> None:
    other = replace(ROW, category="w")
    both = page(StudyQuestion("One", Document([ROW, other])), StudyQuestion("Two", Document([ROW])))
    assert len(both.document.rows) == 2
    assert both.cost == "2 rows; methods learned and predicted for 7.0 s in all.\n"


def test_a_cell_that_two_questions_read_from_disk_stands_once_in_the_tables() -> None:
    again = replace(ROW, facts={**ROW.facts, "asked": 2}, metrics=dict(ROW.metrics))
    both = page(StudyQuestion("One", Document([ROW])), StudyQuestion("Two", Document([again])))
    assert both.document.rows == both.every.rows == [again]
    assert [line.cells[0].text for line in both.document.tables[0].lines] == ["50.0"]


def test_two_choices_of_a_grid_are_two_rows_and_never_one_mean() -> None:
    def chosen(scheme: str, value: float) -> Row:
        points = [{"spec": f"a[b={number}]", "mean": 0.5} for number in (1, 2)]
        selected = {"scheme": scheme, "metric": "image_AP", "rule": "best", "seed": 0, "folds": 2, "points": points}
        facts = {"selected": {**selected, "spec": "a[b=1]"}}
        return replace(ROW, method="a[b=1|2]", metrics={"image_AP": value}, facts=facts)

    first, last = chosen("k-fold[folds=2]", 0.4), chosen("leave-category-out", 0.8)
    both = page(StudyQuestion("One", Document([first])), StudyQuestion("Two", Document([last])))
    assert both.every.rows == [first, last]
    assert [line.cells[0].text for line in both.document.tables[0].lines] == ["80.0"]


def test_curves_are_drawn_beside_the_page_under_a_plain_name() -> None:
    drawn = StudyQuestion(
        "../Heads: 1/2 & more, of a name that is very long indeed", Document([replace(ROW, facts=CURVE)])
    )
    made = page(StudyQuestion("Words", Document([ROW])), drawn)
    [name] = made.plots
    assert name == "2-heads-1-2-more-of-a-name-that-is-very-lo-curves"
    assert f"]({name}.png)" in made.markdown()
    assert made.plots[name]().axes
