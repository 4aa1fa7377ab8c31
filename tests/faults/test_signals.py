"""Ctrl-C, a terminal that closes and a polite kill end the real command within seconds, and it goes on from there."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, stores_in

from .lab import environment
from .tally import Tally

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
SECONDS = 5.0  # within which a command must end; on a busy machine, within the time that it took to start
HOW_TO_GO_ON = "run the same command again to go on"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small pictures: some seconds of work."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(800):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return folder


def command(workspace: Path, pictures: Path, *flags: str, ignored: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start to encode; signals that are `ignored` are so from the start, as by nohup."""
    words = ["cache-features", "--dataset", str(pictures), "--methods", "precise", "--image-size", "56"]

    return subprocess.Popen(
        [sys.executable, "-c", "from stackclip.cli import main; main()", *flags, *words, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(STACKCLIP_CACHE=str(workspace)),
        preexec_fn=partial(listen, ignored),
    )


def listen(ignored: tuple[str, ...] = ()) -> None:
    """Take signals as they are by default: a test in the background has SIGINT ignored."""
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in ignored else signal.SIG_DFL)


def wait_for(process: subprocess.Popen[str], workspace: Path) -> float:
    """Wait until the command writes to the store; the seconds that it took to get there."""
    start = time.monotonic()
    while not any((workspace / "features").glob("*/segments/.*.tmp")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return time.monotonic() - start


@dataclass(frozen=True)
class Stopped:
    """A command that was stopped: by what, how it ended, after how many seconds of how many allowed, what it said."""

    name: str
    workspace: Path
    code: int
    seconds: float
    allowed: float
    errors: str

    @property
    def in_order(self) -> bool:
        """Whether the exit code tells of the signal, in time, and the one line is all that was said."""
        said = self.errors.splitlines()
        in_time = self.seconds < self.allowed
        return self.code == SIGNALS[self.name] and in_time and len(said) == 1 and HOW_TO_GO_ON in said[0]


def stopped(
    process: subprocess.Popen[str], workspace: Path, name: str, *, delay: float, gap: float | None, without: str = ""
) -> Stopped:
    """Stop a command when it has encoded for `delay` seconds; a second signal comes `gap` seconds after the first.

    Another signal, `without` effect, comes at the beginning.
    """
    start_up = wait_for(process, workspace)
    if without:
        process.send_signal(getattr(signal, without))
    time.sleep(delay)
    process.send_signal(getattr(signal, name))
    sent = time.monotonic()
    if gap is not None:
        time.sleep(gap)
        process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    took, allowed = time.monotonic() - sent, max(SECONDS, start_up)
    return Stopped(name, workspace, process.returncode, took, allowed, errors)


def test_a_signal_ends_the_command_and_loses_nothing(tmp_path: Path, pictures: Path, tally: Tally, full: bool) -> None:
    random = Random(0)
    gaps = (None, None, None, 0.0, 0.01, 0.05, 0.2) if full else (None,)
    for repetition, gap in enumerate(gaps):
        for name in SIGNALS if full else ("SIGTERM",):
            workspace, fault = tmp_path / f"{name}-{repetition}", name if gap is None else f"{name} twice"
            figures = tally.of(fault, "the command, signalled while it encodes")
            delay = 0.0 if repetition == 2 else random.uniform(0.1, 0.4)
            ending = stopped(command(workspace, pictures, "--quiet"), workspace, name, delay=delay, gap=gap)
            tally.counted(fault, "", str(ending), messages=not ending.in_order)
            if full and repetition in (0, 4):
                goes_on(ending, pictures, tally, fault)
            else:
                (folder,) = stores_in(workspace / "features")
                figures.acknowledged += len(Store.open(folder))
                figures.lost += len(Store.open(folder).verify())
            tally.require(fault)


def test_what_was_started_with_nohup_goes_on_when_the_terminal_closes(tmp_path: Path, pictures: Path) -> None:
    process = command(tmp_path, pictures, "--quiet", ignored=("SIGHUP",))
    ending = stopped(process, tmp_path, "SIGINT", delay=0.2, gap=0.01, without="SIGHUP")
    assert ending.in_order, ending


ONE_AFTER_THE_OTHER = """
import signal, sys
from stackclip.cli import process
process.PATIENCE = float(sys.argv[1])
with process.signals():
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as stop:
        signal.raise_signal(signal.SIGHUP)
        print("sealed", stop.code)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.raise_signal(number)  # while Python takes itself down
print("over")
"""


@pytest.mark.parametrize(("patience", "code", "done", "said"), [("60", 0, "sealed 143 over", 0), ("-1", 143, "", 1)])
def test_a_second_signal_waits_for_the_sealing_but_not_for_ever(patience: str, code: int, done: str, said: int) -> None:
    words = [sys.executable, "-c", ONE_AFTER_THE_OTHER, patience]
    ended = subprocess.run(words, capture_output=True, text=True, env=environment(), preexec_fn=listen)
    assert (ended.returncode, ended.stdout.split()) == (code, done.split())
    assert ended.stderr.count(HOW_TO_GO_ON) == len(ended.stderr.splitlines()) == said


def goes_on(ending: Stopped, pictures: Path, tally: Tally, fault: str) -> None:
    """Run the command again, and count what is not as it must be."""
    (folder,) = stores_in(ending.workspace / "features")
    kept = len(Store.open(folder))
    again = command(ending.workspace, pictures)
    _, errors = again.communicate(timeout=120)
    store, figures = Store.open(folder), tally.faults[fault]
    figures.acknowledged += kept
    figures.lost += f"{kept} were there already" not in errors
    figures.not_resumable += (
        again.returncode != 0 or len(store) != len(list(pictures.iterdir())) or store.verify() != []
    )
    if not figures.flawless:
        tally.flaws.setdefault(fault, []).append(errors)
    shutil.rmtree(ending.workspace)
