"""Rows of tables that people keep: CSV and TSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stackclip.data.documents import read_document
from stackclip.data.listing import is_picture
from stackclip.errors import DataError
from stackclip.ops.words import one_line

__all__ = ["MANIFESTS", "ManifestLine", "columns_of", "lines_of", "picture_column"]

MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""The extensions of tables, in small letters."""

_SEPARATORS = ",;\t|"
_NOTHING = ("", "nan", "none", "null", "na", "n/a")
_HEAD = 1 << 16


class ManifestLine(NamedTuple):
    """A row, with text in each of its columns that says something, and where it stands: `list.csv:7`."""

    where: str
    cells: Mapping[str, str]


def columns_of(path: Path) -> tuple[str, ...]:
    """The columns of a table, in order, as its beginning has them; raises DataError."""
    if path.suffix.lower() == ".parquet":
        return tuple(_parquet(path).schema_arrow.names)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    first = head.decode("utf-8-sig", "replace").lstrip().partition("\n")[0]
    if path.suffix.lower() in (".csv", ".tsv"):
        return tuple(word.strip() for word in next(csv.reader([first], delimiter=_separator(first)), []))
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, row)) if isinstance(row, dict) else ()


def lines_of(path: Path) -> Iterator[ManifestLine]:
    """All rows of a table; raises DataError for a file that is none, with the line."""
    suffix = path.suffix.lower()
    rows = {".parquet": _of_parquet, ".csv": _of_csv, ".tsv": _of_csv}.get(suffix, _of_json_lines)
    for number, row in rows(path):
        yield ManifestLine(f"{path}:{number}", {name: text for name, value in row.items() if (text := _text(value))})


def picture_column(path: Path) -> str:
    """The first column of a CSV or TSV that has the name of a picture in the first row; else empty, as of no table.

    It is for a hint: bytes that are no UTF-8 are passed over.
    """
    try:
        head = read_document(path)[:_HEAD].decode("utf-8-sig", "replace").lstrip()
        rows = csv.reader(head.splitlines()[:2], delimiter=_separator(head.partition("\n")[0]))
        names, first = next(rows, []), next(rows, [])
    except (DataError, csv.Error):
        return ""
    return next((name.strip() for name, cell in zip(names, first, strict=False) if is_picture(cell.strip())), "")


def _text(value: Any) -> str:
    """A cell as text, empty where it says nothing; whole numbers have no point, as pandas gives them one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() in _NOTHING else text


def _separator(first: str) -> str:
    return max(_SEPARATORS, key=first.count)


def _of_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = _decoded(path)
    first = text.lstrip().partition("\n")[0]
    try:
        reader = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=_separator(first), strict=True)
        names = [word.strip() for word in next(reader, [])]
        if len({*names}) < len(names) or "" in names:
            raise DataError(f"{path}: its first line is {one_line(first)[:80]!r}; wanted the name of each column, once")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(names):
                raise DataError(f"{path}:{reader.line_num}: {len(row)} cells for {len(names)} columns")
            yield reader.line_num, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from None


def _of_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON ({one_line(error)})") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: holds a {type(row).__name__}; wanted one object a line")
        yield number, row


def _of_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from enumerate(_parquet(path).read().to_pylist(), start=1)


def _parquet(path: Path) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(f'{path}: Parquet needs pyarrow: pip install "stackclip[parquet]", or save it as CSV') from None
    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: not Parquet ({one_line(error)})") from None


def _decoded(path: Path) -> str:
    try:
        return read_document(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; save it so (spreadsheets call that 'CSV UTF-8')") from None
