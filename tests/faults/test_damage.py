"""Bytes that are not those that were written: single bits, missing ends, zeros, in every file of a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from .lab import FAIL, FAIL_FROM, KILL, Lab, log_of, operations, told_by
from .tally import Tally

TRIALS = 13_500  # of a full run, over all kinds
BATCH = 100  # trials of one process, which takes seconds
KINDS = ("bit flip", "truncation", "zeros")

Damage = tuple[str, int, int, str]
"""A file, and the bytes [start, stop) of it that become others (in hex)."""


def copy_of(lab: Lab, whole: Path) -> Path:
    root = lab.fresh()
    shutil.copytree(whole, root, dirs_exist_ok=True)
    return root


def damages(whole: Path, kind: str, random: Random) -> Iterator[Damage]:
    """Ways to damage the files of a store, the files in turn; each changes something."""
    files = [path for path in sorted(whole.rglob("*")) if path.is_file() and path.name != "writer.lock"]
    while True:
        for path in files:
            data, name = path.read_bytes(), str(path.relative_to(whole))
            start = random.randrange(len(data))
            if kind == "bit flip":
                yield name, start, start + 1, bytes([data[start] ^ 1 << random.randrange(8)]).hex()
            elif kind == "truncation":
                yield name, start, len(data), ""
            else:
                stop = min(len(data), start + random.choice((1, 16, 512, 4096)))
                if any(data[start:stop]):
                    yield name, start, stop, bytes(stop - start).hex()


@pytest.fixture(scope="module")
def indexed(lab: Lab, whole: Path) -> Path:
    """A store whose index is there, and believed."""
    root = copy_of(lab, whole)
    assert lab.run("keep index", root, watched=False).code == 0
    assert list(root.glob("*/index.bin"))
    return root


@pytest.mark.parametrize("task", ["endure", "rot"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_and_nothing_wrong_is_read(
    lab: Lab, tally: Tally, full: bool, indexed: Path, kind: str, task: str
) -> None:
    root, fault = indexed, kind if task == "endure" else f"{kind}, the times kept"
    figures = tally.of(fault, "a place in a file of a store")
    every = damages(root, kind, Random(fault))
    left = TRIALS // len(KINDS) if full else 45
    while left:
        batch = list(islice(every, min(BATCH, left)))
        left -= len(batch)
        root.with_name("plan").write_text(json.dumps(batch))
        ending = lab.run(task, root, watched=False)
        figures.signals += ending.signal != 0 or ending.hung
        assert ending.answer is not None, ending
        for (name, start, stop, _), outcome in zip(batch, ending.answer, strict=True):
            where = f"{kind} at {start} to {stop} of {name}: {outcome}"
            silent, unmeant = outcome["silent"] + (not outcome["noticed"]), bool(outcome["why"])
            tally.counted(fault, figures.figure, where, silent=0 if unmeant else silent, messages=unmeant)
    tally.require(fault)


def damaged(lab: Lab, whole: Path, damage: Damage) -> Path:
    root = copy_of(lab, whole)
    name, start, stop, given = damage
    data = (root / name).read_bytes()
    (root / name).write_bytes(data[:start] + bytes.fromhex(given) + data[stop:])
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_a_repaired_store_is_made_whole_by_the_next_run(
    lab: Lab, tally: Tally, full: bool, whole: Path, kind: str
) -> None:
    fault = "repair after damage"
    tally.of(fault, "a damaged store")
    for damage in islice(damages(whole, kind, Random(f"repair {kind}")), 120 if full else 11):
        root = damaged(lab, whole, damage)
        ending = lab.run("repair", root, watched=False)
        if damage[0].endswith("store.json"):
            assert ending.messages.startswith("Error: ")
            assert "Delete that file and run stackclip cache-features" in ending.messages
            (root / damage[0]).unlink()
        else:
            assert ending.code == 0
        tally.judged(fault, str(damage), lab.judge(root), ending)
        lab.drop(root)
    tally.require(fault)


@pytest.mark.parametrize(
    ("fault", "action", "error"),
    [
        ("repair, SIGKILL before the operation", KILL, 0),
        ("repair, EIO", FAIL, 5),
        ("repair, EACCES", FAIL, 13),
        ("repair, EACCES from then on", FAIL_FROM, 13),
        ("repair, EMFILE", FAIL, 24),
    ],
)
def test_a_repair_that_is_stopped_drops_nothing_that_is_good(
    lab: Lab, tally: Tally, full: bool, whole: Path, fault: str, action: int, error: int
) -> None:
    tally.of(fault, "an operation of a repair")
    store = next(whole.glob("*/store.json")).parent.name
    segment = f"{store}/segments/000002.h5"
    size = (whole / segment).stat().st_size
    damage = (segment, size - 40, size, bytes(40).hex())
    root = damaged(lab, whole, damage)
    assert lab.run("repair", root).code == 0
    kinds = [operation.kind for operation in operations(log_of(root))]
    good = kept(root)
    for at in range(0, len(kinds), 5 if full else len(kinds) // 6):
        root = damaged(lab, whole, damage)
        ending = lab.run("repair", root, action=action, at=at, error=error)
        gone = good - kept(root)
        lab.run("repair", root, watched=False)
        told_by(root).unlink(missing_ok=True)
        verdict = lab.judge(root)
        verdict |= {"acknowledged": len(good), "lost": len(gone), "why": [*verdict["why"], *sorted(gone)]}
        tally.judged(fault, f"{kinds[at]} {at}", verdict, None if action == KILL else ending)
        lab.drop(root)
    tally.require(fault)


def kept(root: Path) -> set[str]:
    """The manifests that are there."""
    return {path.name for path in root.rglob("segments/*.json")}
