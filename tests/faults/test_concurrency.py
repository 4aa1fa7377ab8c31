"""Writers of one store at once, one who would be alone beside them, and readers while one writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackclip.cache import Store

from . import crowd
from .lab import HERE, Ending, Lab, environment
from .tally import Tally


def test_who_would_be_alone_is_refused_with_host_and_process(lab: Lab, tally: Tally, full: bool) -> None:
    fault = "a repair beside a writer"
    tally.of(fault, "a repair that is asked for while another writes")
    root = lab.fresh()
    assert lab.run("cache", root, watched=False).code == 0
    (folder,) = root.iterdir()
    with Store.open(folder).writer():
        for attempt in range(50 if full else 3):
            ending = lab.run("repair", root)
            refused = ending.code == 1 and f"by process {os.getpid()} on " in ending.messages
            tally.counted(fault, "", f"attempt {attempt}: {ending}", messages=not (refused and ending.in_order))
    tally.judged(fault, "when the writer was done", lab.judge(root))
    tally.require(fault)


LACKS = {"": "", "without-links": ", no hard links", "without-locks": ", no locks"}
"""What the file system lacks, in the tasks' names and in those of the faults."""


@pytest.mark.parametrize("lack", LACKS)
def test_writers_that_start_at_once_all_do_their_work(lab: Lab, tally: Tally, full: bool, lack: str) -> None:
    fault = f"four writers at once{LACKS[lack]}"
    tally.of(fault, "a new store that four processes fill")
    for attempt in range((100 if lack else 600) if full else 5):
        root = lab.fresh()
        ending = lab.run(f"race-{lack}".strip("-"), root, watched=False)
        assert ending.answer is not None, ending
        _count_ends(tally, fault, f"attempt {attempt}", ending.answer)
        tally.judged(fault, f"attempt {attempt}", lab.judge(root))
        lab.drop(root)
    tally.require(fault)


@pytest.mark.parametrize("lack", LACKS)
def test_writers_of_one_store_that_are_killed_lose_nothing(lab: Lab, tally: Tally, full: bool, lack: str) -> None:
    fault = f"two to four writers at once, SIGKILL at random{LACKS[lack]}"
    figures = tally.of(fault, "")
    killed, wanted = 0, 120 if full else 6
    while killed < wanted and figures.points < 3 * wanted:
        root = lab.fresh()
        ending = lab.run(f"siege-{lack}".strip("-"), root, watched=False)
        assert ending.answer is not None, ending
        killed += ending.answer["killed"]
        _count_ends(tally, fault, f"siege {figures.points}", ending.answer)
        tally.judged(fault, f"siege {figures.points}", lab.judge(root))
        lab.drop(root)
    assert killed >= wanted, "they were done before they were killed"
    figures.figure = f"a new store, twice filled and its writers killed: {killed} kills in all"
    tally.require(fault)


def _count_ends(tally: Tally, fault: str, where: str, answer: dict[str, list[int]]) -> None:
    """Count those that did not do their work in silence."""
    for code, message in zip(answer["codes"], answer["messages"], strict=True):
        if code or not Ending(code, 0, False, message, None).in_order:
            tally.faults[fault].messages += 1
            tally.flaws.setdefault(fault, []).append(f"{where}: ended with code {code}: {message}")


def test_readers_beside_a_writer_read_nothing_wrong(folder: Path, tally: Tally, full: bool) -> None:
    fault, root = "readers beside a writer", folder / "crowd"
    crowd.samples_in(root)
    reads = 250 if full else 60

    def start(*words: str) -> subprocess.Popen[str]:
        run = [sys.executable, str(HERE / "crowd.py"), words[0], str(root), words[1]]
        return subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    writer, readers = start("write", "6" if full else "1.5"), [start("read", str(reads + each)) for each in range(2)]
    found = [(*reader.communicate(timeout=120), reader.returncode) for reader in readers]
    written, complaints = writer.communicate(timeout=120)
    assert writer.returncode == 0, complaints
    for said, errors, code in found:
        assert code == 0, errors
        outcome = json.loads(said)
        assert outcome["last"] > outcome["first"], "nothing was written meanwhile"
        tally.of(fault, "a picture read while the store grows").points += outcome["reads"]
        tally.faults[fault].silent += outcome["bad"] + outcome["shrunk"]
    tally.faults[fault].acknowledged += json.loads(written)["acknowledged"]
    (store,) = (Store.open(path) for path in (root / "store").iterdir())
    assert (len(store), store.verify()) == (crowd.PICTURES, [])
    tally.require(fault)
