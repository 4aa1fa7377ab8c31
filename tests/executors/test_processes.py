"""Processes do all jobs, die without harm, and are gone when whoever started them is, however it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stackclip.errors import BadOption
from stackclip.executors.processes import gpus, later
from stackclip.registry import executors

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are not its own")


def driver(folder: Path, *whats: str, executor: str = "processes[workers=2]") -> subprocess.Popen[str]:
    words = [sys.executable, str(Path(__file__).with_name("driver.py")), executor, str(folder), *whats]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, **pipes, text=True, env=env, preexec_fn=_by_default)  # type: ignore[call-overload,no-any-return]


def _by_default() -> None:
    """Take signals as they are by default: tests in the background, or behind nohup, have some of them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def outcomes(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return {line[0]: line[1:] for line in map(json.loads, said.splitlines())}


def wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether a process runs; one that is dead and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_is_done_by_two_and_what_goes_wrong_is_told(tmp_path: Path) -> None:
    found = outcomes(driver(tmp_path, "1", "2", "3", "4", "die", "raise", "odd", "die1"))
    squares = {what: found[what][0] for what in ("1", "2", "3", "4")}
    assert {what: result[0] for what, result in squares.items()} == {"1": 1, "2": 4, "3": 9, "4": 16}
    assert 1 <= len({result[1] for result in squares.values()}) <= 2 + 4  # of those that die others take the place
    assert found["die"] == [None, "", True]
    assert found["raise"] == [None, "PictureError: a.png: it is broken", False]
    assert found["odd"] == [None, "StackclipError: Odd: nobody knows this error", False]
    assert found["die1"][0][0] == 1  # at its second try
    assert [1, 1] in found["told"][0]  # and what a job prints stands in no answer


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, "sealed"), (signal.SIGTERM, "sealed"), (signal.SIGKILL, "sealed")]
)
def test_whatever_ends_the_driver_work_is_sealed_and_no_process_is_left(
    tmp_path: Path, number: signal.Signals, end: str
) -> None:
    process = driver(tmp_path, "work", "work", "1")
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(lives, workers))
    process.send_signal(number)
    process.communicate(timeout=60)
    wait_for(lambda: not any(map(lives, workers)))
    assert {path.read_text() for path in tmp_path.iterdir()} == {end}
    assert process.returncode != 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc to find the process in")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_driver_that_is_stopped_while_a_process_starts_leaves_neither_a_traceback_nor_the_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = driver(tmp_path, "work", "work")

    def started() -> list[int]:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    wait_for(lambda: bool(started()))
    children = started()
    process.send_signal(number)
    _, errors = process.communicate(timeout=150)
    wait_for(lambda: not any(map(lives, children)))
    assert process.returncode != 0
    assert errors.count("Traceback") == errors.count("Stopped") <= 1  # the driver's own


def test_a_worker_that_is_killed_costs_its_job_alone(tmp_path: Path) -> None:
    process = driver(tmp_path, "work", *"123456")
    wait_for(lambda: bool(list(tmp_path.iterdir())))
    for attempt in range(3):
        [pid] = [int(path.name) for path in tmp_path.iterdir() if path.read_text() == "works"]
        os.kill(pid, signal.SIGKILL)
        (tmp_path / str(pid)).write_text("killed")
        if attempt < 2:
            wait_for(lambda: any(path.read_text() == "works" for path in tmp_path.iterdir()))
    found = outcomes(process)
    assert found["work"] == [None, "", True]
    assert {what: found[what][0][0] for what in "123456"} == {str(n): n * n for n in range(1, 7)}


def test_a_signal_while_handlers_are_put_back_costs_no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, put = list[int](), signal.signal
    kept = {number: put(number, lambda which, _: heard.append(which)) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupted(number: signal.Signals, handler: object) -> object:
        if len(calls) == 2:  # both were taken, and the first is being put back
            calls.append(number)
            raise KeyboardInterrupt
        calls.append(number)
        return put(number, handler)  # type: ignore[arg-type]

    calls = list[signal.Signals]()
    monkeypatch.setattr(signal, "signal", interrupted)
    try:
        with suppress(KeyboardInterrupt), later([signal.SIGINT, signal.SIGTERM]):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            assert heard == []
        assert len(calls) == 3
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        assert heard == [signal.SIGINT, signal.SIGTERM]
    finally:
        for number, handler in kept.items():
            put(number, handler)


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for named, found in (
        ("0,2", ("0", "2")),
        ("", ()),
        ("-1", ()),
        ("1,-1,0", ("1",)),
        ("GPU-ab12, 3", ("GPU-ab12", "3")),
    ):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert gpus() == found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert executors.create("processes").workers == 3
    assert executors.create("processes[workers=2]").workers == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert executors.create("processes").workers == 2
    with pytest.raises(BadOption, match="wanted 1 or more, or 0 for one a GPU"):
        executors.create("processes[workers=-2]")
