"""Ctrl-C, a terminal that closes and a polite kill end the real command within seconds, and it goes on from there."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, stores_in

from .lab import environment
from .tally import Tally

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
SECONDS = 5.0  # within which a command must end


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small pictures: some seconds of work."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(800):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return folder


def command(workspace: Path, pictures: Path) -> subprocess.Popen[str]:
    words = [
        "cache-features",
        "--dataset",
        str(pictures),
        "--methods",
        "precise",
        "--image-size",
        "56",
        "--device",
        "cpu",
    ]
    return subprocess.Popen(
        [sys.executable, "-c", "from stackclip.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(STACKCLIP_CACHE=str(workspace)),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background has it ignored
    )


def under_way(workspace: Path) -> bool:
    """Whether a writer holds the store."""
    return any(lock.stat().st_size for lock in (workspace / "features").glob("*/writer.lock"))


@dataclass(frozen=True)
class Stopped:
    """A command that was stopped: by what, how it ended, after how many seconds, and what it said."""

    name: str
    workspace: Path
    code: int
    seconds: float
    errors: str


def stopped(name: str, workspace: Path, pictures: Path, delay: float, times: int) -> Stopped:
    """Start a command, and stop it when it has encoded for `delay` seconds."""
    process = command(workspace, pictures)
    while not under_way(workspace):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(delay)
    for _ in range(times):
        process.send_signal(getattr(signal, name))
        time.sleep(0.01)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=60)
    return Stopped(name, workspace, process.returncode, time.monotonic() - sent, errors)


def test_a_signal_ends_the_command_and_loses_nothing(tmp_path: Path, pictures: Path, tally: Tally, full: bool) -> None:
    random, names = Random(0), tuple(SIGNALS) if full else ("SIGTERM",)
    for repetition in range(4 if full else 1):
        delay, times = (0.0, random.uniform(0.1, 0.4))[repetition != 2], 2 if repetition == 3 else 1
        for name in names:
            ending = stopped(name, tmp_path / f"{name}-{repetition}", pictures, delay, times)
            fault = name if times == 1 else f"{name} twice"
            figures = tally.of(fault, "the command, signalled while it encodes")
            tally.counted(
                fault,
                "",
                str(ending),
                signals=not ended_by(ending, times) or ending.seconds > SECONDS,
                messages=not says_how_to_go_on(ending, times),
            )
            if full and repetition in (0, 3):
                goes_on(ending, pictures, tally, fault)
            else:
                (folder,) = stores_in(ending.workspace / "features")
                figures.acknowledged += len(Store.open(folder))
                figures.lost += len(Store.open(folder).verify())
            tally.require(fault)


def ended_by(ending: Stopped, times: int) -> bool:
    """Whether the exit code tells of the signal; a second one may also find a process that no longer handles it."""
    return ending.code == SIGNALS[ending.name] or (times == 2 and ending.code == -getattr(signal, ending.name))


def says_how_to_go_on(ending: Stopped, times: int) -> bool:
    """Whether the one line is there and no traceback, but for Python's own words as a second Ctrl-C ends it."""
    errors = ending.errors
    if times == 2 and "Exception ignored in: <module 'threading'" in errors:
        errors = errors[: errors.index("Exception ignored in: <module 'threading'")]
    return "Traceback" not in errors and "run the same command again" in errors


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
