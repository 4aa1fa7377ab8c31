"""Workers and drivers that are killed at random, while they fill a store and compute a bench."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, stores_in
from stackclip.data import open_dataset
from stackclip.types import CLS, Sample, patch

from .lab import environment
from .tally import Tally

TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
SETS = (
    *("--train-on", "synthetic[categories=2,per_category=4,train_good=3,size=56]"),
    *("--test-on", "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"),
)
BENCH = ("bench", *SETS, *TOWER, "--methods", "precise,clip,stacked", "--epochs", "2", "--seeds", "0,1", "--json")
TWO, FOUR, RAY = ("--workers", "2"), ("--workers", "4"), ("--executor", "ray[workers=2]")
CREWS = (*[TWO] * 6, *[FOUR] * 3, *([RAY] * 3 if find_spec("ray") else [TWO] * 3))
OUTLIVED = 90  # seconds in which all is gone; Ray's own agents look for a driver that was killed for a minute
STARTED: list[subprocess.Popen[str]] = []
PARTS = (CLS, patch(2), patch(8))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that take some seconds."""
    folder = tmp_path_factory.mktemp("besieged")
    for index in range(96):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """End what a test that fails leaves."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.communicate()


def command(place: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command whose processes can be told by its workspace."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stackclip", "--workspace", str(place), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(STACKCLIP_TRIAL=str(place)),
    )
    STARTED.append(process)
    return process


def cache_features(place: Path, pictures: Path, *crew: str) -> subprocess.Popen[str]:
    words = ("--dataset", str(pictures), "--split", "all", "--methods", "precise", "--encode-batch-size", "2")
    return command(place, "cache-features", *words, *TOWER, *crew)


def processes_of(place: Path, *, at_jobs: bool = False) -> list[int]:
    """The processes of a trial that live, or those that do jobs, or speak for one that does."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"STACKCLIP_TRIAL={place}\0".encode() not in (folder / "environ").read_bytes():
                continue
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            name = (folder / "cmdline").read_bytes()
            if status[0] != "Z" and (not at_jobs or b"spawn_main" in name or name.startswith(b"ray::Post")):
                found.append(int(folder.name))
    return found


def held(place: Path, samples: Sequence[Sample]) -> set[str]:
    """The acknowledged pictures of a store: those that a reader finds in it."""
    stores = [Store.open(folder) for folder in stores_in(place / "cache" / "features")]
    holdings = [(store.holdings(samples)) for store in stores]
    return {s.key for every in holdings for s, parts in zip(samples, every, strict=True) if parts}


def besieged(
    process: subprocess.Popen[str], place: Path, random: Random, kills: list[str], samples: Sequence[Sample]
) -> Iterator[set[str]]:
    """Kill what the list says, one after another, at random moments of the work; what was acknowledged before each."""
    while kills and process.poll() is None:
        if not processes_of(place, at_jobs=True):
            time.sleep(0.02)
            continue
        _wait_for_a_moment(process, place, random, samples)
        workers = processes_of(place, at_jobs=True)
        if not workers:
            continue
        victim = process.pid if kills[0] == "driver" else random.choice(workers)
        safe = held(place, samples)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            kills.pop(0)
            yield safe


def _wait_for_a_moment(process: subprocess.Popen[str], place: Path, random: Random, samples: Sequence[Sample]) -> None:
    """Half of the moments lie near the start of who works, the others soon after further pictures are safe."""
    if random.random() < 0.5:
        time.sleep(random.uniform(0.0, 1.5))
        return
    before, end = held(place, samples), time.monotonic() + 4
    while process.poll() is None and time.monotonic() < end and held(place, samples) == before:
        time.sleep(0.02)
    time.sleep(random.uniform(0.0, 0.3))


def test_nothing_is_lost_where_workers_and_drivers_are_killed(
    tmp_path: Path, pictures: Path, tally: Tally, full: bool
) -> None:
    fault, random = "killed workers and drivers", Random(17)
    figures = tally.of(fault, "SIGKILL of a worker, or of who gives work to it, while both fill a store")
    samples = open_dataset(str(pictures), generated=tmp_path).samples
    whole = tmp_path / "whole"
    assert cache_features(whole, pictures).wait(300) == 0
    [right] = (Store.open(folder) for folder in stores_in(whole / "cache" / "features"))
    for cycle, crew in enumerate(CREWS if full else (TWO,)):
        place = tmp_path / str(cycle)
        kills = [random.choice(("worker", "worker", "driver")) for _ in range(9)] if full else ["worker", "driver"]
        while True:
            process = cache_features(place, pictures, *crew)
            for safe in besieged(process, place, random, kills, samples):
                figures.points += 1
                figures.acknowledged += len(safe)
                figures.lost += len(safe - held(place, samples))
            _, errors = process.communicate(timeout=300)
            end = time.monotonic() + OUTLIVED
            while processes_of(place) and time.monotonic() < end:
                time.sleep(0.05)
            figures.signals += len(processes_of(place))  # somebody outlived the driver
            if process.returncode != -signal.SIGKILL:
                break
        figures.messages += process.returncode != 0
        if process.returncode:
            tally.flaws.setdefault(fault, []).append(errors)
        [folder] = stores_in(place / "cache" / "features")
        store = Store.open(folder)
        with store.writer():  # the next writer clears what killed ones left
            pass
        left = [path.name for path in (folder / "segments").iterdir() if path.suffix not in (".h5", ".json")]
        names = {path.stem for path in (folder / "segments").glob("[0-9]*.h5")}
        left += sorted(names ^ {path.stem for path in (folder / "segments").glob("[0-9]*.json")})
        figures.not_resumable += len(store) != len(samples) or store.verify() != [] or bool(left)
        if left:
            tally.flaws.setdefault(fault, []).append(f"left over: {left}")
        figures.silent += sum(
            not np.array_equal(store.read(samples, part), right.read(samples, part)) for part in PARTS
        )
        shutil.rmtree(place)
    tally.require(fault)


def pictures_of(place: Path) -> tuple[Sample, ...]:
    """The pictures that the bench reads."""
    sets = (open_dataset(text, generated=place / "cache" / "data") for text in SETS[1::2])
    return tuple(sample for dataset in sets for sample in dataset.select(split="test").samples)


def rows_of(said: str, place: Path) -> list[Any]:
    """The rows that were printed, without seconds and places."""
    return [_stated(json.loads(line), place) for line in said.splitlines() if line.startswith("{")]


def _stated(value: Any, place: Path) -> Any:
    if isinstance(value, dict):
        return {name: _stated(each, place) for name, each in value.items() if "seconds" not in name}
    if isinstance(value, list):
        return [_stated(each, place) for each in value]
    return value.replace(str(place), "") if isinstance(value, str) else value


def test_a_bench_whose_workers_are_killed_has_the_rows_of_one_alone(tmp_path: Path, tally: Tally, full: bool) -> None:
    if not full:
        pytest.skip("some minutes: STACKCLIP_FAULTS=full")
    fault, random = "killed workers of a bench", Random(18)
    figures = tally.of(fault, "SIGKILL of a worker, or of who gives work to it, in a bench")
    alone = command(tmp_path / "alone", *BENCH)
    said, errors = alone.communicate(timeout=600)
    assert alone.returncode == 0, errors
    right, samples = rows_of(said, tmp_path / "alone"), pictures_of(tmp_path / "alone")
    for cycle in range(6):
        place = tmp_path / str(cycle)
        kills = [random.choice(("worker", "worker", "driver")) for _ in range(4)]
        while True:
            process = command(place, *BENCH, "--workers", "2")
            for safe in besieged(process, place, random, kills, samples):
                figures.points += 1
                figures.acknowledged += len(safe)
                figures.lost += len(safe - held(place, samples))
            said, errors = process.communicate(timeout=600)
            if process.returncode != -signal.SIGKILL:
                break
        found = rows_of(said, place)
        figures.silent += found != right
        figures.not_resumable += process.returncode != 0
        if found != right or process.returncode:
            tally.flaws.setdefault(fault, []).append(errors)
    tally.require(fault)
