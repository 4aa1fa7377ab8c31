"""Rows on disk are found again by what they were measured on, and by nothing else."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from stackclip.benchmarks.rows import SCHEMA, RowFolder, cell_id, row_from_json, row_to_json
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        json.dumps({**row_to_json(ROW), "schema": "stackclip-row/999"}),
        json.dumps({"schema": SCHEMA, "method": "m"}),
        json.dumps({**row_to_json(ROW), "more": 1}),
        "\udcff",
    ],
)
def test_a_damaged_row_is_named_and_counts_as_not_there(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cell.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    logging.getLogger("stackclip").propagate = True
    assert RowFolder(tmp_path).find("cell") is None
    assert "cell.json: not a row" in caplog.text


def test_a_cell_is_named_by_everything_that_its_figures_depend_on() -> None:
    identity = {"method": "stacked", "seed": 0, "train_on": [["visa", ["pcb1"]]]}
    assert cell_id(identity) == cell_id(dict(reversed(identity.items())))
    others = [{**identity, "seed": 1}, {**identity, "method": "fuzzy"}, {**identity, "train_on": [["visa", ["pcb2"]]]}]
    assert len({cell_id(each) for each in (identity, *others)}) == 4
