"""Jobs in processes of this machine, one a GPU where there are several."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from multiprocessing import connection, get_context
from types import FrameType

from stackclip.errors import BadOption
from stackclip.executors.job import Ask, Do, Done, Job, Run, Told
from stackclip.executors.worker import PATIENCE, STOP, Station, work
from stackclip.registry import executors

__all__ = ["Hand", "Processes", "ended", "gpus", "later"]

_NAMED = (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP"))
_ASKS_TO_STOP = frozenset(number for number in _NAMED if number is not None)


@executors.register("processes")
class Processes:
    """As many processes on this machine as `workers` says, each on a GPU of its own where there are so many.

    0 is one for each GPU, and without a GPU two. They are started anew (spawn), and share cores and memory.
    """

    apart = True

    def __init__(self, *, workers: int = 0) -> None:
        if workers < 0:
            raise BadOption(f"processes: workers={workers}; wanted 1 or more, or 0 for one a GPU")
        self._gpus = gpus()
        self.workers = workers or len(self._gpus) or 2

    @contextmanager
    def hired(self, do: Do) -> Iterator[Run]:
        """Processes that are started when there are jobs for them, and kept until the block ends."""
        hands: list[Hand] = []
        places = [
            Station(self.workers, self._gpus[n % len(self._gpus)] if self._gpus else "") for n in range(self.workers)
        ]

        def run(ask: Ask, told: Told) -> Iterator[Done]:
            while True:
                _hand_out(ask, do, hands, places)
                busy = {hand.pipe: hand for hand in hands if hand.job is not None}
                if not busy:
                    return
                for ready in connection.wait(list(busy)):
                    if (done := busy[ready].heard(told)) is not None:  # type: ignore[index]  # pipes alone are waited for
                        if done.died:
                            hands.remove(busy[ready])  # type: ignore[index]
                        yield done

        try:
            yield run
        finally:
            ended(hands)


def _hand_out(ask: Ask, do: Do, hands: list[Hand], places: Sequence[Station]) -> None:
    """Give a job to each who has none, as long as there are some."""
    while any(hand.job is None for hand in hands) or len(hands) < len(places):
        if (job := ask()) is None:
            return
        idle = next((hand for hand in hands if hand.job is None), None)
        if idle is None:
            taken = [hand.place for hand in hands]
            place = next(place for place in places if taken.count(place) < places.count(place))
            with later(_ASKS_TO_STOP):  # a process that is not among the hands would be ended by nobody
                hands.append(idle := Hand(do, place))
        idle.give(job)


class Hand:
    """A process that does jobs, seen from the one that gives them: `job` is what it is at."""

    def __init__(self, do: Do, place: Station) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.place = place
        self.job: Job | None = None
        self.process = context.Process(target=work, args=(theirs, do, place), name="stackclip-worker")
        with _unheard(_ASKS_TO_STOP):
            self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def give(self, job: Job) -> None:
        """Have a job done."""
        self.job = job
        with suppress(OSError):  # it is dead, which will be heard
            self.pipe.send(job)

    def heard(self, told: Told) -> Done | None:
        """Wait for a message; what became of the job, if that is it."""
        assert self.job is not None
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Done(self.job, died=True)
        if isinstance(message, Done):
            self.job = None
            return message
        told(self.job, *message)
        return None


def ended(hands: Sequence[Hand]) -> None:
    """End processes: those at work seal what they have gathered, and none is left."""
    for hand in hands:
        with suppress(OSError):
            hand.pipe.send(None if hand.job is None else STOP)
    deadline = time.monotonic() + PATIENCE
    for hand in hands:
        hand.process.join(max(0.0, deadline - time.monotonic()))
        if hand.process.is_alive():
            hand.process.kill()
            hand.process.join()


@contextmanager
def _unheard(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Start a process that does not hear Ctrl-C and its like: it is told to stop through its pipe, and seals then."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def later(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Keep for the end of the block what asks this process to stop. Only its main thread is ever asked."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked, kept = list[tuple[int, FrameType | None]](), True
    handlers = {each: found for each in numbers if callable(found := signal.getsignal(each))}

    def hear(which: int, frame: FrameType | None) -> None:
        if kept:
            asked.append((which, frame))
        else:  # it comes while handlers are put back
            handlers[signal.Signals(which)](which, frame)

    for number in handlers:
        signal.signal(number, hear)
    try:
        yield
    finally:
        kept = False
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for which, frame in asked:
            handlers[signal.Signals(which)](which, frame)


def gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [name.strip() for name in named.split(",")]
        return tuple(takewhile(lambda name: name and not name.startswith("-"), names))  # -1 hides those behind it
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))
