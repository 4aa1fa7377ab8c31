"""Rows on disk are found again by what they were measured on, and by nothing else."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stackclip.benchmarks.rows import RowFolder, cell_id, row_from_json, row_to_json
from stackclip.ops.seals import sealed, unsealed
from stackclip.types import Row

ROW = Row(
    method="stacked",
    train_on=("visa", "mpdd"),
    test_on="mvtec",
    category="bottle",
    shots=0,
    seed=3,
    metrics={"image_AUROC": 1 / 3},
    undefined={"pixel_AUROC": "no defective pixel"},
    seconds=1.25,
    facts={"protocol": "a", "note": "ü"},
)


def test_a_row_comes_back_from_disk_to_the_last_digit(tmp_path: Path) -> None:
    folder = RowFolder(tmp_path / "rows")
    folder.write("cell", ROW)
    assert folder.find("cell") == ROW
    assert list(folder) == [ROW]
    assert row_from_json(json.loads(json.dumps(row_to_json(ROW)))) == ROW


def test_a_cell_that_was_never_measured_is_not_there(tmp_path: Path) -> None:
    assert RowFolder(tmp_path / "nowhere").find("cell") is None
    assert list(RowFolder(tmp_path / "nowhere")) == []


def test_writing_leaves_nothing_but_the_row(tmp_path: Path) -> None:
    RowFolder(tmp_path).write("cell", ROW)
    assert [path.name for path in tmp_path.iterdir()] == ["cell.json"]


def test_a_row_with_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        RowFolder(tmp_path).write("cell", Row("m", ("a",), "b", "c", 0, 0, metrics={"image_AP": float("nan")}))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logging.getLogger("stackclip").propagate = True
    return caplog


def refused(folder: Path, said: pytest.LogCaptureFixture) -> str:
    """The one line that names `cell.json`, which counts as not there."""
    said.clear()
    rows = RowFolder(folder)
    assert rows.find("cell") is None
    assert list(rows) == []
    [record] = said.records  # however often it is met
    assert "cell.json: " in record.message
    assert record.message.endswith("; a bench computes its cell again")
    return record.message


def resealed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a row's file says and give it a checksum that fits."""
    content = unsealed(path.read_bytes())
    change(content)
    path.write_bytes(sealed(content))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b"{}", b"[" * 100_000, b"\xff", sealed({}), sealed({"cell": "cell"})]
    + [
        sealed({"cell": "cell", "written": {"time": 1, "sequence": 0}, "seen": [], "row": row_to_json(ROW) | more})
        for more in ({"schema": "stackclip-row/999"}, {"more": 1})
    ],
)
def test_a_file_that_is_no_row_is_named_once_and_counts_as_not_there(
    data: bytes, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cell.json").write_bytes(data)
    assert "cell.json: not a row (" in refused(tmp_path, said)


def test_no_flipped_bit_and_no_changed_digit_is_read_as_true(tmp_path: Path) -> None:
    folder, path, draw = RowFolder(tmp_path), tmp_path / "cell.json", Random(0)
    folder.write("cell", ROW, {"/data": {"bottle": "0a"}})
    whole = path.read_bytes()
    digits = [place for place, byte in enumerate(whole) if byte in b"0123456789"]
    for place in (*draw.choices(range(len(whole)), k=200), *draw.choices(digits, k=200)):
        other = whole[place] ^ 1 << draw.randrange(8)
        path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        assert folder.find("cell") is None
    path.write_bytes(whole)
    assert folder.find("cell") == ROW


def test_a_row_under_the_name_of_another_cell_is_refused(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    RowFolder(tmp_path).write("another", ROW)
    (tmp_path / "another.json").rename(tmp_path / "cell.json")
    assert "the row of another cell" in refused(tmp_path, said)


WRONG: dict[str, list[Any]] = {
    "method": [None, 3, ["clip"], "", "clip["],
    "train_on": [None, "visa", [1], {}],
    "category": [None, 0],
    "shots": [-1, True, 1.0, "1"],
    "seed": [-1, None, 0.5, True, 2**63],
    "metrics": [None, [], {"image_AUROC": "0.5"}, {"image_AUROC": 1.5}, {"image_AUROC": -0.1}, {"image_AUROC": True}],
    "undefined": [None, {"pixel_AUROC": 1}],
    "seconds": [-1, None, "1", 10**400],
    "error": [None, 1],
    "facts": [None, [], 1, "x"]
    + [
        {name: value}
        for name in (
            "why_left_out",
            "draws",
            "curve",
            "stacks",
            "tested",
            "trained",
            "overlap",
            "schedule",
            "empty_masks",
        )
        for value in (1, "x")
    ]
    + [{"scores": {"a": 1.0}, "stacks": []}, {"scores": {"1": 1.0}}, {"eval_every": 1}, {"epochs": True}]
    + [{"overlap": {"trained": "2"}}, {"empty_masks": {"masks": 1}}, {"schedule": {"head": {"lr": 0.1}}}]
    + [{"trained_families": 1}, {"tested_family": []}, {"schedule": {"head": {"epochs": 1, "lr": "x"}}}]
    + [{"draws": {"count": 1, "pictures": "", "values": {"image_AP": "?"}}}, {"pixel_metrics": {"bounds": [1]}}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_field_of_another_type_is_refused_though_the_checksum_fits(
    name: str, value: Any, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    RowFolder(tmp_path).write("cell", ROW)
    resealed(tmp_path / "cell.json", lambda content: content["row"].update({name: value}))
    refused(tmp_path, said)


def test_a_folder_of_rows_that_is_none_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("not a folder")
    with pytest.raises(NotADirectoryError, match="rows"):
        RowFolder(tmp_path / "rows").entries()
    assert not RowFolder(tmp_path / "missing").entries()


@pytest.mark.parametrize("written", [None, 1, {}, {"time": "1", "sequence": 0}, {"time": -1, "sequence": 0}])
def test_a_row_that_does_not_say_when_it_was_written_is_refused(
    written: Any, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    RowFolder(tmp_path).write("cell", ROW)
    resealed(tmp_path / "cell.json", lambda content: content.update(written=written))
    refused(tmp_path, said)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "large"])
def test_what_is_no_regular_file_of_bounded_size_is_refused_at_once(
    kind: str, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cell.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    assert "is no regular file of at most" in refused(tmp_path, said)


def test_rows_of_an_older_version_are_counted_in_one_line(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        text = json.dumps({**row_to_json(ROW), "schema": "stackclip-row/1"}, indent=1)
        (tmp_path / f"{number}.json").write_text(text)
    rows = RowFolder(tmp_path)
    assert list(rows) == list(rows) == []
    assert said.messages == [f"{tmp_path}: 3 rows of an older stackclip are not read; run the bench again"]


def test_names_that_are_no_text_are_kept_as_they_are(tmp_path: Path) -> None:
    row = replace(ROW, category="caf\udce9", facts={"tested_left_out": ["\udcff.png", "\\udcff.png"]})
    RowFolder(tmp_path).write("cell", row)
    assert RowFolder(tmp_path).find("cell") == row


def test_rows_come_in_the_order_of_writing_whatever_clock_and_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([500, 500, 100, 100])
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    rows = [replace(ROW, seed=seed) for seed in range(4)]
    for name, row in zip("dbca", rows, strict=True):
        RowFolder(tmp_path).write(name, row)  # each as another process
        os.utime(tmp_path / f"{name}.json", (1000 - row.seed, 1000 - row.seed))
    assert list(RowFolder(tmp_path)) == rows


def test_a_cell_is_named_by_everything_that_its_figures_depend_on() -> None:
    identity = {"method": "stacked", "seed": 0, "train_on": [["visa", ["pcb1"]]]}
    assert cell_id(identity) == cell_id(dict(reversed(identity.items())))
    others = [{**identity, "seed": 1}, {**identity, "method": "fuzzy"}, {**identity, "train_on": [["visa", ["pcb2"]]]}]
    assert len({cell_id(each) for each in (identity, *others)}) == 4
