"""The power goes at any moment, and the disk keeps whatever it had not yet promised to keep, or loses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from .disk import Disk, Model, without_file_syncs, without_folder_syncs
from .lab import KILL, Lab, Operation, log_of, operations, told_by
from .tally import Tally

STATES = 1500  # of a full run, over both models
MODELS: tuple[Model, ...] = get_args(Model)
SAMPLE = 24


def judged_state(lab: Lab, disk: Disk, crash: int, model: Model, seed: int) -> dict[str, object]:
    """The verdict on one fate of the disk."""
    root = lab.fresh()
    disk.state(crash, model, Random(f"{crash} {model} {seed}"), root)
    told_by(root).write_bytes(disk.told(crash))
    verdict = lab.judge(root)
    lab.drop(root)
    return verdict


@pytest.mark.parametrize("model", MODELS)
def test_what_was_acknowledged_survives_a_power_loss(lab: Lab, tally: Tally, full: bool, model: Model) -> None:
    root = lab.fresh()
    assert lab.run("cache", root).code == 0
    disk = Disk(root, operations(log_of(root)))
    fault = f"power loss, {model}"
    tally.of(fault, "a fate of the disk after some operation")
    crashes = range(disk.moments + 1)
    fates = -(-STATES // len(MODELS) // len(crashes))
    points = list(product(crashes, range(fates)))
    for crash, seed in points if full else points[:: len(points) // SAMPLE]:
        tally.judged(fault, f"operation {crash}, fate {seed}", judged_state(lab, disk, crash, model, seed))
    tally.require(fault)


@pytest.mark.parametrize("model", MODELS)
def test_a_run_after_a_killed_one_makes_safe_what_it_found(lab: Lab, tally: Tally, full: bool, model: Model) -> None:
    fault = f"SIGKILL, a second run, and then power loss, {model}"
    tally.of(fault, "a fate of the disk at some operation of the second run")
    random = Random(model)
    for killed in range(1, 60, 1 if full else 9):
        root = lab.fresh()
        assert lab.run("cache", root, action=KILL, at=killed).signal == 9
        first = sum(1 for _ in operations(log_of(root)))
        assert lab.run("cache", root, keep_log=True).code == 0
        disk = Disk(root, operations(log_of(root)))
        for seed in range(5 if full else 2):
            crash = random.randint(first, disk.moments)
            where = f"killed at {killed}, operation {crash - first}, fate {seed}"
            tally.judged(fault, where, judged_state(lab, disk, crash, model, seed))
        lab.drop(root)
    tally.require(fault)


@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_finds_all_there_makes_it_safe_before_it_says_so(
    lab: Lab, tally: Tally, full: bool, model: Model
) -> None:
    """The first run is killed between a manifest's link and the fsync of its folder."""
    fault = f"SIGKILL, a second run says what is there, and then power loss, {model}"
    tally.of(fault, "a fate of the disk after something was said to be safe")
    root = lab.fresh()
    assert lab.run("cache", root).code == 0
    asked = [operation for operation in operations(log_of(root)) if operation.kind != "note"]
    named = [at for at, operation in enumerate(asked) if operation.second.endswith(".json")]
    for at in named if full else named[-1:]:
        root = lab.fresh()
        assert lab.run("cache", root, action=KILL, at=at + 1).signal == 9
        first = sum(1 for _ in operations(log_of(root)))
        assert lab.run("cache", root, keep_log=True).code == 0
        log = list(operations(log_of(root)))
        disk = Disk(root, log)
        for crash in [moment + 1 for moment in range(first, len(log)) if log[moment].kind == "note"]:
            for seed in range(5):
                where = f"killed at {at + 1}, operation {crash - first}, fate {seed}"
                tally.judged(fault, where, judged_state(lab, disk, crash, model, seed))
        lab.drop(root)
    tally.require(fault)


CONTROLS: dict[str, tuple[str, Callable[[Iterable[Operation], Path], Iterable[Operation]]]] = {
    "no fsync of files": ("cache", without_file_syncs),
    "no fsync of folders": ("cache", without_folder_syncs),
    "manifest first": ("cache-manifest-first", lambda log, root: log),
}


@pytest.mark.parametrize(("control", "model"), list(product(CONTROLS, MODELS)))
def test_a_careless_writer_is_noticed(lab: Lab, tally: Tally, full: bool, control: str, model: Model) -> None:
    task, changed = CONTROLS[control]
    root = lab.fresh()
    assert lab.run(task, root).code == 0
    log = [*changed(operations(log_of(root)), root)]
    disk = Disk(root, log)
    tried = failed = 0
    for crash in range(20, disk.moments + 1):
        verdict = judged_state(lab, disk, crash, model, 0)
        tried += 1
        failed += bool(verdict["lost"] or verdict["silent"] or not verdict["whole"] or not verdict["resumed"])
        if failed and not full:
            break
    tally.control(f"{control}, {model}", states=tried, failed=failed)
    assert failed
