"""Two writers, writers that start at once, and readers while one writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from stackclip.cache import Store

from . import crowd
from .lab import HERE, Ending, Lab, environment, told_by
from .tally import Tally


def test_a_second_writer_is_refused_with_host_and_process(lab: Lab, tally: Tally, full: bool) -> None:
    fault = "a second writer"
    tally.of(fault, "a writer that comes while another holds the lock")
    root = lab.fresh()
    assert lab.run("cache", root, watched=False).code == 0
    (folder,) = root.iterdir()
    for manifest in (folder / "segments").glob("00000[45]*"):
        manifest.unlink()  # so that there is something to do
    told_by(root).unlink()
    with Store.open(folder).writer():
        for attempt in range(50 if full else 3):
            ending = lab.run("cache", root)
            refused = ending.code == 1 and f"by process {os.getpid()} on " in ending.messages
            tally.counted(fault, "", f"attempt {attempt}: {ending}", messages=not (refused and ending.in_order))
    tally.judged(fault, "when the first was done", lab.judge(root))
    tally.require(fault)


def test_writers_that_start_at_once_do_no_harm(lab: Lab, tally: Tally, full: bool) -> None:
    fault = "four writers at once"
    tally.of(fault, "a new store that four processes want to fill")
    for attempt in range(600 if full else 10):
        root = lab.fresh()
        ending = lab.run("race", root, watched=False)
        assert ending.answer is not None, ending
        for code, message in zip(ending.answer["codes"], ending.answer["messages"], strict=True):
            one = Ending(code, 0, False, message, None)
            refused = code == 1 and " is being written to by " in message  # nothing else is a reason
            assert one.in_order, one
            assert refused or code == 0, one
        assert 0 in ending.answer["codes"]
        tally.judged(fault, f"attempt {attempt}", lab.judge(root))
        lab.drop(root)
    tally.require(fault)


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
