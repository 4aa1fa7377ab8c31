"""What commands cost from the first keystroke to the answer: whole processes, in seconds of a CPU.

Run: pytest benchmarks/perf/test_commands.py --benchmark-only -s
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTLED = 3.5  # seconds after which a file is relied on


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A workspace after the first run, and what that cost."""
    workspace = tmp_path_factory.mktemp("workspace")
    return workspace, cost(workspace, "demo")


def cost(workspace: Path, *words: str) -> float:
    """Seconds of a CPU that a command takes, in one thread."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "STACKCLIP_RECALL": "on"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "stackclip", "--workspace", str(workspace), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_first_table_from_nothing(demo: tuple[Path, float], figure: Any) -> None:
    note = "eight methods, 24 categories, everything drawn, encoded, trained and tested"
    figure("the first table from nothing (`demo`)", demo[1], goal="<= 20", unit="s of a CPU", note=note)


@pytest.mark.parametrize(
    ("words", "goal"),
    [(("bench",), "<= 1.2"), (("cache-features",), "<= 1.2"), (("list",), "<= .4"), (("show", "winclip"), "<= .4")],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_a_command_with_nothing_to_do(words: tuple[str, ...], goal: str, demo: tuple[Path, float], figure: Any) -> None:
    workspace, _ = demo
    cost(workspace, *words)  # what is missing
    time.sleep(SETTLED)
    anew = cost(workspace, *words)
    again = median(cost(workspace, *words) for _ in range(5))
    what = f"`{' '.join(words)}` with nothing to do"
    figure(what, again, goal=goal, unit="s of a CPU", note=f"asked for the second time; {anew:.3g} s the first time")
