"""A second process that does at a place what a writer does, so that one can see whether both come to terms."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from pathlib import Path
from typing import IO

from stackclip.cache.lock import SharedLock, WriterLock
from stackclip.errors import StoreError, StoreLocked
from stackclip.ops.drafts import Draft

__all__ = ["WHOLES", "Rival", "claim_all"]

WHOLES = b"a" * (1 << 16), b"b" * (1 << 16)
"""What a file holds that is replaced while the other process reads it."""

_SECONDS = 60.0  # for an answer


class Rival:
    """The other process: asked in one line, it answers in one. Use it in a `with`."""

    def __init__(self, folder: Path) -> None:
        words = [sys.executable, "-m", "stackclip.cache.rival", str(folder)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self._reader = ThreadPoolExecutor(1)

    def __enter__(self) -> Rival:
        try:
            self.answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.shutdown()

    def ask(self, question: str) -> None:
        """Ask a question, to be answered while the caller does something else."""
        pipe: IO[str] | None = self._process.stdin
        assert pipe is not None
        pipe.write(f"{question}\n")
        pipe.flush()

    def answer(self, question: str = "") -> str:
        """The answer to the last question, or to this one. Raises StoreError where none comes."""
        if question:
            self.ask(question)
        assert self._process.stdout is not None
        try:
            answer = self._reader.submit(self._process.stdout.readline).result(_SECONDS)
        except TooLate:
            self._process.kill()
            raise StoreError(f"another process did not answer within {_SECONDS:.0f} s") from None
        if not answer:
            raise StoreError("another process died of it")
        return answer.strip()


def claim_all(folder: Path, rounds: int) -> frozenset[int]:
    """Claim each of so many numbers, as another process does at the same time; those that were had."""
    won = set()
    draft = Draft(folder)
    for number in range(rounds):
        if draft.claims(folder / f"{number}.claimed"):
            won.add(number)
            draft.__exit__()
            draft = Draft(folder)
    draft.__exit__()
    return frozenset(won)


def _tried(folder: Path, kind: str) -> str:
    """Whether a lock can be had at this moment."""
    path = folder / "writer.lock"
    try:
        lock = WriterLock(path) if kind == "alone" else SharedLock(path, lambda: None)
    except StoreLocked:
        return "refused"
    lock.release()
    return "taken"


def _watched(folder: Path) -> str:
    """How often a file that is replaced until `stop` is there was found as anything but a whole one."""
    bad = 0
    while not (folder / "stop").exists():
        try:
            bad += (folder / "replaced").read_bytes() not in WHOLES
        except FileNotFoundError:
            bad += 1
    return str(bad)


def _answer(folder: Path, question: str) -> str:
    verb, _, rest = question.partition(" ")
    match verb:
        case "claim":
            return " ".join(map(str, sorted(claim_all(folder, int(rest))))) or "none"
        case "watch":
            return _watched(folder)
        case "read":
            return (folder / rest).read_text("utf-8")
    return _tried(folder, verb)


def _serve(folder: Path) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            answer = _answer(folder, line.strip())
        except (StoreError, OSError) as error:
            answer = f"error: {error}"
        print(" ".join(answer.split()), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # the one who asks says so
        _serve(Path(sys.argv[1]))
