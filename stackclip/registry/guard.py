"""The guard around code of plugins: what it raises names it, a person's Ctrl-C goes through, and what hangs is said."""

from __future__ import annotations

import dis
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from stackclip.errors import BrokenPlugin, StackclipError

__all__ = [
    "Stopped",
    "ask_to_stop",
    "at_work",
    "forget_stop",
    "guarded",
    "is_a_stop",
    "keep_streams",
    "reason",
    "watched",
]

logger = logging.getLogger(__name__)
SLOW = 5.0  # seconds after which a person is told what is not done yet
_STREAMS = ("stdout", "stderr")
LONGEST = 500  # letters of a reason
_kept: dict[str, tuple[int, int, str]] = {}  # of each stream at the start: its descriptor, another one, its encoding
_at_work: list[str] = []  # what is done under guard now, the innermost last
_asked: list[Stopped] = []  # the stop that was asked for, if any


class Stopped(KeyboardInterrupt):
    """A signal asked us to stop; `code` is the exit code that says which, `during` what plugin code then ran."""

    def __init__(self, code: int, during: str = "") -> None:
        super().__init__()
        self.code = code
        self.during = during


def ask_to_stop(code: int) -> Stopped:
    """What a signal's handler raises; it is remembered, so that no plugin can swallow it."""
    _asked[:] = [Stopped(code, at_work())]
    return _asked[0]


def forget_stop() -> None:
    """No signal asked us to stop yet."""
    _asked.clear()


def at_work() -> str:
    """What is done under guard now, in words: `importing /my/registry/mine.py`; nothing where none is."""
    return _at_work[-1] if _at_work else ""


@contextmanager
def guarded(what: str = "") -> Iterator[None]:
    """Run code of a plugin: what it raises, SystemExit and the like too, is a BrokenPlugin `what: reason`.

    Without `what` it is the reason alone. Our own errors pass, and so does a person's wish to stop, whatever the plugin
    made of it.
    """
    before = {name: stream for name in _STREAMS if _is_open(stream := getattr(sys, name))}
    try:
        yield
    except StackclipError:
        raise
    except BaseException as error:
        if is_a_stop(error):
            raise _asked[0] if _asked else error from None
        raise BrokenPlugin(f"{what}: {reason(error)}" if what else reason(error)) from error
    finally:
        lost = _reopened(before)
    if _asked:
        raise _asked[0]
    if lost:
        words = f"it closes {' and '.join(lost)}, which it shares with others"
        raise BrokenPlugin(f"{what}: {words}" if what else words)


def keep_streams() -> None:
    """Remember where stdout and stderr lead, so that they can be opened again when a plugin has closed them."""
    for name in _STREAMS:
        stream = getattr(sys, name)
        if name not in _kept and isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):
                _kept[name] = stream.fileno(), os.dup(stream.fileno()), stream.encoding


def _reopened(before: dict[str, Any]) -> list[str]:
    """Put back the streams that were open before and are not now; their names."""
    lost = []
    for name, stream in before.items():
        if _is_open(getattr(sys, name)):
            continue
        if name in _kept and not _is_open(stream):
            first, second, encoding = _kept[name]
            stream = os.fdopen(_as_before(first, second), "w", encoding=encoding, errors="backslashreplace")
        setattr(sys, name, stream)
        lost.append(name)
    return lost


def _as_before(first: int, second: int) -> int:
    """A descriptor that leads where both did: the first again, unless another file has taken it."""
    try:
        os.fstat(first)
    except OSError:
        return os.dup2(second, first)
    return os.dup(second)


def _is_open(stream: Any) -> bool:
    try:
        if not hasattr(stream, "write") or stream.closed:
            return False
        os.fstat(stream.fileno())
    except io.UnsupportedOperation:  # a stream in memory
        return True
    except (AttributeError, ValueError, OSError):  # no stream of Python's, without its buffer, or closed below it
        return False
    return True


@contextmanager
def watched(doing: str) -> Iterator[None]:
    """Say what is being done where it takes long, so that a person knows what to end; and what Ctrl-C ended."""
    late = threading.Timer(SLOW, logger.warning, ("still %s after %.0f s; Ctrl-C ends it", doing, SLOW))
    late.daemon = True
    late.start()
    _at_work.append(doing)
    try:
        yield
    finally:
        _at_work.pop()
        late.cancel()


def is_a_stop(error: BaseException) -> bool:
    """Whether a person asked to stop: a signal came, and not a line of code that raises KeyboardInterrupt."""
    return bool(_asked) or isinstance(error, Stopped) or (isinstance(error, KeyboardInterrupt) and not _raised(error))


def reason(error: BaseException) -> str:
    """What went wrong, in one line, whatever the error is made of."""
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit {_message(error)})".replace(" )", ")")
    said = _message(error)
    if isinstance(error, StackclipError):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _message(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:LONGEST]
    except BaseException as other:
        if is_a_stop(other):
            raise
        return f"its message raises {type(other).__name__}"


def _raised(error: BaseException) -> bool:
    """Whether a `raise` of Python code raised the error: signals come between other instructions."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and dis.opname[place.tb_frame.f_code.co_code[place.tb_lasti]] == "RAISE_VARARGS"
