"""Writers stand on a shelf by suffix; those of others stand beside ours and hurt nobody."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.benchmarks.rows import RowFolder
from stackclip.errors import UnknownComponent, UsageError
from stackclip.reports.document import Document
from stackclip.reports.writers import check_output, suffixes, written
from stackclip.types import Row

Run = Callable[..., Result]
KNOWN = ".csv, .html, .jsonl, .md, .parquet, .tex, .txt, .xlsx"
ROWS = [Row(name, ("visa",), "mvtec", "bottle", 0, 0, {"image_AP": value}) for name, value in (("a", 0.5), ("b", 0.25))]
OTHERS = '''
from stackclip.registry import writers

@writers.register("names")
class Names:
    """The names of the methods."""
    def write(self, document):
        return " ".join(cell.row.method for sheet in document.sheets for cell in sheet.cells)

@writers.register("leaves")
class Leaves:
    """It ends the program."""
    def write(self, document): raise SystemExit(0)

@writers.register("bytes")
class Bytes:
    """It gives bytes."""
    def write(self, document): return b"\\0\\xff"

@writers.register("number")
class Number:
    """It gives no text."""
    def write(self, document): return 1
'''


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with two rows and with writers of its own."""
    for row in ROWS:
        RowFolder(tmp_path / "cache" / "rows").write(row.method, row)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "others.py").write_text(OTHERS)
    return tmp_path


def test_a_suffix_that_no_writer_has_is_refused_with_those_there_are() -> None:
    assert set(KNOWN.split(", ")) <= set(suffixes())
    for name in ("table.docx", "table", "table.", "csv"):
        with pytest.raises(UsageError, match=rf"no table is written as .*; wanted {re.escape(KNOWN)}"):
            check_output(Path(name))
    for suffix in suffixes():
        check_output(Path(f"table{suffix}"))
    with pytest.raises(UnknownComponent):
        written(Document(ROWS), ".docx")


def test_a_text_file_holds_what_the_command_prints(stackclip: Run, workspace: Path) -> None:
    file = workspace / "table.txt"
    result = stackclip(workspace, "report", "--per-category", "-o", str(file))
    assert result.exit_code == 0
    assert "a       bottle" in result.stdout
    assert file.read_text("utf-8") == result.stdout


@pytest.mark.usefixtures("registry_as_it_was")
def test_a_writer_dropped_into_the_registry_is_used_and_one_that_fails_costs_its_file_alone(
    stackclip: Run, workspace: Path
) -> None:
    files = {suffix: workspace / f"table.{suffix}" for suffix in ("leaves", "names", "bytes", "number", "md")}
    words = [word for file in files.values() for word in ("-o", str(file))]
    result = stackclip(workspace, "report", *words)
    assert result.exit_code == 3, result.output
    assert files["names"].read_text() == "a b"
    assert "| a | **50.0** |" in files["md"].read_text()
    assert [name for name, file in files.items() if not file.exists()] == ["leaves", "number"]
    assert files["bytes"].read_bytes() == b"\0\xff"
    assert "table.leaves: not written (writer 'leaves' (" in result.stderr
    assert "gives a int, wanted text or bytes" in result.stderr
    assert "its names" not in stackclip(workspace, "check", "names").stdout


HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    '=1+1"',
    "'@SUM(A1)",
    "a\x1b[2J\x9b31m\x07",
    "\u202egnp\u2066",
    "one\r\ntwo\u2028three",
    r"\input{/etc/passwd}$x^2$ %",
    "{{7*7}}{%raw%}",
    "größe \udcff",
)


@pytest.mark.parametrize("suffix", suffixes())
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_acts_in_any_file(name: str, suffix: str) -> None:
    facts = {"note": name, "tower": name, "by_defect": {name: {"pictures": 1, "metrics": {"image_AP": 0.5}}}}
    rows = [
        Row(name, (name,), name, name, 0, 0, {"image_AP": 0.5}, {"pixel_AP": name}, facts=facts),
        Row("other", (name,), name, name, 0, 0, error=name),
    ]
    text = written(Document(rows, per_category=True, per_defect=True, ci=True), suffix)
    if isinstance(text, bytes):  # tests/reports/test_files.py reads these
        return
    text.encode("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
    assert not [line for line in text.splitlines() if line.startswith(("two", "three"))]
    if suffix == ".csv":
        cells = [cell for line in csv.reader(text.splitlines()) for cell in line]
        assert not [cell for cell in cells if cell.lstrip(" '\"").startswith(("=", "@")) and not cell.startswith("'")]
    if suffix == ".html":
        assert "<img" not in text
        assert text.count("<script") == text.count("</script>") == 1
        assert ">49<" not in text
    if suffix == ".tex":
        code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        assert r"\input" not in code
        assert re.search(r"(?<!\\)[$^]", code.replace(r"$\pm$", "").replace(r"$^\dagger$", "")) is None
