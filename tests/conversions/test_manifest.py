"""A table names every file by its path from the table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from stackclip.conversions import convert
from stackclip.data import open_dataset


def written(root: Path, form: str) -> Path:
    for name in ("good/1.png", "dent/2.png", "dent/3.png", "masks/dent/2.png"):
        (root / "nut" / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(1).integers(60, 200, (9, 9, 3), dtype=np.uint8)
        masked = np.zeros((9, 9), np.uint8)
        masked[2:4] = 1
        Image.fromarray(masked if "masks" in name else values).save(root / "nut" / name)
    convert(open_dataset(f"mine={root}/nut", generated=root), form, root / "out")
    return root / "out" / f"manifest.{form}"


WANTED = [
    ["images/nut/dent/test/2.png", 1, "masks/nut/dent/test/2.png", "test", "nut", "dent"],
    ["images/nut/dent/test/3.png", 1, None, "test", "nut", "dent"],
    ["images/nut/good/test/1.png", 0, None, "test", "nut", "good"],
]


def test_csv_as_the_standard_reader_has_it(tmp_path: Path) -> None:
    path = written(tmp_path, "csv")
    head, *rows = csv.reader(path.read_text().splitlines())
    assert head == ["image", "label", "mask", "split", "category", "defect"]
    assert rows == [["" if cell is None else str(cell) for cell in row] for row in WANTED]
    assert all((path.parent / row[0]).is_file() for row in rows)
    assert np.asarray(Image.open(path.parent / rows[0][2])).sum() == 18 * 255


def test_lines_of_json(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in written(tmp_path, "jsonl").read_text().splitlines()]
    assert [list(row.values()) for row in rows] == WANTED
