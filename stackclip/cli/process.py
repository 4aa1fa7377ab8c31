"""The process around a command: signals end it in order, and its streams do no harm."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stackclip.ops.words import legible
from stackclip.registry import Stopped, ask_to_stop, at_work, forget_stop, keep_streams

__all__ = ["discard_output", "harmless_streams", "interruption", "signals"]

INTERRUPTED = "interrupted; what was finished is kept: run the same command again to go on"
PATIENCE = 2.0
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hid it


def interruption(during: str) -> str:
    """What is said of a command that was interrupted, `during` a step that leaves nothing finished if that is known."""
    return f"interrupted while {during}" if during else INTERRUPTED


def discard_output() -> None:
    """Let what is still to be flushed at the end of the process go nowhere: it could only fail again."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:  # a test's stdout is no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end this process in order, without Python's own words, however often they come.

    The first is raised as KeyboardInterrupt, and what is encoded is sealed on the way out. Another one changes nothing
    for `PATIENCE` seconds (terminals and supervisors send several), and after that ends the process on the spot: what
    was acknowledged is on the disk. A signal that is ignored when the process starts (by nohup, or in the background
    of a shell) stays ignored.
    """
    first: Stopped | None = None
    since = 0.0
    forget_stop()

    def stop(number: int, frame: object) -> None:
        nonlocal first, since
        if first is None:
            first, since = ask_to_stop(128 + number), time.monotonic()
            raise first
        if time.monotonic() - since > PATIENCE:
            line = legible(interruption(at_work()))
            os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{line}\n".encode())
            os._exit(first.code)

    named = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
    caught = [number for number in named if number and signal.getsignal(number) is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in caught:  # from here on Python only takes itself down, and is not to be disturbed at that
            signal.signal(number, signal.SIG_IGN if first else signal.SIG_DFL)


@contextmanager
def harmless_streams() -> Iterator[None]:
    """What a terminal cannot show is escaped; what cannot be written any more at the end is said, in one line."""
    if sys.stderr is None:  # the next file that is opened would be taken for it
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        sys.stderr.write("Error: stdout is closed, so no answer could be given\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    keep_streams()
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            discard_output()
            if not isinstance(error, BrokenPipeError):
                sys.stderr.write(f"Error: stdout: {getattr(error, 'strerror', None) or error}\n")
            sys.exit(1)
