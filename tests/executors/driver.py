"""A driver whose jobs do what they are told: `python driver.py EXECUTOR FOLDER JOB ...`; it prints the outcomes.

A job `number` gives its square and the process's id, `die` ends its process, `dieN` does so when it is tried the first
N times, `raise` raises, and `work` says in a file of the folder that it works, and in another that it was stopped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from stackclip.cli.process import signals
from stackclip.errors import PictureError
from stackclip.executors import Agenda, Job, Tell, carried_out
from stackclip.registry import executors


def do(folder: Path, job: Job, tell: Tell) -> Any:
    """Do what a job is told."""
    what: str = job.what
    print("a job prints")
    if what.startswith("die") and job.deaths < int(what[3:] or 99):
        os._exit(9)
    if what == "raise":
        raise PictureError("a.png", "it is broken")
    if what == "odd":
        raise type("Odd", (Exception,), {})("nobody knows this error")
    if what == "work":
        work(folder, tell)
    tell(1, 1)
    return int(what) ** 2 if what.isdigit() else job.deaths, os.getpid()


def work(folder: Path, tell: Tell) -> None:
    """Work for a minute, unless somebody says that this is enough."""
    mine = folder / f"{os.getpid()}"
    try:
        mine.write_text("works")
        for second in range(600):
            time.sleep(0.1)
            tell(second, 600)
    except KeyboardInterrupt:
        time.sleep(0.2)  # as sealing takes some time
        mine.write_text("sealed")
        raise


def main(executor: str, folder: Path, whats: list[str]) -> None:
    """Have the jobs done."""
    told: list[tuple[int, int]] = []
    agenda = Agenda([Job("job", what, label=what) for what in whats], lambda job: [])
    with signals(), executors.create(executor).hired(partial(do, folder)) as run:
        for done in carried_out(run, agenda, lambda job, done, of: told.append((done, of))):
            error = f"{type(done.error).__name__}: {done.error}" if done.error else ""
            print(json.dumps([done.job.what, done.result, error, done.died]), flush=True)
    print(json.dumps(["told", told]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
