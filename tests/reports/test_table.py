"""Tables say what the rows say: worked by hand."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS
from stackclip.ops.words import legible
from stackclip.reports.document import Document
from stackclip.reports.notes import notes
from stackclip.reports.table import METRICS, summarise
from stackclip.reports.writers import written
from stackclip.reports.writers.terminal import rich_tables
from stackclip.types import Row


def row(
    method: str, value: float | None, *, category: str = "bottle", seed: int = 0, error: str = "", **more: object
) -> Row:
    """A row whose every metric has one value, or none."""
    metrics = {} if value is None else dict.fromkeys(METRICS, value)
    undefined = {} if value is not None or error else dict.fromkeys(METRICS, "all pictures are normal")
    return Row(
        method,
        ("visa",),
        str(more.pop("test_on", "mvtec")),
        category,
        0,
        seed,
        metrics=metrics,
        undefined=undefined,
        error=error,
        facts=more,
    )


def text_of(suffix: str, rows: list[Row], **view: Any) -> str:
    """The rows as the writer of a suffix writes them."""
    return written(Document(rows, **view), suffix)


def test_methods_that_trained_for_longer_than_others_are_named() -> None:
    rows = [row("precise", 0.5, epochs=15), row("fuzzy", 0.5, epochs=2), row("sdp", 0.5, epochs=0)]
    [said] = notes(rows)
    assert said.endswith(": precise: 15 epochs; fuzzy: 2 epochs")
    assert notes(rows[1:]) == []


def test_methods_that_see_all_tested_pictures_are_marked_in_every_table_and_in_a_note() -> None:
    rows = [row("musc", 0.5, transductive="scores and maps"), row("winclip", 0.25)]
    for suffix, mark in (("txt", "musc †"), ("md", "musc †"), ("tex", r"musc $^\dagger$")):
        lines = [line for line in text_of(suffix, rows).splitlines() if "50.0" in line]
        assert len(lines) == 1
        assert mark in lines[0]
        assert not [line for line in text_of(suffix, rows[1:]).splitlines() if "†" in line or "dagger" in line]
    [said] = notes(rows)
    assert said == "† musc: transductive, its scores and maps depend on all tested pictures of a category"


def test_rows_that_say_in_their_image_score_alone_that_it_depends_on_others_are_marked() -> None:
    rows = [
        row("sdp", 0.5, image_score="text+map (transductive)"),
        row("april-gan[shots=4]", 0.5, image_score="text and transductive map maximum"),
        row("sdp[image_score=text]", 0.5, image_score="text"),
    ]
    assert notes(rows) == [
        "† sdp, april-gan[shots=4]: transductive, its scores depend on all tested pictures of a category"
    ]
    [summary] = summarise(rows)
    assert [line.label for line in summary.lines] == ["sdp †", "april-gan[shots=4] †", "sdp[image_score=text]"]


def first_cells(rows: list[Row], *, per_category: bool = False) -> dict[tuple[str, str], str]:
    """The text of the first column of numbers, by method and category."""
    [summary] = summarise(rows, per_category=per_category)
    return {(line.method, line.part): line.cells[0].text for line in summary.lines}


def test_the_mean_is_taken_over_categories_and_then_over_seeds() -> None:
    # Seed 0: (0.2 + 0.4) / 2 = 0.3; seed 1: only 0.8. Mean of seeds 0.55, where the mean of all three were 0.467.
    rows = [row("a", 0.2), row("a", 0.4, category="cable"), row("a", 0.8, seed=1)]
    rows.append(row("a", None, category="cable", seed=1))
    assert first_cells(rows) == {("a", "mean"): "55.0 ±25.0 (3 of 4)"}


def test_one_seed_has_no_spread_and_a_full_mean_no_count() -> None:
    assert first_cells([row("a", 0.25), row("a", 0.75, category="cable")]) == {("a", "mean"): "50.0"}


def test_a_line_for_every_category_comes_before_the_mean() -> None:
    rows = [row("a", 0.1), row("a", 0.3, category="cable"), row("b", 0.2), row("b", None, category="cable")]
    assert list(first_cells(rows, per_category=True).items()) == [
        (("a", "bottle"), "10.0"),
        (("b", "bottle"), "20.0"),
        (("a", "cable"), "30.0"),
        (("b", "cable"), "n/a"),
        (("a", "mean"), "20.0"),
        (("b", "mean"), "20.0 (1 of 2)"),
    ]


@pytest.mark.parametrize("suffix", [".md", ".tex", ".csv", ".jsonl"])
def test_a_category_of_any_name_is_a_category_and_the_mean_is_the_mean(suffix: str) -> None:
    rows = [row("a", 0.2, category="mean"), row("a", 0.4, category="cable"), row("b", 0.1, category="mean")]
    [table] = summarise(rows, per_category=True)
    found = {(line.method, line.category): line.cells[0].value for line in table.lines if line.cells[0].counted}
    means = {("a", None): pytest.approx(0.3), ("b", None): 0.1}
    assert found == {("a", "mean"): 0.2, ("b", "mean"): 0.1, ("a", "cable"): 0.4, **means}
    assert table.ranks(0, "mean") == {"a": 1, "b": 2}
    renamed = [replace(each, category=each.category.replace("mean", "nutt")) for each in rows]
    told, plain = (str(written(Document(each, per_category=True), suffix)) for each in (rows, renamed))
    assert told == plain.replace("nutt", "mean")


def test_the_best_is_bold_and_the_second_underlined() -> None:
    rows = [row("low", 0.1), row("best", 0.9), row("second", 0.5), row("none", None)]
    [table] = rich_tables(summarise(rows))
    styles = {
        str(name): cell.style for name, cell in zip(table.columns[0]._cells, table.columns[1]._cells, strict=True)
    }
    assert styles == {"low": "", "best": "bold", "second": "underline", "none": ""}
    markdown = text_of(".md", rows, per_category=False)
    assert "| best | **90.0** |" in markdown
    assert "| second | <u>50.0</u> |" in markdown
    assert "| low | 10.0 |" in markdown


def test_what_looks_equal_in_the_table_is_marked_alike() -> None:
    [summary] = summarise([row("a", 0.9001), row("b", 0.9004), row("c", 0.5)])
    assert summary.ranks(0, None) == {"a": 1, "b": 1, "c": 2}


def test_a_single_method_is_not_praised() -> None:
    assert "**" not in text_of(".md", [row("a", 0.5)], per_category=False).split("\n", 1)[1]


def test_every_pair_of_training_and_test_set_has_its_own_table() -> None:
    summaries = summarise([row("a", 0.1), row("a", 0.2, test_on="mpdd")])
    assert [summary.title for summary in summaries] == [
        "trained on visa, tested on mvtec, mean over 1 category, 1 seed",
        "trained on visa, tested on mpdd, mean over 1 category, 1 seed",
    ]


def test_rows_that_were_asked_for_otherwise_never_share_a_mean() -> None:
    rows = [
        row("a", 0.1, protocol="p", tower="t", image_size=56, features="f" * 64, batch_size=8, asked_epochs=1),
        row("a", 0.9, protocol="q", tower="t", image_size=56, features="f" * 64, batch_size=8, asked_epochs=5),
    ]
    first, second = summarise(rows)
    assert [first.lines[0].cells[0].text, second.lines[0].cells[0].text] == ["10.0", "90.0"]
    assert first.title.endswith("t at 56 pixels, features ffffffff, batches of 8, 1 epoch")
    assert second.title.endswith("batches of 8, 5 epochs")


def test_a_table_says_what_is_not_the_methods_own_where_no_other_stands_beside_it() -> None:
    asked = {"asked_epochs": 1, "asked_class_names": "natural", "feature_dtype": "int8"}
    rows = [row("a", 0.1, tower="t", **asked), row("a", 0.1, test_on="mpdd", tower="t", feature_dtype="float16")]
    changed, usual = summarise(rows)
    assert changed.title.endswith("1 seed, features kept as int8, 1 epoch, natural class names")
    assert usual.title.endswith("1 seed")
    for suffix in (".md", ".tex"):
        assert changed.title in text_of(suffix, rows, per_category=False)


def test_no_two_tables_have_the_same_title() -> None:
    rows = [
        row("a", 0.1, protocol="p", trained_layouts=["visa[split_csv=1cls]"]),
        row("a", 0.2, protocol="q", trained_layouts=["visa[split_csv=2cls]"]),
    ]
    assert [summary.title.rpartition(", ")[2] for summary in summarise(rows)] == [
        "training set visa[split_csv=1cls]",
        "training set visa[split_csv=2cls]",
    ]
    rows.append(row("a", 0.3, protocol="r", trained_layouts=["visa[split_csv=2cls]"]))  # of other categories
    titles = [summary.title for summary in summarise(rows)]
    assert len(set(titles)) == 3
    assert [title.rpartition(", ")[2] for title in titles[1:]] == ["protocol q", "protocol r"]


def test_a_failed_cell_stands_in_the_table_and_its_reason_below() -> None:
    rows = [row("a", 0.5), row("b", None, error="ValueError: too dark")]
    markdown = text_of(".md", rows, per_category=False)
    assert "| b | failed |" in markdown
    assert "- b, everywhere: failed: ValueError: too dark" in markdown


def test_a_bench_in_which_all_failed_still_has_its_columns() -> None:
    markdown = text_of(".md", [row("a", None, error="no")], per_category=False)
    assert f"| method | {' | '.join(METRICS)} |" in markdown
    assert markdown.count("failed") == len(METRICS) + 1


def test_reasons_are_said_once_for_all_places_they_hold_at() -> None:
    rows = [row("a", None), row("a", None, category="cable"), row("b", 0.5), row("b", None, category="cable")]
    [said] = notes(rows)
    assert said == "a, everywhere; b, mvtec cable: image and pixel metrics n/a: all pictures are normal"
    pixels = replace(row("c", 0.5), undefined={"pixel_AP": "no masks"})
    [said] = notes([pixels, replace(pixels, method="d", undefined={"image_AP": "no masks"})])
    assert said == "c, everywhere: pixel metrics; d, everywhere: image metrics n/a: no masks"
    assert notes([row("a", None, error="no"), row("b", None, error="no"), row("b", 0.5, category="cable")]) == [
        "a, b, mvtec bottle: failed: no"
    ]
    assert notes(
        [row("a", None, error="no"), row("b", None, error="no"), row("b", None, category="x", error="no")]
    ) == ["a, mvtec bottle; b, everywhere: failed: no"]


def test_the_score_curve_and_what_was_left_out_are_told() -> None:
    facts = {"scores": {"10": 3.0, "2": 1.5, "1": 2.0}, "stacks": [["bottle", "cable"], ["pcb1"]]}
    why = {"plates": {"x.png": "not encoded", "y.png": "not encoded"}, "bolts": {"x.png": "no mask to learn from"}}
    said = notes([row("stacked", 0.5, why_left_out=why, note="random tower", **facts)])
    assert said == [
        "random tower",
        "stacked, seed 0: 2 stacks (bottle + cable; pcb1); score by number of stacks {1: 2.000, 2: 1.500, 10: 3.000}",
        "left out of plates (2): x.png, y.png: not encoded",
        "left out of bolts (1): x.png: no mask to learn from",
    ]
    alike = [row("stacked", 0.5, seed=seed, **facts) for seed in (0, 1, 4)]
    assert [note for note in notes(alike) if "stacks" in note] == [said[1].replace("seed 0", "seeds 0, 1, 4")]


def test_of_many_pictures_left_out_some_are_named() -> None:
    why = {"plates": {f"{number:02}.png": "not encoded" for number in range(40)}}
    [said] = notes([row("clip", 0.5, why_left_out=why), row("fuzzy", 0.5, why_left_out=why)])
    assert said.startswith("left out of plates (40): 00.png, 01.png, ")
    assert said.endswith(", 11.png, and 28 more: not encoded")


def test_names_are_not_read_as_markup_on_the_terminal() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    for table in rich_tables(summarise([row("stacked[select=mean]", 0.5, category="[red]x")], per_category=True)):
        console.print(table)
    text = console.export_text()
    assert "stacked[select=mean]" in text
    assert "[red]x" in text


def test_json_lines_parse_and_hold_null_for_what_is_undefined() -> None:
    rows = [row("a", 1 / 3), row("b", None), row("c", None, error="no")]
    first, second, third = map(json.loads, text_of(".jsonl", rows, per_category=True).splitlines())
    assert first["metrics"]["image_AUROC"] == 1 / 3
    assert second["metrics"] == dict.fromkeys(METRICS)
    assert second["undefined"]["image_AP"] == "all pictures are normal"
    assert third["error"] == "no"


def test_csv_holds_full_precision_and_one_line_a_cell() -> None:
    text = text_of(".csv", [row("a", 1 / 3), row("b", None, tower="t")], per_category=False)
    first, second = csv.DictReader(io.StringIO(text))
    assert float(first["pixel_AUPRO"]) == 1 / 3
    assert (second["image_AP"], second["tower"]) == ("", "t")
    assert second["undefined"].startswith("image_AUROC, image_AP, ")
    assert second["undefined"].endswith(": all pictures are normal")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_csv_cell_that_a_spreadsheet_would_run_is_quoted(start: str) -> None:
    text = text_of(".csv", [row("a", 0.5, category=f"{start}HYPERLINK(1)")], per_category=False)
    [line] = csv.DictReader(io.StringIO(text, newline=""))
    assert line["category"] == f"'{legible(start)}HYPERLINK(1)"


def test_a_pipe_in_a_name_stays_in_its_markdown_cell() -> None:
    assert "| a\\|b |" in text_of(".md", [row("a|b", 0.5)], per_category=False)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", r"a\|b"),
        ("<b onclick=x>", r"\<b onclick=x>"),
        ("&lt;", r"\&lt;"),
        ("`code`", r"\`code\`"),
        ("**a** _b_", r"\*\*a\*\* \_b\_"),
        ("[a](b)", r"[a]\(b)"),
        ("[a]: b", r"[a]\: b"),
        ("http://a.b www.a.b", r"http:/\/a.b www\.a.b"),
        ("a\nb", r"a\\nb"),
        ("\x1b[2J", r"\\x1b[2J"),
        ("metal_nut, größe 日本 p <= 1", "metal_nut, größe 日本 p <= 1"),
    ],
)
def test_names_are_only_names_in_markdown(name: str, written: str) -> None:
    text = text_of(".md", [row("a", 0.5, category=name, note=name)], per_category=True)
    assert f"| a | {written} |" in text
    assert f"\n- {written}\n" in text


def test_every_metric_has_its_column_in_order() -> None:
    assert (*IMAGE_METRICS, *PIXEL_METRICS) == METRICS
    [table] = rich_tables(summarise([row("a", 0.5)]))
    headers = [str(column.header).replace("\n", "") for column in table.columns]
    assert headers == ["method", *(name.replace("_", "") for name in METRICS)]
    assert isinstance(table.columns[1]._cells[0], Text)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_number_and_no_name_is_cut_off_on_a_narrow_terminal(width: int) -> None:
    rows = [row("april-gan", value, seed=seed, category="transistor") for seed, value in enumerate((0.123, 0.987))]
    console = Console(width=width, file=io.StringIO())
    for table in rich_tables(summarise(rows, per_category=True)):
        console.print(table)
    said = console.file.getvalue()
    assert "…" not in said
    assert said.count("55.5") == said.count("±43.2") == 2 * len(METRICS)
    assert "april-gan" in said
    assert "transistor" in said


def test_a_mean_of_fewer_cells_says_so_and_is_no_match_for_the_others() -> None:
    whole = [row("fuzzy", 0.5, category=category, seed=seed) for category in ("nut", "pill") for seed in (0, 1)]
    [summary] = summarise([*whole, row("stacked", 0.9, category="nut")])
    texts = {line.method: line.cells[0].text for line in summary.lines}
    assert texts == {"fuzzy": "50.0 ±0.0", "stacked": "90.0 (1 of 4)"}
    assert summary.ranks(0, None) == {}


def test_binned_metrics_are_printed_with_the_largest_bound_of_their_error() -> None:
    streamed = [{"form": "streamed", "bounds": {"pixel_AP": bound, "pixel_AUPRO": 1e-8}} for bound in (3e-6, 2e-7)]
    refused = {"form": "exact", "refused_streamed_bound": 0.01}
    said = notes([row("clip", 0.5, pixel_metrics=each) for each in (*streamed, refused, {"form": "exact"})])
    assert said == [
        "pixel metrics of 2 cells are binned (streamed): the exact ones differ by at most 3e-06",
        "pixel metrics of 1 cell are exact, as bins could not bound their error well enough",
    ]
