"""Bench and report agree, whatever happened to pictures, folders and rows between them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
BENCH = ("bench", *TOWER, "--methods", "clip", "--train-on", "synthetic[categories=1,per_category=2,size=56]")


def make_set(root: Path, *categories: str, shade: int = 0) -> Path:
    """Two good and two bad pictures of each category."""
    for position, category in enumerate(categories):
        for number in range(4):
            path = root / category / "test" / ("good" if number < 2 else "bad") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = (60 * number, 50 * position + shade, 255 - 40 * number)
            Image.new("RGB", (40, 40), colour).save(path)
    return root


def cells(result: Result) -> dict[tuple[str, ...], Any]:
    """The metrics of JSON lines by place, method, category and seed."""
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    found = {}
    for row in rows:
        about = row["facts"]["tested"]["place"], row["method"], row["category"], str(row["seed"])
        assert about not in found or row["facts"]["reported"]["earlier"]
        found.setdefault(about, row["metrics"])
    return found


def bench(stackclip: Run, workspace: Path, tested: Path, *words: str) -> dict[tuple[str, ...], Any]:
    result = stackclip(workspace, *BENCH, "--test-on", str(tested), "--json", *words)
    assert result.exit_code == 0, result.output
    return cells(result)


def test_a_report_of_a_copied_workspace_says_what_its_last_bench_said(stackclip: Run, tmp_path: Path) -> None:
    data, work = make_set(tmp_path / "a" / "lineup", "bottle", "cap"), tmp_path / "work"
    first = bench(stackclip, work, data)
    picture = data / "cap" / "test" / "bad" / "3.png"
    kept = picture.read_bytes()
    Image.new("RGB", (40, 40), (10, 200, 30)).save(picture)
    second = bench(stackclip, work, data)
    assert second != first
    copy = Path(shutil.copytree(work, tmp_path / "copy"))
    for number, path in enumerate(sorted((copy / "cache" / "rows").iterdir())):
        os.utime(path, (number, number))
    report = stackclip(copy, "report", "--json")
    assert cells(report) == second
    assert "earlier pictures of" in stackclip(copy, "report").stdout
    picture.write_bytes(kept)
    assert bench(stackclip, copy, data) == first
    assert cells(stackclip(copy, "report", "--json")) == first


def test_tables_of_two_places_of_one_name_are_told_apart_in_every_form(stackclip: Run, tmp_path: Path) -> None:
    places = [make_set(tmp_path / plant / "lineup", "cap", shade=90 * n) for n, plant in enumerate(("east", "west"))]
    measured: dict[tuple[str, ...], Any] = {}
    for place in places:
        measured |= bench(stackclip, tmp_path / "work", place)
    outputs = [tmp_path / f"table{suffix}" for suffix in (".csv", ".md", ".tex", ".jsonl")]
    words = [word for path in outputs for word in ("-o", str(path))]
    report = stackclip(tmp_path / "work", "report", "--json", *words)
    assert cells(report) == measured
    assert len(measured) == 2
    for path in outputs:
        assert all(str(place) in path.read_text("utf-8") for place in places)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("what", ["null facts", "pipe", "endless"])
def test_a_row_that_is_none_is_one_line_of_a_report_and_computed_again(
    what: str, stackclip: Run, tmp_path: Path
) -> None:
    data, work = make_set(tmp_path / "lineup", "bottle", "cap"), tmp_path / "work"
    before = bench(stackclip, work, data)
    path = min((work / "cache" / "rows").iterdir())
    content = path.read_bytes()
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(json.dumps({**json.loads(content)["content"]["row"], "facts": None}).encode())
    for form in ((), ("--json",), ("--per-category",), ("--ci",)):
        result = stackclip(work, "report", *form)
        assert result.exit_code == 0
        assert result.stderr.count(path.name) == 1
    assert bench(stackclip, work, data) == before
    assert path.read_bytes() != b""
    assert path.is_file()
    assert not path.is_symlink()


def test_outputs_that_cannot_be_written_are_named_and_the_others_are_written(stackclip: Run, tmp_path: Path) -> None:
    data, file = make_set(tmp_path / "lineup", "cap"), tmp_path / "file"
    file.write_text("")
    bad, long, good = file / "table.md", tmp_path / f"{'x' * 300}.tex", tmp_path / "good.csv"
    words = [word for path in (bad, long, good) for word in ("-o", str(path))]
    for verb in ((*BENCH, "--test-on", str(data)), ("report",)):
        result = stackclip(tmp_path / "work", *verb, *words)
        assert result.exit_code == 3
        assert "clip" in result.stdout
        said = [line for line in result.stderr.splitlines() if "not written" in line]
        assert [line.split(": not written")[0] for line in said] == [str(bad), str(long)]
        assert good.read_text().count("\n") == 2
        good.unlink()


def test_rows_that_cannot_be_kept_are_exit_3_and_the_table_is_printed(stackclip: Run, tmp_path: Path) -> None:
    data, work = make_set(tmp_path / "lineup", "bottle", "cap"), tmp_path / "work"
    (work / "cache").mkdir(parents=True)
    (work / "cache" / "rows").write_text("a file in the place of the folder")
    result = stackclip(work, *BENCH, "--test-on", str(data))
    assert result.exit_code == 3
    assert "clip" in result.stdout
    assert result.stderr.count("this row is not kept") == 1
    assert "2 rows could not be kept" in result.stderr


def test_defects_whose_masks_are_black_or_lost_in_scaling_are_counted_apart_under_the_table(
    stackclip: Run, tmp_path: Path
) -> None:
    data = make_set(tmp_path / "lineup", "cap")
    for number in range(4, 8):
        Image.new("RGB", (280, 280), (30 * number, 90, 10)).save(data / "cap/test/bad" / f"{number}.png")
        mask = Image.new("L", (280, 280))
        if number >= 5:
            mask.paste(255, (0, 0, 1, 1) if number < 7 else (40, 40, 200, 200))
        (data / "cap/ground_truth/bad").mkdir(parents=True, exist_ok=True)
        mask.save(data / "cap/ground_truth/bad" / f"{number}_mask.png")
    for command in ((*BENCH, "--test-on", str(data)), ("report",)):
        said = " ".join(stackclip(tmp_path / "work", *command).output.split())
        assert "3 of 4 defective pictures with a mask have no anomalous pixel" in said
        assert "1 with a black mask, 2 lost in scaling to 56 pixels" in said


def test_a_range_that_is_named_has_features_and_rows_of_its_own(stackclip: Run, tmp_path: Path) -> None:
    data = tmp_path / "lineup"
    for number in range(4):
        path = data / "cap" / "test" / ("good" if number < 2 else "bad") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(number).integers(0, 4096, (40, 40))
        Image.fromarray(levels.astype(np.uint16)).save(path)
    work, command = tmp_path / "work", (*BENCH, "--test-on", str(data))
    plain = stackclip(work, *command)
    assert "--range 0:4095 makes that white" in plain.output
    named = stackclip(work, *command, "--range", "0:4095")
    assert "makes that white" not in named.output
    assert len(list((work / "cache" / "features").iterdir())) == len(list((work / "cache" / "rows").iterdir())) == 2
    refused = stackclip(work, *command, "--range", "4095:0")
    assert (refused.exit_code, "wanted two numbers" in refused.output) == (2, True)
