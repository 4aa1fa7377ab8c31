"""The laboratory: builds the shim, keeps the process that forks victims, and reads the log of what a victim did."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WATCH, KILL, KILL_AFTER, FAIL, FAIL_FROM, SHORT, SHORT_FROM = range(7)
"""What the shim does at the operation that was chosen (KILL_AFTER stops a write half-way); see shim.c."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the log: what was done to which name, and the bytes of a write."""

    kind: str
    created: int
    offset: int
    result: int
    path: str
    second: str
    data: bytes

    @property
    def failed(self) -> bool:
        """Whether it changed nothing."""
        return self.result > 0 if self.kind == "allocate" else self.result < 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a victim ended: its exit code, the signal that ended it (0: none), what it said, and what it was told."""

    code: int
    signal: int
    hung: bool
    messages: str
    answer: Any

    @property
    def in_order(self) -> bool:
        """Whether it did its work, or said in one line that it could not (`note:` are lines of the log)."""
        said = [line for line in self.messages.splitlines() if not line.startswith("note: ")]
        return (self.code == 0 and not said) or (self.code == 1 and len(said) == 1 and said[0].startswith("Error: "))


def build_shim(folder: Path) -> Path:
    """Compile the shim with the system's compiler; raises FileNotFoundError where there is none."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or not sys.platform.startswith("linux"):
        raise FileNotFoundError("the shim needs Linux and a C compiler (cc, gcc or clang)")
    shim = folder / "shim.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(shim), str(HERE / "shim.c"), "-ldl", "-lpthread"]
    built = subprocess.run(words, capture_output=True, text=True)
    if built.returncode:
        raise FileNotFoundError(f"the shim does not compile here: {built.stderr.strip().splitlines()[-1]}")
    return shim


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: one thread for arithmetic, and the package that is being tested."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **single, "PYTHONPATH": str(HERE.parents[1]), **more}


class Lab:
    """Runs victims and judges below `folder`, each in a child of one process that has everything imported."""

    def __init__(self, folder: Path, shim: Path, victim: str = "victim.py") -> None:
        self.folder, self.shim = folder, shim
        self.pictures = folder / "pictures"
        self._numbers = count()
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / victim), str(self.pictures)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(LD_PRELOAD=str(shim)),
        )

    def close(self) -> None:
        """End the process."""
        self._server.communicate()

    def drop(self, root: Path) -> None:
        """Remove what `fresh` made, when nobody needs to look at it."""
        shutil.rmtree(root.parent)

    def fresh(self) -> Path:
        """A new empty folder for a store."""
        root = self.folder / f"run-{next(self._numbers):05d}" / "root"
        root.mkdir(parents=True)
        return root

    def run(
        self,
        task: str,
        root: Path,
        *,
        action: int = WATCH,
        at: int = -1,
        error: int = 0,
        watched: bool = True,
        keep_log: bool = False,
    ) -> Ending:
        """Do a task of victim.py in a child, under a fault; the log begins anew unless it is kept."""
        request = {"task": task, "root": str(root), "pictures": str(self.pictures), "told": str(told_by(root))}
        messages, answer = root.with_name("messages"), root.with_name("answer")
        answer.unlink(missing_ok=True)
        request |= {"messages": str(messages), "answer": str(answer)}
        if watched:
            if not keep_log:
                log_of(root).unlink(missing_ok=True)
            request |= {"log": str(log_of(root)), "at": at, "action": action, "error": error}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        found = json.loads(self._server.stdout.readline())
        given = json.loads(answer.read_text()) if answer.exists() else None
        return Ending(found["code"], found["signal"], found["hung"], messages.read_text(), given)

    def judge(self, root: Path) -> dict[str, Any]:
        """The verdict on a store (see `victim.judge`); a judge that dies is a verdict too."""
        ending = self.run("judge", root, watched=False)
        if ending.answer:
            return ending.answer
        why = f"the judge ended with code {ending.code}, signal {ending.signal}: {ending.messages[-2000:]}"
        return {"acknowledged": 0, "lost": 0, "silent": 0, "whole": False, "resumed": False, "why": [why]}


def told_by(root: Path) -> Path:
    """Where the victim says what it was told to be safe."""
    return root.with_name("told")


def log_of(root: Path) -> Path:
    """Where the shim writes down what the victim did."""
    return root.with_name("log")


def operations(log: Path) -> Iterator[Operation]:
    """The log's lines in order, acknowledgements (`note`) among them."""
    with log.open("rb") as file:
        while line := file.readline():
            kind, created, offset, length, result, path, second = os.fsdecode(line).rstrip("\n").split("\t")
            yield Operation(kind, int(created), int(offset), int(result), path, second, file.read(int(length)))
