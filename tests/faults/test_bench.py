"""At every single operation of a bench below its workspace: killed, out of space, refused; and rows and heads after."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from safetensors import safe_open

from stackclip.benchmarks.curves import charts
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.sets import reported
from stackclip.errors import StackclipError
from stackclip.heads import TrainedHead, load_head, save_head
from stackclip.ops.seals import sealed, unsealed
from stackclip.reports.document import Document
from stackclip.reports.writers import suffixes, written
from stackclip.reports.writers.terminal import blocks

from .lab import FAIL, FAIL_FROM, KILL, KILL_AFTER, SHORT, Lab, log_of, operations
from .tally import Tally
from .test_operations import FAULTS

CHOSEN = {name: fault for name, fault in FAULTS.items() if fault[0] in (KILL, KILL_AFTER, FAIL, FAIL_FROM, SHORT)}


@pytest.fixture(scope="module")
def kinds(bench_lab: Lab) -> list[str]:
    """The operations of a bench without a fault."""
    root = bench_lab.fresh()
    ending = bench_lab.run("bench", root)
    assert (ending.code, ending.messages, ending.answer) == (0, "", {"unkept": 0, "computed": 4, "right": True})
    assert bench_lab.judge(root)["why"] == []
    return [operation.kind for operation in operations(log_of(root)) if operation.kind != "note"]


@pytest.fixture(scope="module")
def kept(bench_lab: Lab) -> Path:
    """The rows and heads of a bench, which nobody changes."""
    root = bench_lab.fresh()
    assert bench_lab.run("bench", root, watched=False).code == 0
    return root


@pytest.fixture
def work(kept: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(kept, tmp_path / "work"))


@pytest.mark.parametrize("name", CHOSEN)
def test_what_a_bench_kept_is_whole_and_it_goes_on(
    bench_lab: Lab, tally: Tally, full: bool, kinds: list[str], name: str
) -> None:
    (action, error), fault = CHOSEN[name], f"a bench, {name}"
    figures = tally.of(fault, "an operation of a bench")
    points = [at for at, kind in enumerate(kinds) if kind == "write" or action != SHORT]
    if not full:
        points = points[len(name) % 7 :: max(1, len(points) // (4 if action in (KILL, KILL_AFTER) else 2))]
    for at in points:
        root = bench_lab.fresh()
        ending = bench_lab.run("bench", root, action=action, at=at, error=error)
        killed = action in (KILL, KILL_AFTER)
        if killed:
            assert ending.signal == 9, f"operation {at} of {len(kinds)} was never done"
        else:
            assert ending.code == 0, ending
            assert ending.answer["right"], f"{at}: the table on the terminal is another"
        tally.judged(fault, f"{kinds[at]} {at}", bench_lab.judge(root), None if killed else ending)
        bench_lab.drop(root)
    assert figures.points == len(points)
    tally.require(fault)


def test_no_flip_and_no_changed_digit_of_rows_and_heads_is_silent(
    kept: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault, draw = "changed rows and heads", Random(0)
    figures = tally.of(fault, "a flipped bit or a changed digit")
    for original in sorted([*(kept / "rows").iterdir(), *(kept / "heads").iterdir()]):
        data, path, fingerprint = original.read_bytes(), tmp_path / original.name, fingerprint_of(original)
        end = len(data) if path.suffix == ".json" else 8 + int.from_bytes(data[:8], "little")
        digits = [place for place in range(end) if data[place : place + 1].isdigit()]
        for number in range(500 if full else 60):
            place = draw.choice(digits) if number % 2 else draw.randrange(end)
            others = [other for other in b"0123456789" if other != data[place]]
            other = draw.choice(others) if number % 2 else data[place] ^ 1 << draw.randrange(8)
            path.write_bytes(data[:place] + bytes([other]) + data[place + 1 :])
            tally.counted(fault, "", f"{path.name} {place} {other}", silent=is_believed(path, fingerprint))
        path.write_bytes(data)
        assert is_believed(path, fingerprint)
    assert figures.points >= (2000 if full else 300)
    tally.require(fault)


def fingerprint_of(head: Path) -> str:
    """What a head's facts say of its features; nothing for a row."""
    if head.suffix == ".json":
        return ""
    with safe_open(head, framework="pt") as file:
        return str(json.loads(file.metadata()["facts"])["fingerprint"])


def is_believed(path: Path, fingerprint: str) -> bool:
    """Whether a file is taken for a row or a head under its name."""
    if path.suffix == ".json":
        return RowFolder(path.parent).find(path.stem) is not None
    try:
        load_head(path, fingerprint=fingerprint)
    except StackclipError:
        return False
    return True


ANYTHING: list[Any] = [None, True, -1, 0, 2**70, 1.5, 1e308, "", "x", "\udcff", [], [[]], {}, {"a": {}}, ["a", 1]]


def test_rows_of_wrong_types_with_checksums_that_fit_are_refused_or_shown(work: Path, tally: Tally, full: bool) -> None:
    fault, draw = "rows of wrong types", Random(0)
    tally.of(fault, "a row with a field of another type, and every form of a report")
    rows = RowFolder(work / "rows")
    for path in sorted((work / "rows").iterdir()):
        data = path.read_bytes()
        for _ in range(300 if full else 20):
            content = unsealed(data)
            replaced = replace_one(content, draw)
            path.write_bytes(sealed(content))
            try:
                report(rows)
            except Exception as error:  # whatever it is, it is a flaw
                tally.counted(fault, "", f"{replaced}: {error!r}", messages=True)
            else:
                tally.counted(fault, "", replaced)
        path.write_bytes(data)
    tally.require(fault)


def replace_one(content: Any, draw: Random) -> str:
    """Put something else into one place of facts; the place in words."""
    at: list[str] = []
    while True:
        key = draw.choice(sorted(content) if isinstance(content, dict) else range(len(content)))
        at.append(str(key))
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.2:
            content[key] = draw.choice(ANYTHING)
            return f"{' '.join(at)} = {content[key]!r}"
        content = inner


def report(rows: RowFolder) -> None:
    """Everything that a report does with rows."""
    found = reported(rows.entries(aloud=False))
    list(blocks(Document(found, ci=True)))
    charts(found)
    for suffix in suffixes():
        written(Document(found, per_category=True, ci=True), suffix)


def test_heads_of_wrong_types_with_checksums_that_fit_are_refused_or_adopted(
    kept: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault, draw = "heads of wrong facts", Random(0)
    tally.of(fault, "a head with a fact of another type")
    [original] = (kept / "heads").iterdir()
    fingerprint = fingerprint_of(original)
    head, path = load_head(original, fingerprint=fingerprint), tmp_path / original.name
    for _ in range(300 if full else 20):
        facts = json.loads(json.dumps(head.facts))
        replaced = replace_one(facts, draw)
        save_head(path, TrainedHead(head.tensors, facts))
        keeper = Keeper(RowFolder(tmp_path / "rows"), tmp_path)
        found = keeper.find_head(path.stem, fingerprint=fingerprint)
        wrong = found is not None and not isinstance(found.facts["losses"], list)
        tally.counted(fault, "", replaced, silent=wrong)
    tally.require(fault)


def test_a_planted_link_is_replaced_and_what_it_points_to_stays(work: Path, tally: Tally, bench_lab: Lab) -> None:
    fault = "planted links"
    tally.of(fault, "a row or a head that is a link to a file of someone's")
    for place in ("rows", "heads"):
        for path in sorted((work / place).iterdir()):
            mine = work / "mine"
            mine.write_text("precious")
            path.unlink()
            path.symlink_to(mine)
            ending = bench_lab.run("bench", work, watched=False)
            lost = mine.read_text() != "precious"
            tally.counted(fault, "", f"{path}: {ending}", lost=lost, not_resumable=not ending.answer["right"])
            assert not path.is_symlink() or place == "heads"  # no row lacks, so no head is needed
    tally.require(fault)


def test_processes_of_equal_pids_never_meet(
    kept: Path, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = "equal pids"
    tally.of(fault, "a row written by four at once")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    [row, *_] = RowFolder(kept / "rows")

    def write(number: int) -> bool:
        RowFolder(tmp_path).write(f"{number % 10}", row)
        return RowFolder(tmp_path).find(f"{number % 10}") == row

    with ThreadPoolExecutor(4) as pool:
        for number, right in enumerate(pool.map(write, range(200))):
            tally.counted(fault, "", str(number), silent=not right)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number}.json" for number in range(10)]
    tally.require(fault)
