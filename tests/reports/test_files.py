"""Frames, Parquet files and Excel workbooks hold what CSV holds, with types, and nothing in them runs."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from stackclip.errors import UsageError
from stackclip.reports.document import Document
from stackclip.reports.table import METRICS
from stackclip.reports.writers import check_output, written
from stackclip.types import Row

pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install stackclip[frames]")
arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install stackclip[frames]")
openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed: pip install openpyxl")
pytest.importorskip("xlsxwriter", reason="XlsxWriter is not installed: pip install stackclip[frames]")
HOSTILE = (
    "=1+1",
    "@SUM(A1)",
    "+1",
    "https://a.b",
    "007",
    "1e5",
    "größe \x1b[2J\u202e\udcff",
    "</td><script>",
    "",
    "x" * 40000,
)


def rows() -> list[Row]:
    facts = {"tower": "=tower", "by_defect": {"=bent": {"pictures": 1, "metrics": {"image_AP": 1 / 3}}}}
    whole = Row("a", ("visa", "btad"), "mvtec", "nut", "all", 2**32 - 1, dict.fromkeys(METRICS, 1 / 3), facts=facts)
    half = Row("b", (), "mvtec", "nut", 4, 0, {"image_AP": 0.1}, {"pixel_AP": "no masks"}, 1.5)
    return [whole, half, Row("c", ("visa",), "mvtec", "pill", 0, 1, error="too dark")]


def document(per_defect: bool = True) -> Document:
    return Document(rows(), ci=True, per_defect=per_defect)


def written_bytes(document: Document, suffix: str) -> bytes:
    made = written(document, suffix)
    assert isinstance(made, bytes)
    return made


@pytest.mark.parametrize("per_defect", [False, True])
def test_a_parquet_file_reads_back_as_the_frame_of_the_document(per_defect: bool) -> None:
    made = document(per_defect)
    found = pandas.read_parquet(io.BytesIO(written_bytes(made, ".parquet")))
    pandas.testing.assert_frame_equal(found, made.frame(), check_exact=True)
    assert found["seed"].dtype == "int64"
    assert {str(found[name].dtype) for name in (*METRICS, "seconds", "image_AP_low")} == {"float64"}
    assert [*found["shots"]] == (["all", "all", "4", "0"] if per_defect else ["all", "4", "0"])
    assert found["image_AP"][0] == 1 / 3
    assert found["pixel_AP"].isna().tolist()[-2:] == [True, True]


def test_a_number_that_json_holds_as_a_whole_one_is_a_number_in_a_parquet_file() -> None:
    made = Document([Row("a", (), "b", "c", 0, 2**63 - 1, {"image_AP": 1}, seconds=2**70)])
    found = pandas.read_parquet(io.BytesIO(written_bytes(made, ".parquet")))
    assert [found[name][0] for name in ("seed", "image_AP", "seconds")] == [2**63 - 1, 1.0, 2.0**70]


def test_without_rows_the_columns_are_there_with_their_types() -> None:
    frame = Document([]).frame()
    found = pandas.read_parquet(io.BytesIO(written_bytes(Document([]), ".parquet")))
    pandas.testing.assert_frame_equal(found, frame)
    assert len(frame) == 0
    assert frame["image_AUROC"].dtype == "float64"


def test_a_frame_has_the_columns_and_lines_of_csv() -> None:
    text = written(document(), ".csv")
    assert isinstance(text, str)
    head, *lines = csv.reader(io.StringIO(text))
    frame = document().frame()
    assert [*frame.columns] == head
    assert len(lines) == len(frame) == 4
    numbers = [float(line[head.index("image_AP")] or "nan") for line in lines]
    pandas.testing.assert_series_equal(frame["image_AP"], pandas.Series(numbers, name="image_AP"))


@pytest.mark.parametrize("name", HOSTILE)
def test_text_is_text_in_a_workbook_and_in_a_parquet_file(name: str) -> None:
    row = Row(
        name, (name,), name, name, 0, 0, {"image_AP": 0.5}, {"pixel_AP": name}, facts={"note": name, "tower": name}
    )
    made = Document([row], per_category=True)
    book = openpyxl.load_workbook(io.BytesIO(written_bytes(made, ".xlsx")))
    cells = [cell for sheet in book for line in sheet.iter_rows() for cell in line if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert {cell.data_type for cell in cells if isinstance(cell.value, str)} == {"s"}
    assert not [cell for cell in cells if cell.hyperlink]
    frame = pandas.read_parquet(io.BytesIO(written_bytes(made, ".parquet")))
    shown = frame["category"][0]
    assert not {"\x1b", "\u202e", "\udcff"} & {*shown}
    assert not name or (shown if len(shown) < 32767 else f"{shown[:32766]}…") in {cell.value for cell in cells}


def test_a_workbook_has_the_tables_the_cells_and_the_notes() -> None:
    book = openpyxl.load_workbook(io.BytesIO(written_bytes(document(per_defect=False), ".xlsx")))
    assert book.sheetnames == ["tables", "cells", "notes"]
    head, *lines = book["tables"].iter_rows(values_only=True)
    assert head[:3] == ("table", "method", "part")
    first = dict(zip(head, lines[0], strict=True))
    assert (first["method"], first["part"], first["image_AP"]) == ("a", "mean", 1 / 3)
    cells = [
        dict(zip([c.value for c in book["cells"][1]], line, strict=True))
        for line in book["cells"].iter_rows(2, values_only=True)
    ]
    assert [(each["method"], each["seed"], each["image_AP"]) for each in cells] == [
        ("a", 2**32 - 1, 1 / 3),
        ("b", 0, 0.1),
        ("c", 1, None),
    ]
    notes = [line[0] for line in book["notes"].iter_rows(values_only=True)]
    assert "c, mvtec pill: failed: too dark" in notes


def test_more_lines_than_a_sheet_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackclip.reports.writers.excel._MOST", 3)
    with pytest.raises(UsageError, match=r"holds 3 lines, and there are more \w+: take \.parquet or \.csv"):
        written(document(), ".xlsx")


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_equal_documents_are_equal_files(suffix: str) -> None:
    assert written(document(), suffix) == written(document(), suffix)


@pytest.mark.parametrize(("suffix", "package"), [(".parquet", "pyarrow"), (".xlsx", "xlsxwriter")])
def test_what_is_not_installed_is_said_before_the_work(
    suffix: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf'\{suffix} needs \w+, which is not installed: pip install "stackclip'):
        check_output(Path(f"table{suffix}"))
