"""An ablation as tables, files and a picture: against hand-made rows, and with names that would act."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import StackclipError, UsageError
from stackclip.reports.parts_files import check_parts_output, parts_shown, parts_written
from stackclip.reports.parts_plot import draw_ablation, plot_ablation
from stackclip.reports.parts_report import PartsReport, metrics_of
from stackclip.studies.ablation import ADDED, ALL, AWAY, Ablation, Contrast
from stackclip.types import Row
from tests.studies.test_worth import CATEGORIES, rows_of

WORDS = "a <b>|_x_$& [y](http://z)"
ABLATION = Ablation(
    "m",
    "m[a=0,b=0]",
    (),
    (
        Contrast(WORDS, "a=0", AWAY, "m", "m[a=0]"),
        Contrast(WORDS, "a=0", ADDED, "m[b=0]", "m[a=0,b=0]"),
        Contrast("b", "b=0", AWAY, "m", "m[b=0]"),
        Contrast(ALL, "m[a=0,b=0]", AWAY, "m", "m[a=0,b=0]"),
    ),
    {"m[a=0,b=0]": "nothing is left"},
    ("b added is the same as b taken away",),
)
ROWS = [
    *rows_of("m", [0.9, 0.8, 0.9], wave=0.02),
    *rows_of("m[a=0]", [0.8, 0.71, 0.79]),
    *rows_of("m[b=0]", [0.9, 0.8, 0.9], wave=0.02),
]
REPORT = PartsReport(ABLATION, ROWS)
needs_matplotlib = pytest.mark.usefixtures("matplotlib")


@pytest.fixture
def matplotlib() -> None:
    pytest.importorskip("matplotlib")


def test_a_table_says_what_each_part_is_worth_and_another_where() -> None:
    what, where = REPORT.tables
    assert what.title == "m: image AUROC, tested on there, what each part is worth"
    lines = {line[:2]: line[2:] for line in what.lines}
    assert lines[WORDS, AWAY] == (
        "+10.0",
        "[+8.1, +11.9]",
        "[+7.5, +12.5]",
        ".003",
        "worth +10.0 [7.5, 12.5]",
    )
    assert lines["b", AWAY] == ("+0.0", "[+0.0, +0.0]", "[+0.0, +0.0]", "1.00", "no digit changes")
    assert lines[ALL, AWAY][-1] == lines[WORDS, ADDED][-1] == "n/a: nothing is left"
    assert where.heads == ("part, taken away", *CATEGORIES[:3])
    assert where.lines == ((WORDS, "+10.0*", "+9.0*", "+11.0*"), ("b", "+0.0", "+0.0", "+0.0"))


def test_notes_say_with_what_how_and_what_is_lacking() -> None:
    notes = REPORT.notes
    assert notes[0] == "trained on here; tested on there; 1 seed; tower toy"
    assert notes[1] == "without any part it is m[a=0,b=0]"
    assert "b: taken away by b=0" in notes
    assert "b added is the same as b taken away" in notes
    assert "m[a=0,b=0] cannot be made: nothing is left" in notes


def test_one_category_has_no_where_and_no_interval_over_categories() -> None:
    [table] = PartsReport(ABLATION, [row for row in ROWS if row.category == "cap"]).tables
    assert table.lines[0][2:] == ("+10.0", "[+8.1, +11.9]", "", ".002", "worth +10.0 [8.1, 11.9]")


def test_the_metrics_are_one_of_pictures_and_one_of_pixels_unless_others_are_asked_for() -> None:
    row = Row("m", (), "there", "cap", 0, 0, dict.fromkeys(("pixel_AP", "image_AP", "pixel_AUPRO", "image_AUROC"), 0.5))
    assert metrics_of([row]) == ("image_AUROC", "pixel_AUPRO")
    assert metrics_of([Row("m", (), "there", "cap", 0, 0, {"pixel_AP": 0.5})]) == ("pixel_AP",)
    assert metrics_of([]) == ("image_AUROC",)
    assert {each.metric for each in PartsReport(ABLATION, ROWS, ("pixel_AP",)).worths} == {"pixel_AP"}


def test_lines_of_json_and_values_with_commas_hold_the_same_numbers() -> None:
    lines = [json.loads(line) for line in parts_written(REPORT, ".jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(parts_written(REPORT, ".csv"))))
    assert [line["worth"] for line in lines] == pytest.approx([0.1, None, 0.0, None], nan_ok=True)
    assert [cell["worth"] and float(cell["worth"]) for cell in table] == [pytest.approx(0.1), "", 0.0, ""]
    assert json.loads(table[0]["by_category"]) == lines[0]["by_category"]
    assert lines[0]["by_category"] == pytest.approx({"cap": 0.1, "nut": 0.09, "pin": 0.11})


def test_nothing_in_a_name_acts_on_whoever_reads_it() -> None:
    assert "<b>" not in parts_written(REPORT, ".html")
    assert "a &lt;b&gt;|_x_$&amp; [y](http://z)" in parts_written(REPORT, ".html")
    assert r"a \<b>\|\_x\_\$& [y]\(http:/\/z)" in parts_written(REPORT, ".md")
    assert r"a \textless{}b\textgreater{}\textbar{}\_x\_\$\& [y](http://z)" in parts_written(REPORT, ".tex")
    [shown, _] = parts_shown(REPORT)
    assert next(str(cell) for cell in shown.columns[0].cells) == WORDS


def test_other_files_are_refused_with_those_that_are_written(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no ablation is written as \.xlsx; wanted \.csv, \.html, \.jsonl, \.md, \.tex"
    ):
        check_parts_output(tmp_path / "table.xlsx")
    with pytest.raises(UsageError, match="written as that"):
        check_parts_output(tmp_path / "table")


@needs_matplotlib
def test_a_picture_has_points_with_two_intervals_and_a_map(tmp_path: Path) -> None:
    [band] = draw_ablation(REPORT).subfigs
    worth, where = band.axes
    points = [line.get_xdata()[0] for line in worth.get_lines()[1:]]
    assert points == pytest.approx([10, 0])
    assert len(worth.collections) == 4  # thick and thin of each
    np.testing.assert_allclose(where.get_images()[0].get_array()[0], [0.1, 0.09, 0.11])
    low, high = where.get_images()[0].get_clim()
    assert -low == high == pytest.approx(0.11)
    plot_ablation(REPORT, tmp_path / "parts.png")
    assert np.asarray(Image.open(tmp_path / "parts.png")).std() > 10
    first = (tmp_path / "parts.png").read_bytes()
    plot_ablation(REPORT, tmp_path / "parts.png")
    assert (tmp_path / "parts.png").read_bytes() == first


@needs_matplotlib
def test_what_two_categories_leave_open_does_not_hide_the_rest() -> None:
    two = PartsReport(
        ABLATION, [*rows_of("m", [0.9, 0.8]), *rows_of("m[a=0]", [0.8, 0.6]), *rows_of("m[b=0]", [0.9, 0.8])]
    )
    worth = draw_ablation(two).subfigs[0].axes[0]
    low, high = worth.get_xlim()
    near = max(abs(100 * each.pictures.difference.high) for each in two.worths if each.pictures)
    assert -low == high <= 2.5 * near + 1e-6  # t of two has intervals of 12.7 standard errors
    [wide] = [each.categories for each in two.worths if each.categories and each.contrast.name == WORDS]
    arrows = {line.get_marker() for line in worth.get_lines()} & {"<", ">"}
    assert arrows == {mark for mark, end in (("<", -wide.low), (">", wide.high)) if 100 * end > high} == {"<", ">"}
    nothing = PartsReport(ABLATION, [row for row in ROWS if row.method != "m[a=0]"])
    assert draw_ablation(nothing).subfigs[0].axes[0].get_xlim() == pytest.approx((-1, 1))


@needs_matplotlib
def test_of_one_category_there_is_no_map_and_of_nothing_no_picture(tmp_path: Path) -> None:
    one = PartsReport(ABLATION, [row for row in ROWS if row.category == "cap"])
    assert len(draw_ablation(one).subfigs[0].axes) == 1
    with pytest.raises(StackclipError, match="nothing to draw"):
        plot_ablation(PartsReport(ABLATION, []), tmp_path / "parts.png")
