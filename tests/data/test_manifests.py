"""Rows of CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.data.manifests import columns_of, lines_of, picture_column
from stackclip.errors import DataError

ROWS = [{"path": "a, b.png", "label": "0"}, {"path": "c.png", "label": "1"}, {"path": "d.png"}]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'path,label\n"a, b.png",0\nc.png,1\nd.png,\n'),
        ("t.csv", 'path;label\r\n"a, b.png";0\r\n\r\nc.png;1\r\nd.png; nan \r\n'),
        ("T.TSV", "path\tlabel\na, b.png\t0\nc.png\t1\nd.png\tNone\n"),
        ("t.csv", '\ufeffpath|label\n"a, b.png"|0\nc.png|1\nd.png|NA'),
        (
            "t.jsonl",
            '{"path": "a, b.png", "label": 0}\n\n{"path": "c.png", "label": 1.0}\n{"path": "d.png", "label": null}',
        ),
        ("t.ndjson", '{"path": "a, b.png", "label": "0"}\n{"path": "c.png", "label": 1}\n{"path": "d.png"}\n'),
    ],
)
def test_the_same_rows_in_each_form(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path / name, text)
    assert columns_of(path) == ("path", "label")
    assert [dict(line.cells) for line in lines_of(path)] == ROWS


def test_a_row_says_where_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'path,label\n"a\nb",0\n\nc,1\n')
    assert [line.where for line in lines_of(path)] == [f"{path}:3", f"{path}:5"]


def test_parquet_is_read_with_its_library_and_refused_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    names: list[str | None] = ["a, b.png", "c.png", "d.png"]
    parquet.write_table(arrow.table({"path": names, "label": [0, 1, None]}), path)
    assert columns_of(path) == ("path", "label")
    assert [dict(line.cells) for line in lines_of(path)] == ROWS
    written(path, "no parquet")
    with pytest.raises(DataError, match=r"t\.parquet: not Parquet"):
        columns_of(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r't\.parquet: Parquet needs pyarrow: pip install "stackclip\[parquet\]"'):
        columns_of(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "path,label\na\n", r"t\.csv:2: 1 cells for 2 columns"),
        ("t.csv", "path,path\na,b\n", "wanted the name of each column, once"),
        ("t.csv", "path,\na,b\n", "wanted the name of each column, once"),
        ("t.csv", 'path,label\n"a,b\n', r"t\.csv: cannot be read as a table"),
        ("t.jsonl", '{"path": "a"}\n{"path"', r"t\.jsonl:2: not JSON"),
        ("t.jsonl", '{"path": "a"}\n[1]\n', r"t\.jsonl:2: holds a list; wanted one object a line"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(lines_of(written(tmp_path / name, text)))


def test_another_encoding_is_refused(tmp_path: Path, plant: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"t\.csv: not UTF-8"):
        list(lines_of(written(tmp_path / "t.csv", "path,label\ngrün,1\n", "latin-1")))
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        columns_of(tmp_path / "absent.csv")
    assert columns_of(plant(tmp_path, "empty.csv", "empty.jsonl") / "empty.jsonl") == ()
    assert list(lines_of(tmp_path / "empty.csv")) == []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("Prüfer;Bild;Maß\nJörg;C:\\Prüfung\\1.JPG;1,5\n", "Bild"),
        ("where,what\na,b.png\n", "what"),
        ("time,weight\n1,2\n", ""),
        ("path\n", ""),
        ("", ""),
    ],
)
def test_the_column_that_names_pictures_is_told_by_what_it_has(tmp_path: Path, text: str, column: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        assert picture_column(written(tmp_path / "t.csv", text, encoding)) == column
    assert picture_column(tmp_path / "absent.csv") == ""
